-- Scores of messages and conversations, by the job of one agent at a time.

-- name: plan_by_index
-- Right after a bulk insert the statistics know nothing of it, and a plan made by them reads whole
-- tables: 5.4 s for a batch. Until the end of the transaction.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true)

-- name: load_agent
SELECT a.user_id, a.enable_sentiment_analysis AS is_enabled, p.time_zone
FROM public.agents AS a JOIN public.user_profiles AS p ON p.id = a.user_id
WHERE a.id = %(agent_id)s

-- name: list_marks
-- The oldest first: about the order in which their messages came.
SELECT m.id, m.conversation_id
FROM worker.sentiment_marks AS m WHERE m.agent_id = %(agent_id)s
ORDER BY m.id LIMIT %(rows_max)s

-- name: list_unscored
-- Of a long text both ends, for the judge cuts out the middle anyway. A limit in each conversation,
-- so that the planner begins with them and not with all messages there are.
WITH oldest AS MATERIALIZED (
    SELECT m.id, m.created_at
    FROM public.conversations AS c CROSS JOIN LATERAL (
        SELECT o.id, o.created_at FROM public.messages AS o
        WHERE o.conversation_id = c.id AND o.role = 'user' AND o.sentiment_score IS NULL
        ORDER BY o.created_at, o.id LIMIT %(rows_max)s) AS m
    WHERE c.id = ANY (%(conversation_ids)s::uuid[]) AND c.agent_id = %(agent_id)s
    ORDER BY m.created_at, m.id LIMIT %(rows_max)s
)
SELECT m.id, m.conversation_id, md5(m.content) AS content_hash,
       CASE WHEN length(m.content) <= %(chars_max)s THEN m.content
            ELSE left(m.content, %(chars_max)s) || right(m.content, %(chars_max)s) END AS text
FROM oldest AS o JOIN public.messages AS m ON m.id = o.id
ORDER BY o.created_at, o.id

-- name: lock_owner
-- Before the agent, and that before its conversations: the order in which a deletion goes.
SELECT p.id
FROM public.user_profiles AS p JOIN public.agents AS a ON a.user_id = p.id
WHERE a.id = %(agent_id)s FOR KEY SHARE OF p

-- name: lock_agent
SELECT a.id FROM public.agents AS a WHERE a.id = %(agent_id)s FOR KEY SHARE

-- name: lock_conversations
-- Visitors who write meanwhile lock theirs in the same order, and wait for this short moment.
SELECT c.id FROM public.conversations AS c
WHERE c.id = ANY (%(conversation_ids)s::uuid[]) AND c.agent_id = %(agent_id)s
ORDER BY c.id FOR NO KEY UPDATE

-- name: store_scores
-- Only where the text is still the one that was judged, in the conversation it was read from, and
-- nobody scored it meanwhile. What another transaction holds is left for the next turn: it may be
-- an edit of several messages, which locks them in an order of its own.
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(scores)s::jsonb) AS g (
        message_id uuid, conversation_id uuid, content_hash text, score numeric, label text,
        confidence numeric, emotions jsonb, topics text[], keywords text[], judge text)
), held AS MATERIALIZED (
    SELECT h.id
    FROM given AS g CROSS JOIN LATERAL (
        SELECT m.id FROM public.messages AS m
        WHERE m.id = g.message_id AND m.role = 'user' AND m.sentiment_score IS NULL
          AND m.conversation_id = g.conversation_id AND md5(m.content) = g.content_hash
        FOR NO KEY UPDATE SKIP LOCKED) AS h
), scored AS (
    UPDATE public.messages AS m SET sentiment_score = g.score, sentiment_label = g.label
    FROM held JOIN given AS g ON g.message_id = held.id
    WHERE m.id = held.id
    RETURNING m.id
)
INSERT INTO public.sentiment_analysis AS s
    (conversation_id, message_id, agent_id, overall_score, label, confidence, emotions, topics,
     keywords, judge)
SELECT g.conversation_id, g.message_id, %(agent_id)s, g.score, g.label, g.confidence, g.emotions,
       g.topics, g.keywords, g.judge
FROM scored JOIN given AS g ON g.message_id = scored.id
ON CONFLICT (message_id) WHERE message_id IS NOT NULL DO UPDATE
SET conversation_id = excluded.conversation_id, agent_id = excluded.agent_id,
    overall_score = excluded.overall_score, label = excluded.label,
    confidence = excluded.confidence, emotions = excluded.emotions, topics = excluded.topics,
    keywords = excluded.keywords, judge = excluded.judge
RETURNING s.message_id

-- name: find_settled
-- Those without a message that waits for its score; gone ones, too.
SELECT c.id
FROM unnest(%(conversation_ids)s::uuid[]) AS c (id)
LEFT JOIN LATERAL (
    SELECT m.id FROM public.messages AS m
    WHERE m.conversation_id = c.id AND m.role = 'user' AND m.sentiment_score IS NULL
    LIMIT 1) AS waiting ON true
WHERE waiting.id IS NULL

-- name: list_scored
-- The latest of each conversation, oldest first. Whoever scored a message without saying how sure
-- they are was sure.
SELECT c.id AS conversation_id, m.sentiment_score::float8 AS score, m.sentiment_label AS label,
       coalesce(s.confidence, 1)::float8 AS confidence, coalesce(s.emotions, '{}') AS emotions,
       coalesce(s.topics, '{}') AS topics, coalesce(s.keywords, '{}') AS keywords,
       coalesce(s.judge, '') AS judge
