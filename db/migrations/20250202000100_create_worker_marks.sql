-- Marks: what writes made stale. Triggers only append here, without a unique key, so that no
-- visitor's write ever waits for another's; the dispatcher takes marks and coalesces them.

CREATE SCHEMA IF NOT EXISTS worker;

CREATE TABLE worker.stats_marks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_id uuid NOT NULL,
    day date NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE worker.stats_marks IS
    'Days (in the owner''s time zone) whose daily_stats row no longer agrees with the raw rows.';

CREATE TABLE worker.sentiment_marks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE worker.sentiment_marks IS
    'Conversations with messages to score, of agents that have sentiment analysis enabled.';

ALTER TABLE worker.stats_marks ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.sentiment_marks ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.stats_marks, worker.sentiment_marks TO service_role;

-- Agents that are gone need no mark, and have no row to join.
CREATE FUNCTION worker.mark_days(agent_ids uuid[], moments timestamptz[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    INSERT INTO worker.stats_marks (agent_id, day)
    SELECT DISTINCT a.id, (stale.at AT TIME ZONE p.time_zone)::date
    FROM unnest(agent_ids, moments) AS stale (agent_id, at)
    JOIN public.agents AS a ON a.id = stale.agent_id
    JOIN public.user_profiles AS p ON p.id = a.user_id
$$;

-- For tables with an agent of their own. Rows are first brought down to hours, which every
-- time zone's days are made of (quarters of one, to be exact).
CREATE FUNCTION worker.mark_stats() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        PERFORM worker.mark_days(array_agg(agent_id), array_agg(at))
        FROM (SELECT DISTINCT agent_id, date_bin('15 min', created_at, 'epoch') AS at
              FROM new_rows WHERE agent_id IS NOT NULL) AS stale
        HAVING count(*) > 0;
    END IF;
    IF TG_OP IN ('DELETE', 'UPDATE') THEN
        PERFORM worker.mark_days(array_agg(agent_id), array_agg(at))
        FROM (SELECT DISTINCT agent_id, date_bin('15 min', created_at, 'epoch') AS at
              FROM old_rows WHERE agent_id IS NOT NULL) AS stale
        HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER mark_stats_on_insert AFTER INSERT ON public.conversations
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_delete AFTER DELETE ON public.conversations
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_update AFTER UPDATE ON public.conversations
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_insert AFTER INSERT ON public.leads
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_delete AFTER DELETE ON public.leads
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_update AFTER UPDATE ON public.leads
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_insert AFTER INSERT ON public.analytics_events
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_delete AFTER DELETE ON public.analytics_events
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_update AFTER UPDATE ON public.analytics_events
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_insert AFTER INSERT ON public.usage_logs
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_delete AFTER DELETE ON public.usage_logs
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_update AFTER UPDATE ON public.usage_logs
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();

-- Messages know their agent through the conversation.
CREATE FUNCTION worker.mark_messages() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    conversation_ids uuid[];
    moments timestamptz[];
BEGIN
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        SELECT array_agg(conversation_id), array_agg(at) INTO conversation_ids, moments
        FROM (SELECT DISTINCT conversation_id, date_bin('15 min', created_at, 'epoch') AS at
              FROM new_rows) AS stale;
        PERFORM worker.mark_message_days(conversation_ids, moments);
    END IF;
    IF TG_OP IN ('DELETE', 'UPDATE') THEN
        SELECT array_agg(conversation_id), array_agg(at) INTO conversation_ids, moments
        FROM (SELECT DISTINCT conversation_id, date_bin('15 min', created_at, 'epoch') AS at
              FROM old_rows) AS stale;
        PERFORM worker.mark_message_days(conversation_ids, moments);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION worker.mark_message_days(conversation_ids uuid[], moments timestamptz[])
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    INSERT INTO worker.stats_marks (agent_id, day)
    SELECT DISTINCT a.id, (stale.at AT TIME ZONE p.time_zone)::date
    FROM unnest(conversation_ids, moments) AS stale (conversation_id, at)
    JOIN public.conversations AS c ON c.id = stale.conversation_id
    JOIN public.agents AS a ON a.id = c.agent_id
    JOIN public.user_profiles AS p ON p.id = a.user_id
$$;

CREATE TRIGGER mark_stats_on_insert AFTER INSERT ON public.messages
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_messages();
CREATE TRIGGER mark_stats_on_delete AFTER DELETE ON public.messages
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_messages();
CREATE TRIGGER mark_stats_on_update AFTER UPDATE ON public.messages
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_messages();

-- When a conversation goes, or moves to another agent, its messages' days change although no
-- message row says so: the cascade deletes them when their agent can no longer be found.
CREATE FUNCTION worker.mark_conversation_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM worker.mark_days(array_agg(agent_id), array_agg(at))
    FROM (SELECT DISTINCT date_bin('15 min', created_at, 'epoch') AS at
          FROM public.messages WHERE conversation_id = OLD.id) AS stale,
         unnest(CASE TG_OP WHEN 'UPDATE' THEN ARRAY[OLD.agent_id, NEW.agent_id]
                ELSE ARRAY[OLD.agent_id] END) AS agent_id
    HAVING count(*) > 0;
    RETURN CASE TG_OP WHEN 'UPDATE' THEN NEW ELSE OLD END;
END $$;
CREATE TRIGGER mark_message_days_on_delete BEFORE DELETE ON public.conversations
    FOR EACH ROW EXECUTE FUNCTION worker.mark_conversation_days();
CREATE TRIGGER mark_message_days_on_move BEFORE UPDATE OF agent_id ON public.conversations
    FOR EACH ROW WHEN (OLD.agent_id <> NEW.agent_id)
    EXECUTE FUNCTION worker.mark_conversation_days();

CREATE FUNCTION worker.mark_sentiment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.sentiment_marks (agent_id, conversation_id)
    SELECT a.id, c.id
    FROM (SELECT DISTINCT conversation_id FROM new_rows WHERE role = 'user') AS n
    JOIN public.conversations AS c ON c.id = n.conversation_id
    JOIN public.agents AS a ON a.id = c.agent_id
    WHERE a.enable_sentiment_analysis;
    RETURN NULL;
END $$;
CREATE TRIGGER mark_sentiment_on_insert AFTER INSERT ON public.messages
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_sentiment();

-- An edited message is scored again; its old score says nothing of the new text.
CREATE FUNCTION worker.forget_sentiment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    NEW.sentiment_score := NULL;
    NEW.sentiment_label := NULL;
    INSERT INTO worker.sentiment_marks (agent_id, conversation_id)
    SELECT a.id, c.id
    FROM public.conversations AS c JOIN public.agents AS a ON a.id = c.agent_id
    WHERE c.id = NEW.conversation_id AND a.enable_sentiment_analysis;
    RETURN NEW;
END $$;
CREATE TRIGGER forget_sentiment BEFORE UPDATE OF content ON public.messages
    FOR EACH ROW WHEN (OLD.content <> NEW.content AND NEW.role = 'user')
    EXECUTE FUNCTION worker.forget_sentiment();

REVOKE EXECUTE ON FUNCTION worker.mark_days, worker.mark_stats, worker.mark_messages,
    worker.mark_message_days, worker.mark_conversation_days, worker.mark_sentiment,
    worker.forget_sentiment FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.mark_days TO service_role;
