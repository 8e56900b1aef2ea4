-- What the platform mails by itself. A mail is written in the transaction of its reason; whoever
-- already had an account before this migration is not welcomed.

-- Imports and load tests: SET LOCAL avivro.quiet = 'on', and nobody is mailed of these rows.
CREATE FUNCTION private.is_quiet() RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT coalesce(current_setting('avivro.quiet', true), '') = 'on'
$$;

CREATE OR REPLACE FUNCTION private.write_email(
    user_id uuid, email_type text, template_data jsonb, id uuid DEFAULT gen_random_uuid()
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO public.email_logs (id, user_id, to_email, email_type, template_id, template_data)
    SELECT write_email.id, p.id, p.email, write_email.email_type, write_email.email_type,
           jsonb_build_object('full_name', p.full_name, 'time_zone', p.time_zone)
               || write_email.template_data
    FROM public.user_profiles AS p
    WHERE p.id = write_email.user_id AND btrim(p.email) <> '' AND NOT private.is_quiet()
    ON CONFLICT ON CONSTRAINT email_logs_pkey DO NOTHING;
    RETURN FOUND;
END $$;

-- The same words make the same id: what it names is mailed once.
CREATE FUNCTION private.email_id(VARIADIC words text[]) RETURNS uuid
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT md5('email:' || array_to_string(words, ':'))::uuid
$$;

-- A sign-up never fails because of it.
CREATE FUNCTION private.welcome_user() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM private.write_email(
        NEW.id, 'welcome', jsonb_strip_nulls(jsonb_build_object(
            'full_name', coalesce(nullif(btrim(NEW.full_name), ''), split_part(NEW.email, '@', 1)),
            'company_name', NEW.company_name)),
        private.email_id('welcome', NEW.id::text));
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'welcome mail of user %: %', NEW.id, SQLERRM;
    RETURN NULL;
END $$;
CREATE TRIGGER welcome_user AFTER INSERT ON public.user_profiles
    FOR EACH ROW EXECUTE FUNCTION private.welcome_user();

-- Leads. The first one is mailed at once, what comes within five minutes of a mail is in the next:
-- a campaign makes twelve mails an hour, not hundreds.

CREATE TABLE worker.lead_marks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_id uuid NOT NULL,
    lead_id uuid NOT NULL
);
COMMENT ON TABLE worker.lead_marks IS 'Leads that no mail tells of yet.';
CREATE INDEX lead_marks_agent_id_idx ON worker.lead_marks (agent_id);

CREATE TABLE worker.lead_mails (
    agent_id uuid PRIMARY KEY REFERENCES public.agents (id) ON DELETE CASCADE,
    mailed_at timestamptz NOT NULL
);
COMMENT ON TABLE worker.lead_mails IS 'When an agent''s owner was last mailed of leads.';
ALTER TABLE worker.lead_marks ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.lead_mails ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.lead_marks, worker.lead_mails TO service_role;

CREATE FUNCTION worker.may_mail_leads(agent_id uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT NOT EXISTS (
        SELECT FROM worker.lead_mails AS m
        WHERE m.agent_id = may_mail_leads.agent_id AND m.mailed_at > now() - interval '5 min')
$$;

-- The newest of them by name, all of them by number; the mail lists ten.
CREATE FUNCTION private.mail_of_leads(agent_id uuid, lead_ids uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    listed_max CONSTANT int := 10;
    lead_count CONSTANT bigint := (
        SELECT count(*) FROM public.leads AS l WHERE l.id = ANY (lead_ids));
    found_leads CONSTANT jsonb := (
        SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                   'id', l.id, 'email', l.email, 'phone', l.phone, 'company', l.company,
                   'source', l.utm_source, 'notes', left(l.notes, 2000), 'created_at', l.created_at,
                   'name', coalesce(nullif(btrim(l.name), ''), nullif(btrim(l.email), ''),
                                    nullif(btrim(l.phone), ''), 'A visitor')))
                   ORDER BY l.created_at DESC, l.id)
        FROM (SELECT * FROM public.leads AS wanted WHERE wanted.id = ANY (lead_ids)
              ORDER BY wanted.created_at DESC, wanted.id LIMIT listed_max) AS l);
    newest CONSTANT jsonb := found_leads -> 0;
BEGIN
    IF newest IS NULL THEN
        RETURN;
    END IF;
    PERFORM private.write_email(
        a.user_id, 'new_lead',
        jsonb_build_object('agent_id', a.id, 'agent_name', a.name, 'lead_count', lead_count)
        || CASE WHEN lead_count > 1 THEN
               jsonb_build_object('lead_name', newest ->> 'name', 'leads', found_leads)
           ELSE jsonb_strip_nulls(jsonb_build_object(
               'lead_name', newest ->> 'name', 'lead_id', newest ->> 'id',
               'lead_email', newest ->> 'email', 'lead_phone', newest ->> 'phone',
               'lead_company', newest ->> 'company', 'source', newest ->> 'source',
               'notes', newest ->> 'notes', 'captured_at', newest ->> 'created_at')) END)
    FROM public.agents AS a WHERE a.id = mail_of_leads.agent_id;
    INSERT INTO worker.lead_mails AS m (agent_id, mailed_at)
    SELECT a.id, now() FROM public.agents AS a WHERE a.id = mail_of_leads.agent_id
    ON CONFLICT ON CONSTRAINT lead_mails_pkey DO UPDATE SET mailed_at = excluded.mailed_at;
END $$;

