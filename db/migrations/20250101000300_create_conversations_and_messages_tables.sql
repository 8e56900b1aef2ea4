-- Conversations between visitors and agents, and their messages.

CREATE TABLE public.conversations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id uuid NOT NULL REFERENCES public.agents (id) ON DELETE CASCADE,
    visitor_id text NOT NULL DEFAULT gen_random_uuid()::text,
    visitor_name text,
    visitor_email text,
    visitor_phone text,
    visitor_ip inet,
    visitor_location text,
    visitor_metadata jsonb NOT NULL DEFAULT '{}',
    source text NOT NULL DEFAULT 'website',
    status text NOT NULL DEFAULT 'active',
    sentiment_score numeric(4, 3),
    sentiment_label text,
    is_lead boolean NOT NULL DEFAULT false,
    lead_captured_at timestamptz,
    message_count int NOT NULL DEFAULT 0,
    duration_seconds int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT conversations_source_check
        CHECK (source IN ('website', 'widget', 'api', 'mobile')),
    CONSTRAINT conversations_status_check CHECK (status IN ('active', 'resolved', 'archived')),
    CONSTRAINT conversations_sentiment_score_check CHECK (sentiment_score BETWEEN -1 AND 1),
    CONSTRAINT conversations_sentiment_label_check
        CHECK (sentiment_label IN ('positive', 'neutral', 'negative')),
    CONSTRAINT conversations_counters_check CHECK (message_count >= 0 AND duration_seconds >= 0)
) WITH (fillfactor = 80);
COMMENT ON COLUMN public.conversations.duration_seconds IS
    'From the opening to the last message.';
CREATE INDEX conversations_agent_id_created_at_idx
    ON public.conversations (agent_id, created_at DESC);
CREATE INDEX conversations_agent_id_visitor_id_idx
    ON public.conversations (agent_id, visitor_id);
CREATE INDEX conversations_active_idx ON public.conversations (agent_id)
    WHERE status = 'active';

CREATE TABLE public.messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL REFERENCES public.conversations (id) ON DELETE CASCADE,
    role text NOT NULL,
    content text NOT NULL,
    model text,
    tokens_used int NOT NULL DEFAULT 0,
    response_time_ms int,
    sentiment_score numeric(4, 3),
    sentiment_label text,
    was_corrected boolean NOT NULL DEFAULT false,
    correction_id uuid,
    feedback_rating smallint,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT messages_role_check CHECK (role IN ('user', 'assistant', 'system')),
    CONSTRAINT messages_tokens_used_check CHECK (tokens_used >= 0),
    CONSTRAINT messages_response_time_ms_check CHECK (response_time_ms >= 0),
    CONSTRAINT messages_sentiment_score_check CHECK (sentiment_score BETWEEN -1 AND 1),
    CONSTRAINT messages_sentiment_label_check
        CHECK (sentiment_label IN ('positive', 'neutral', 'negative')),
    CONSTRAINT messages_feedback_rating_check CHECK (feedback_rating BETWEEN -1 AND 5)
);
COMMENT ON COLUMN public.messages.feedback_rating IS '-1 and 1 for thumbs, or 1 to 5 stars.';
CREATE INDEX messages_conversation_id_created_at_idx
    ON public.messages (conversation_id, created_at);

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.conversations
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.messages
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();

-- Null for no conversation, so that a check `= agent_id` fails for an invented one.
CREATE FUNCTION private.conversation_agent(conversation_id uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT agent_id FROM public.conversations WHERE id = conversation_agent.conversation_id
$$;
REVOKE EXECUTE ON FUNCTION private.conversation_agent FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.conversation_agent TO anon, authenticated, service_role;

-- Who knows a conversation's id is its visitor; an archived or unpublished one is closed to them.
CREATE FUNCTION private.accepts_messages(conversation_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT EXISTS (
        SELECT FROM public.conversations AS c JOIN public.agents AS a ON a.id = c.agent_id
        WHERE c.id = accepts_messages.conversation_id
          AND c.status = 'active' AND a.is_published)
$$;
REVOKE EXECUTE ON FUNCTION private.accepts_messages FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.accepts_messages TO anon, authenticated, service_role;

ALTER TABLE public.conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.messages ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.conversations, public.messages FROM anon, authenticated;
GRANT ALL ON public.conversations, public.messages TO service_role;

GRANT SELECT, DELETE,
    INSERT (id, agent_id, visitor_id, visitor_name, visitor_email, visitor_phone, visitor_ip,
        visitor_location, visitor_metadata, source, status),
    UPDATE (agent_id, visitor_id, visitor_name, visitor_email, visitor_phone, visitor_ip,
        visitor_location, visitor_metadata, source, status)
    ON public.conversations TO authenticated;
GRANT INSERT (id, agent_id, visitor_id, visitor_name, visitor_email, visitor_phone, visitor_ip,
        visitor_location, visitor_metadata, source, status)
    ON public.conversations TO anon;
GRANT SELECT, DELETE,
    INSERT (id, conversation_id, role, content, model, tokens_used, response_time_ms),
    UPDATE (content, feedback_rating)
    ON public.messages TO authenticated;
GRANT INSERT (id, conversation_id, role, content) ON public.messages TO anon;

CREATE POLICY "owners read conversations" ON public.conversations
    FOR SELECT TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "visitors open conversations" ON public.conversations
    FOR INSERT TO anon WITH CHECK (status = 'active' AND private.is_published(agent_id));
CREATE POLICY "owners and visitors open conversations" ON public.conversations
    FOR INSERT TO authenticated WITH CHECK (
        agent_id = ANY (ARRAY(SELECT private.own_agent_ids()))
        OR (status = 'active' AND private.is_published(agent_id)));
CREATE POLICY "owners edit conversations" ON public.conversations
    FOR UPDATE TO authenticated
    USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())))
    WITH CHECK (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "owners delete conversations" ON public.conversations
    FOR DELETE TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));

-- A message is its owner's where its conversation is: the policy above decides inside EXISTS.
CREATE POLICY "owners read messages" ON public.messages
    FOR SELECT TO authenticated USING (
        EXISTS (SELECT FROM public.conversations AS c WHERE c.id = conversation_id));
CREATE POLICY "visitors send messages" ON public.messages
    FOR INSERT TO anon
    WITH CHECK (role = 'user' AND private.accepts_messages(conversation_id));
CREATE POLICY "owners and visitors send messages" ON public.messages
    FOR INSERT TO authenticated WITH CHECK (
        EXISTS (SELECT FROM public.conversations AS c WHERE c.id = conversation_id)
        OR (role = 'user' AND model IS NULL AND tokens_used = 0
            AND private.accepts_messages(conversation_id)));
CREATE POLICY "owners edit messages" ON public.messages
    FOR UPDATE TO authenticated
    USING (
        EXISTS (SELECT FROM public.conversations AS c WHERE c.id = conversation_id))
    WITH CHECK (
        EXISTS (SELECT FROM public.conversations AS c WHERE c.id = conversation_id));
CREATE POLICY "owners delete messages" ON public.messages
    FOR DELETE TO authenticated USING (
        EXISTS (SELECT FROM public.conversations AS c WHERE c.id = conversation_id));
