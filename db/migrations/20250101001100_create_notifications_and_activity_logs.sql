-- What the platform tells a user, what users did, and the mails it sent.

CREATE TABLE public.notifications (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES public.user_profiles (id) ON DELETE CASCADE,
    agent_id uuid REFERENCES public.agents (id) ON DELETE SET NULL,
    type text NOT NULL,
    title text NOT NULL,
    message text NOT NULL,
    priority text NOT NULL DEFAULT 'normal',
    is_read boolean NOT NULL DEFAULT false,
    read_at timestamptz,
    action_url text,
    action_label text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- An open list: new_conversation, new_lead, new_message, usage_limit, billing_update, ...
    CONSTRAINT notifications_type_check CHECK (type ~ '^[a-z][a-z0-9_.]*$'),
    CONSTRAINT notifications_priority_check
        CHECK (priority IN ('low', 'normal', 'high', 'urgent'))
);
CREATE INDEX notifications_user_id_created_at_idx
    ON public.notifications (user_id, created_at DESC);
CREATE INDEX notifications_unread_idx ON public.notifications (user_id) WHERE NOT is_read;
CREATE INDEX notifications_agent_id_idx ON public.notifications (agent_id);

CREATE TABLE public.activity_logs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES public.user_profiles (id) ON DELETE SET NULL,
    action text NOT NULL,
    resource_type text,
    resource_id uuid,
    description text,
    changes jsonb,
    ip_address inet,
    user_agent text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN public.activity_logs.changes IS
    '{"before": {...}, "after": {...}}, the changed fields only; secrets are masked.';
CREATE INDEX activity_logs_user_id_created_at_idx
    ON public.activity_logs (user_id, created_at DESC);
CREATE INDEX activity_logs_resource_idx ON public.activity_logs (resource_type, resource_id);

CREATE TABLE public.email_logs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES public.user_profiles (id) ON DELETE SET NULL,
    to_email text NOT NULL,
    from_email text,
    subject text,
    email_type text NOT NULL,
    template_id text,
    template_data jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'queued',
    error_message text,
    provider text,
    provider_message_id text,
    sent_at timestamptz,
    delivered_at timestamptz,
    opened_at timestamptz,
    clicked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT email_logs_status_check CHECK (status IN
        ('queued', 'sending', 'sent', 'failed', 'uncertain',
         'delivered', 'opened', 'clicked', 'bounced', 'complained'))
);
COMMENT ON COLUMN public.email_logs.status IS
    'uncertain: the server may have taken it before the line broke; a person decides.';
CREATE INDEX email_logs_user_id_created_at_idx ON public.email_logs (user_id, created_at DESC);
CREATE INDEX email_logs_waiting_idx ON public.email_logs (created_at)
    WHERE status IN ('queued', 'sending', 'uncertain');
CREATE INDEX email_logs_provider_message_id_idx ON public.email_logs (provider_message_id)
    WHERE provider_message_id IS NOT NULL;

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.notifications
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.email_logs
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();

CREATE FUNCTION private.date_reading() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    NEW.read_at := CASE WHEN NEW.is_read THEN coalesce(NEW.read_at, now()) END;
    RETURN NEW;
END $$;
REVOKE EXECUTE ON FUNCTION private.date_reading FROM PUBLIC;
CREATE TRIGGER date_reading BEFORE INSERT OR UPDATE OF is_read, read_at ON public.notifications
    FOR EACH ROW EXECUTE FUNCTION private.date_reading();

ALTER TABLE public.notifications ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.activity_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.email_logs ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.notifications, public.activity_logs, public.email_logs
    FROM anon, authenticated;
GRANT ALL ON public.notifications, public.activity_logs, public.email_logs TO service_role;
GRANT SELECT, DELETE, UPDATE (is_read, read_at) ON public.notifications TO authenticated;
GRANT SELECT ON public.activity_logs, public.email_logs TO authenticated;

CREATE POLICY "owners read notifications" ON public.notifications
    FOR SELECT TO authenticated USING (user_id = (SELECT auth.uid()));
