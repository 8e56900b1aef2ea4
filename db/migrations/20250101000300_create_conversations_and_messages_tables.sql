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

-- Counters. Statement-level, so that a bulk insert updates each parent once; rows are locked in
-- the order of their ids, conversations before agents, so that two writers cannot deadlock.
-- Parents that are gone (a cascade) match nothing.

CREATE FUNCTION private.add_to_agents(
    agent_ids uuid[], conversations int[], messages int[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM FROM public.agents WHERE id = ANY (agent_ids) ORDER BY id FOR NO KEY UPDATE;
    UPDATE public.agents AS a
    SET total_conversations = a.total_conversations + change.conversations,
        total_messages = a.total_messages + change.messages
    FROM (SELECT agent_id, sum(c) AS conversations, sum(m) AS messages
          FROM unnest(agent_ids, conversations, messages) AS each (agent_id, c, m)
          GROUP BY agent_id) AS change
    WHERE a.id = change.agent_id;
END $$;

CREATE FUNCTION private.count_conversations() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    sign int := CASE TG_OP WHEN 'DELETE' THEN -1 ELSE 1 END;
BEGIN
    PERFORM private.add_to_agents(
        array_agg(agent_id), array_agg(sign * conversations), array_agg(sign * messages))
    FROM (SELECT agent_id, count(*)::int AS conversations, sum(message_count)::int AS messages
          FROM changed GROUP BY agent_id) AS change
    HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER count_conversations_on_insert AFTER INSERT ON public.conversations
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION private.count_conversations();
CREATE TRIGGER count_conversations_on_delete AFTER DELETE ON public.conversations
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION private.count_conversations();

CREATE FUNCTION private.move_conversation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM private.add_to_agents(
        ARRAY[OLD.agent_id, NEW.agent_id], ARRAY[-1, 1],
        ARRAY[-OLD.message_count, NEW.message_count]);
    RETURN NULL;
END $$;
CREATE TRIGGER move_conversation AFTER UPDATE OF agent_id ON public.conversations
    FOR EACH ROW WHEN (OLD.agent_id <> NEW.agent_id)
    EXECUTE FUNCTION private.move_conversation();

CREATE FUNCTION private.add_to_conversations(
    conversation_ids uuid[], messages int[], last_at timestamptz[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    agent_ids uuid[];
BEGIN
    PERFORM FROM public.conversations WHERE id = ANY (conversation_ids)
    ORDER BY id FOR NO KEY UPDATE;
    WITH counted AS (
        UPDATE public.conversations AS c
        SET message_count = c.message_count + change.messages,
            duration_seconds = greatest(c.duration_seconds, least(
                extract(epoch FROM change.last_at - c.created_at), 2147483647)::int),
            updated_at = now()
        FROM (SELECT conversation_id, sum(m)::int AS messages, max(at) AS last_at
              FROM unnest(conversation_ids, messages, last_at) AS each (conversation_id, m, at)
              GROUP BY conversation_id) AS change
        WHERE c.id = change.conversation_id
        RETURNING c.agent_id, change.messages
    )
    SELECT array_agg(agent_id), array_agg(counted.messages)
    INTO agent_ids, messages FROM counted;
    IF agent_ids IS NOT NULL THEN
        PERFORM private.add_to_agents(
            agent_ids, array_fill(0, ARRAY[cardinality(agent_ids)]), messages);
    END IF;
END $$;

CREATE FUNCTION private.count_messages() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    sign int := CASE TG_OP WHEN 'DELETE' THEN -1 ELSE 1 END;
BEGIN
    PERFORM private.add_to_conversations(
        array_agg(conversation_id), array_agg(sign * messages), array_agg(last_at))
    FROM (SELECT conversation_id, count(*)::int AS messages,
                 CASE WHEN sign > 0 THEN max(created_at) END AS last_at
          FROM changed GROUP BY conversation_id) AS change
    HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER count_messages_on_insert AFTER INSERT ON public.messages
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION private.count_messages();
CREATE TRIGGER count_messages_on_delete AFTER DELETE ON public.messages
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION private.count_messages();

CREATE FUNCTION private.move_message() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM private.add_to_conversations(
        ARRAY[OLD.conversation_id, NEW.conversation_id], ARRAY[-1, 1],
        ARRAY[NULL, NEW.created_at]);
    RETURN NULL;
END $$;
CREATE TRIGGER move_message AFTER UPDATE OF conversation_id ON public.messages
    FOR EACH ROW WHEN (OLD.conversation_id <> NEW.conversation_id)
    EXECUTE FUNCTION private.move_message();

REVOKE EXECUTE ON FUNCTION private.add_to_agents, private.count_conversations,
    private.move_conversation, private.add_to_conversations, private.count_messages,
    private.move_message FROM PUBLIC;