-- Who holds the lock mails what is marked; nobody waits for it, the schedule finds what is left.
CREATE FUNCTION worker.announce_leads(agent_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    lead_ids uuid[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('leads:' || announce_leads.agent_id, 0))
       OR NOT worker.may_mail_leads(announce_leads.agent_id) THEN
        RETURN false;
    END IF;
    WITH taken AS (
        DELETE FROM worker.lead_marks AS m WHERE m.agent_id = announce_leads.agent_id
        RETURNING m.lead_id)
    SELECT array_agg(t.lead_id) INTO lead_ids FROM taken AS t;
    PERFORM private.mail_of_leads(announce_leads.agent_id, lead_ids);
    RETURN lead_ids IS NOT NULL;
END $$;

-- Many agents in one statement are an import: the schedule mails their owners. A visitor's write
-- never fails because of a mail.
CREATE FUNCTION private.mark_new_leads() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    agents_max CONSTANT int := 16;
    agent_ids uuid[];
BEGIN
    IF private.is_quiet() THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(DISTINCT n.agent_id) INTO agent_ids FROM new_rows AS n;
    INSERT INTO worker.lead_marks (agent_id, lead_id) SELECT n.agent_id, n.id FROM new_rows AS n;
    IF cardinality(agent_ids) <= agents_max THEN
        PERFORM worker.announce_leads(a.id) FROM unnest(agent_ids) AS a (id);
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'mail of new leads: %', SQLERRM;
    RETURN NULL;
END $$;
CREATE TRIGGER mark_new_leads AFTER INSERT ON public.leads
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
    EXECUTE FUNCTION private.mark_new_leads();

INSERT INTO worker.kinds (kind, queue, args, max_attempts, cap) VALUES
    ('announce_leads', 'default', '{}', 3, 1);

-- Usage. The notification's step over a mark; going back and forth over it mails once a period.
CREATE FUNCTION private.mail_of_usage() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    mark CONSTANT int := CASE
        WHEN NEW.monthly_messages_used >= NEW.monthly_message_limit THEN 100 ELSE 80 END;
BEGIN
    PERFORM private.write_email(
        NEW.id, 'usage_limit', jsonb_build_object(
            'messages_used', NEW.monthly_messages_used,
            'messages_limit', NEW.monthly_message_limit,
            'plan_name', initcap(NEW.subscription_tier),
            'resets_on', (NEW.usage_period_start + interval '1 month')::date),
        private.email_id('usage_limit', NEW.id::text, NEW.usage_period_start::text, mark::text,
                         NEW.monthly_message_limit::text));
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'usage mail of user %: %', NEW.id, SQLERRM;
    RETURN NULL;
END $$;
CREATE TRIGGER mail_of_usage
    AFTER UPDATE OF monthly_messages_used, monthly_message_limit ON public.user_profiles
    FOR EACH ROW WHEN (
        (NEW.monthly_messages_used >= NEW.monthly_message_limit
            AND OLD.monthly_messages_used < OLD.monthly_message_limit)
        OR (NEW.monthly_messages_used >= 0.8 * NEW.monthly_message_limit
            AND OLD.monthly_messages_used < 0.8 * OLD.monthly_message_limit))
    EXECUTE FUNCTION private.mail_of_usage();

-- Sources. A source fails only once its attempts are used up. Pages of a crawl are told of by their
-- site; a source mails once a day, a user gets a few an hour however many fail.
CREATE FUNCTION private.mail_of_failed_source(source_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    hourly_max CONSTANT int := 5;
BEGIN
    PERFORM private.write_email(
        a.user_id, 'source_failed', jsonb_strip_nulls(jsonb_build_object(
            'source_id', s.id, 'source_name', s.name, 'source_type', s.type,
            'agent_id', a.id, 'agent_name', a.name, 'error_message', left(s.error_message, 2000),
            'failed_at', now(), 'last_synced_at', s.last_synced_at)),
        private.email_id('source_failed', s.id::text, ((now() AT TIME ZONE 'UTC')::date)::text))
    FROM public.knowledge_sources AS s JOIN public.agents AS a ON a.id = s.agent_id
    WHERE s.id = mail_of_failed_source.source_id AND s.parent_id IS NULL
      AND hourly_max > (
        SELECT count(*) FROM public.email_logs AS e
        WHERE e.user_id = a.user_id AND e.email_type = 'source_failed'
          AND e.created_at > now() - interval '1 hour');
END $$;

CREATE FUNCTION private.mail_failed_source() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM private.mail_of_failed_source(NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER mail_failed_source AFTER UPDATE OF status ON public.knowledge_sources
    FOR EACH ROW WHEN (NEW.status = 'failed' AND OLD.status <> 'failed'
                       AND NEW.parent_id IS NULL
                       AND NEW.error_message IS DISTINCT FROM 'Indexing was cancelled.')
    EXECUTE FUNCTION private.mail_failed_source();

-- A source that serves its old content and stopped refreshing. At the commit, for the source's row
-- gets its sentence after this one.
CREATE FUNCTION worker.mail_paused_source() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM private.mail_of_failed_source(NEW.source_id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER mail_paused_source AFTER UPDATE ON worker.source_syncs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.paused_at IS NOT NULL AND OLD.paused_at IS NULL)
    EXECUTE FUNCTION worker.mail_paused_source();

REVOKE EXECUTE ON FUNCTION private.is_quiet, private.email_id, private.welcome_user,
    worker.may_mail_leads, private.mail_of_leads, worker.announce_leads, private.mark_new_leads,
    private.mail_of_usage, private.mail_of_failed_source, private.mail_failed_source,
    worker.mail_paused_source FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.is_quiet, private.email_id, worker.may_mail_leads,
    worker.announce_leads TO service_role;