CREATE POLICY "owners mark notifications" ON public.notifications
    FOR UPDATE TO authenticated
    USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY "owners delete notifications" ON public.notifications
    FOR DELETE TO authenticated USING (user_id = (SELECT auth.uid()));
CREATE POLICY "owners read activity" ON public.activity_logs
    FOR SELECT TO authenticated USING (user_id = (SELECT auth.uid()));
CREATE POLICY "owners read emails" ON public.email_logs
    FOR SELECT TO authenticated USING (user_id = (SELECT auth.uid()));

-- On Supabase its Realtime reads this publication; elsewhere it costs nothing.
DO $$
DECLARE
    wanted text;
BEGIN
    IF (SELECT puballtables FROM pg_catalog.pg_publication WHERE pubname = 'supabase_realtime')
    THEN
        RETURN;
    END IF;
    FOREACH wanted IN ARRAY ARRAY['messages', 'notifications'] LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_catalog.pg_publication_tables
            WHERE pubname = 'supabase_realtime' AND schemaname = 'public'
              AND tablename = wanted);
        EXECUTE format('ALTER PUBLICATION supabase_realtime ADD TABLE public.%I', wanted);
    END LOOP;
END $$;

-- What owners are told by itself.

CREATE FUNCTION private.tell_of_conversations() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO public.notifications
        (user_id, agent_id, type, title, message, priority, action_url, action_label)
    SELECT a.user_id, a.id, 'new_conversation', 'New conversation',
           format('%s started a conversation with %s.',
                  coalesce(nullif(btrim(n.visitor_name), ''), 'A visitor'), a.name),
           'normal', '/conversations/' || n.id, 'Open conversation'
    FROM new_rows AS n JOIN public.agents AS a ON a.id = n.agent_id;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_of_conversations AFTER INSERT ON public.conversations
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION private.tell_of_conversations();

CREATE FUNCTION private.tell_of_leads() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO public.notifications
        (user_id, agent_id, type, title, message, priority, action_url, action_label)
    SELECT a.user_id, a.id, 'new_lead', 'New lead',
           format('%s left an address with %s.',
                  coalesce(nullif(btrim(n.name), ''), nullif(btrim(n.email), ''), 'A visitor'),
                  a.name),
           'high', '/leads/' || n.id, 'Open lead'
    FROM new_rows AS n JOIN public.agents AS a ON a.id = n.agent_id;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_of_leads AFTER INSERT ON public.leads
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION private.tell_of_leads();

-- Only the step over a mark tells, so it is told once a period unless the limit is raised.
CREATE FUNCTION private.tell_of_usage() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    reached boolean := NEW.monthly_messages_used >= NEW.monthly_message_limit;
BEGIN
    INSERT INTO public.notifications
        (user_id, type, title, message, priority, action_url, action_label)
    VALUES (
        NEW.id, 'usage_limit',
        CASE WHEN reached THEN 'Message limit reached' ELSE 'Message limit almost reached' END,
        format('%s of %s messages of this month are used.',
               NEW.monthly_messages_used, NEW.monthly_message_limit),
        CASE WHEN reached THEN 'urgent' ELSE 'high' END,
        '/billing', 'See plans');
    RETURN NULL;
END $$;
CREATE TRIGGER tell_of_usage
    AFTER UPDATE OF monthly_messages_used, monthly_message_limit ON public.user_profiles
    FOR EACH ROW WHEN (
        (NEW.monthly_messages_used >= NEW.monthly_message_limit
            AND OLD.monthly_messages_used < OLD.monthly_message_limit)
        OR (NEW.monthly_messages_used >= 0.8 * NEW.monthly_message_limit
            AND OLD.monthly_messages_used < 0.8 * OLD.monthly_message_limit))
    EXECUTE FUNCTION private.tell_of_usage();

REVOKE EXECUTE ON FUNCTION private.tell_of_conversations, private.tell_of_leads,
    private.tell_of_usage FROM PUBLIC;
