-- Scores of messages and conversations: one row each, and marks for everything that makes a
-- conversation's score untrue.

ALTER TABLE public.sentiment_analysis ADD COLUMN judge text;
COMMENT ON COLUMN public.sentiment_analysis.judge IS
    'Who judged: "local", or a model by its name; both for a conversation judged by both.';
COMMENT ON COLUMN public.sentiment_analysis.confidence IS
    '0 to 1. The local judge claims at most 0.6 outside English, 0.3 in languages it does not '
    'know, 0.2 without words; a blank message has 0.';
COMMENT ON COLUMN public.sentiment_analysis.emotions IS
    'anger, disgust, fear, joy, sadness and surprise, each from 0 to 1.';

-- Of several the newest stays.
DELETE FROM public.sentiment_analysis AS old
USING public.sentiment_analysis AS new
WHERE (new.created_at, new.id) > (old.created_at, old.id)
  AND (new.message_id = old.message_id
       OR (new.message_id IS NULL AND old.message_id IS NULL
           AND new.conversation_id = old.conversation_id));
CREATE UNIQUE INDEX sentiment_analysis_message_id_key
    ON public.sentiment_analysis (message_id) WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX sentiment_analysis_conversation_id_key
    ON public.sentiment_analysis (conversation_id) WHERE message_id IS NULL;
DROP INDEX public.sentiment_analysis_message_id_idx;

CREATE INDEX sentiment_marks_agent_id_id_idx ON worker.sentiment_marks (agent_id, id);
COMMENT ON TABLE worker.sentiment_marks IS
    'Conversations whose score is not true any more, of agents with sentiment analysis enabled.';

INSERT INTO worker.kinds (kind, queue, args, max_attempts, unique_by) VALUES
    ('analyze_sentiment', 'sentiment', '{"agent_id": "uuid"}', 4, 'agent_id');

-- A score is no edit.
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON public.messages
    FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND (
        (OLD.sentiment_score, OLD.sentiment_label)
            IS NOT DISTINCT FROM (NEW.sentiment_score, NEW.sentiment_label)
        OR OLD.content <> NEW.content OR OLD.role <> NEW.role))
    EXECUTE FUNCTION private.touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON public.conversations
    FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND (
        (OLD.sentiment_score, OLD.sentiment_label)
            IS NOT DISTINCT FROM (NEW.sentiment_score, NEW.sentiment_label)
        OR OLD.status <> NEW.status))
    EXECUTE FUNCTION private.touch_updated_at();