FROM unnest(%(conversation_ids)s::uuid[]) AS c (id)
CROSS JOIN LATERAL (
    SELECT l.id, l.created_at, l.sentiment_score, l.sentiment_label
    FROM public.messages AS l
    WHERE l.conversation_id = c.id AND l.role = 'user' AND l.sentiment_score IS NOT NULL
    ORDER BY l.created_at DESC, l.id DESC LIMIT %(messages_max)s) AS m
LEFT JOIN LATERAL (
    SELECT a.confidence, a.emotions, a.topics, a.keywords, a.judge
    FROM public.sentiment_analysis AS a WHERE a.message_id = m.id LIMIT 1) AS s ON true
ORDER BY c.id, m.created_at, m.id

-- name: store_conversations
-- An unchanged score is not written again.
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(scores)s::jsonb) AS g (
        conversation_id uuid, score numeric, label text, confidence numeric, emotions jsonb,
        topics text[], keywords text[], judge text)
), changed AS (
    UPDATE public.conversations AS c SET sentiment_score = g.score, sentiment_label = g.label
    FROM given AS g
    WHERE c.id = g.conversation_id
      AND (c.sentiment_score, c.sentiment_label) IS DISTINCT FROM (g.score, g.label)
)
INSERT INTO public.sentiment_analysis AS s
    (conversation_id, agent_id, overall_score, label, confidence, emotions, topics, keywords,
     judge)
SELECT g.conversation_id, %(agent_id)s, g.score, g.label, g.confidence, g.emotions, g.topics,
       g.keywords, nullif(g.judge, '')
FROM given AS g
ON CONFLICT (conversation_id) WHERE message_id IS NULL DO UPDATE
SET agent_id = excluded.agent_id, overall_score = excluded.overall_score, label = excluded.label,
    confidence = excluded.confidence, emotions = excluded.emotions, topics = excluded.topics,
    keywords = excluded.keywords, judge = excluded.judge
WHERE (s.agent_id, s.overall_score, s.label, s.confidence, s.emotions, s.topics, s.keywords,
       s.judge)
    IS DISTINCT FROM (excluded.agent_id, excluded.overall_score, excluded.label,
       excluded.confidence, excluded.emotions, excluded.topics, excluded.keywords, excluded.judge)

-- name: clear_conversations
-- Where no scored message is left there is nothing to say.
WITH cleared AS (
    UPDATE public.conversations AS c SET sentiment_score = NULL, sentiment_label = NULL
    WHERE c.id = ANY (%(conversation_ids)s::uuid[])
      AND (c.sentiment_score IS NOT NULL OR c.sentiment_label IS NOT NULL)
)
DELETE FROM public.sentiment_analysis AS s
WHERE s.conversation_id = ANY (%(conversation_ids)s::uuid[]) AND s.message_id IS NULL

-- name: log_calls
-- A trigger prices them. What was billed is logged even if the agent is gone by now.
INSERT INTO public.usage_logs
    (user_id, agent_id, usage_type, ai_model, prompt_tokens, completion_tokens, total_tokens,
     metadata)
SELECT (SELECT p.id FROM public.user_profiles AS p WHERE p.id = %(user_id)s),
       (SELECT a.id FROM public.agents AS a WHERE a.id = %(agent_id)s),
       'api_call', c.model, c.prompt_tokens, c.completion_tokens,
       c.prompt_tokens + c.completion_tokens,
       jsonb_build_object('kind', 'analyze_sentiment', 'job_id', %(job_id)s::bigint)
FROM jsonb_to_recordset(%(calls)s::jsonb) AS c (
    model text, prompt_tokens int, completion_tokens int)

-- name: hand_on_marks
-- Of conversations that moved to another agent.
UPDATE worker.sentiment_marks AS m SET agent_id = c.agent_id
FROM public.conversations AS c
WHERE m.id = ANY (%(mark_ids)s::bigint[]) AND c.id = m.conversation_id
  AND c.agent_id <> m.agent_id

-- name: delete_marks
DELETE FROM worker.sentiment_marks AS m
WHERE m.id = ANY (%(mark_ids)s::bigint[]) AND m.agent_id = %(agent_id)s
  AND m.conversation_id = ANY (%(conversation_ids)s::uuid[])

-- name: drop_marks
-- Of an agent that is gone, or does not want scores any more.
DELETE FROM worker.sentiment_marks AS m
WHERE m.id IN (SELECT d.id FROM worker.sentiment_marks AS d
               WHERE d.agent_id = %(agent_id)s ORDER BY d.id LIMIT %(rows_max)s)
  AND NOT EXISTS (SELECT FROM public.agents AS a
                  WHERE a.id = m.agent_id AND a.enable_sentiment_analysis)

-- name: mark_range
SELECT * FROM worker.mark_sentiment_range(
    %(agent_id)s, %(start_date)s::date, %(end_date)s::date, %(again)s,
    coalesce(%(after_at)s::timestamptz, '-infinity'), %(after_id)s::uuid,
    %(conversations_max)s)

-- name: load_conversation
SELECT c.id, c.agent_id, c.sentiment_score AS score, c.sentiment_label AS label, s.confidence,
       s.emotions, s.topics, s.keywords, s.judge
FROM public.conversations AS c
LEFT JOIN public.sentiment_analysis AS s ON s.conversation_id = c.id AND s.message_id IS NULL
WHERE c.id = %(conversation_id)s

-- name: list_messages
SELECT m.id, m.created_at, m.sentiment_score AS score, m.sentiment_label AS label, s.confidence,
       s.emotions, s.topics, s.keywords, s.judge, left(m.content, %(chars_max)s) AS text
FROM public.messages AS m LEFT JOIN public.sentiment_analysis AS s ON s.message_id = m.id
WHERE m.conversation_id = %(conversation_id)s AND m.role = 'user'
ORDER BY m.created_at, m.id LIMIT %(rows_max)s