CREATE FUNCTION worker.mark_conversations(conversation_ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    INSERT INTO worker.sentiment_marks (agent_id, conversation_id)
    SELECT a.id, c.id
    FROM public.conversations AS c JOIN public.agents AS a ON a.id = c.agent_id
    WHERE c.id = ANY (conversation_ids) AND a.enable_sentiment_analysis
$$;

-- An old score says nothing of a new text, and only visitors' words are scored. Where a message
-- goes, its score goes.
CREATE OR REPLACE FUNCTION worker.forget_sentiment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF (OLD.content, OLD.role) <> (NEW.content, NEW.role) THEN
        NEW.sentiment_score := NULL;
        NEW.sentiment_label := NULL;
        DELETE FROM public.sentiment_analysis AS s WHERE s.message_id = OLD.id;
    ELSE
        UPDATE public.sentiment_analysis AS s
        SET conversation_id = c.id, agent_id = c.agent_id
        FROM public.conversations AS c
        WHERE s.message_id = OLD.id AND c.id = NEW.conversation_id;
    END IF;
    PERFORM worker.mark_conversations(ARRAY[OLD.conversation_id, NEW.conversation_id]);
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER forget_sentiment
    BEFORE UPDATE OF content, role, conversation_id ON public.messages
    FOR EACH ROW WHEN ('user' IN (OLD.role, NEW.role)
        AND (OLD.content, OLD.role, OLD.conversation_id)
            <> (NEW.content, NEW.role, NEW.conversation_id))
    EXECUTE FUNCTION worker.forget_sentiment();

-- A cascade's conversations are gone by now, and get no mark.
CREATE FUNCTION worker.mark_deleted_sentiment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM worker.mark_conversations(array_agg(DISTINCT o.conversation_id))
    FROM old_rows AS o WHERE o.role = 'user' AND o.sentiment_score IS NOT NULL
    HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER mark_sentiment_on_delete AFTER DELETE ON public.messages
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_deleted_sentiment();

CREATE FUNCTION worker.move_sentiment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.sentiment_analysis AS s SET agent_id = NEW.agent_id
    WHERE s.conversation_id = NEW.id;
    PERFORM worker.mark_conversations(ARRAY[NEW.id]);
    RETURN NULL;
END $$;
CREATE TRIGGER move_sentiment AFTER UPDATE OF agent_id ON public.conversations
    FOR EACH ROW WHEN (OLD.agent_id <> NEW.agent_id) EXECUTE FUNCTION worker.move_sentiment();

-- Marks the conversations of an agent that have unscored messages in a range of its owner's days,
-- a null being no bound. `again` forgets their scores first. One page of conversations at a time,
-- from the one behind (after_at, after_id) on, so that no transaction is long; no row where the
-- page is empty, the agent gone, or its sentiment analysis off.
CREATE FUNCTION worker.mark_sentiment_range(
    agent_id uuid, start_date date, end_date date, again boolean DEFAULT false,
    after_at timestamptz DEFAULT '-infinity', after_id uuid DEFAULT NULL,
    conversations_max int DEFAULT 1000
) RETURNS TABLE (marked_conversations bigint, unscored_messages bigint,
                 last_at timestamptz, last_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    zone CONSTANT text := (
        SELECT p.time_zone
        FROM public.agents AS a JOIN public.user_profiles AS p ON p.id = a.user_id
        WHERE a.id = mark_sentiment_range.agent_id AND a.enable_sentiment_analysis);
    since CONSTANT timestamptz := coalesce(start_date::timestamp AT TIME ZONE zone, '-infinity');
    until CONSTANT timestamptz := coalesce(
        (end_date + 1)::timestamp AT TIME ZONE zone, 'infinity');
    page uuid[];
BEGIN
    SELECT array_agg(c.id), max(c.created_at),
           (array_agg(c.id ORDER BY c.created_at DESC, c.id DESC))[1]
    INTO page, last_at, last_id
    FROM (SELECT k.id, k.created_at FROM public.conversations AS k
          WHERE k.agent_id = mark_sentiment_range.agent_id
            AND (k.created_at, k.id) > (after_at, coalesce(
                after_id, '00000000-0000-0000-0000-000000000000'))
          ORDER BY k.created_at, k.id LIMIT conversations_max) AS c;
    IF page IS NULL OR zone IS NULL THEN
        RETURN;
    END IF;
    IF again THEN
        -- Who holds a message is editing or scoring it: it needs no help.
        WITH held AS MATERIALIZED (
            SELECT m.id FROM public.messages AS m
            WHERE m.conversation_id = ANY (page) AND m.role = 'user'
              AND m.created_at >= since AND m.created_at < until
              AND m.sentiment_score IS NOT NULL
            ORDER BY m.id FOR NO KEY UPDATE SKIP LOCKED
        ), forgotten AS (
            UPDATE public.messages AS m SET sentiment_score = NULL, sentiment_label = NULL
            FROM held WHERE m.id = held.id RETURNING m.id
        )
        DELETE FROM public.sentiment_analysis AS s USING forgotten AS f WHERE s.message_id = f.id;
    END IF;
    WITH unscored AS MATERIALIZED (
        SELECT m.conversation_id, count(*) AS messages, min(m.created_at) AS first_at
        FROM public.messages AS m
        WHERE m.conversation_id = ANY (page) AND m.role = 'user'
          AND m.created_at >= since AND m.created_at < until AND m.sentiment_score IS NULL
        GROUP BY m.conversation_id
    ), marked AS (
        INSERT INTO worker.sentiment_marks (agent_id, conversation_id)
        SELECT mark_sentiment_range.agent_id, u.conversation_id FROM unscored AS u
        ORDER BY u.first_at, u.conversation_id
    )
    SELECT count(*), coalesce(sum(u.messages), 0)::bigint
    INTO marked_conversations, unscored_messages FROM unscored AS u;
    RETURN NEXT;
END $$;

REVOKE EXECUTE ON FUNCTION worker.mark_conversations, worker.mark_deleted_sentiment,
    worker.move_sentiment, worker.mark_sentiment_range FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.mark_sentiment_range TO service_role;
