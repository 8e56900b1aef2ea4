-- Figures of a day, from what happened that day. Who computes them holds the agents' rows so that
-- none is deleted meanwhile, and their locks so that nothing older is stored over something newer.

-- name: plan_by_index
-- Before what follows in the same transaction: on statistics from a quiet hour the planner would
-- read all marks for each agent.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)

-- name: take_marks
-- All marks of some agents at once, so that a day that was marked a thousand times is served once;
-- agents in the order of their oldest mark. What somebody else takes is left to them, and agents
-- that somebody is deleting are left until that is done. A mark of everything weighs as a hundred.
WITH oldest AS MATERIALIZED (
    SELECT m.id, m.agent_id FROM worker.stats_marks AS m
    ORDER BY m.id LIMIT %(oldest_max)s FOR UPDATE SKIP LOCKED
), turns AS MATERIALIZED (
    SELECT o.agent_id, min(o.id) AS turn FROM oldest AS o
    GROUP BY o.agent_id ORDER BY turn LIMIT %(agents_max)s
), held AS MATERIALIZED (
    SELECT a.id FROM public.agents AS a WHERE a.id = ANY (ARRAY(SELECT agent_id FROM turns))
    FOR KEY SHARE SKIP LOCKED
), mine AS MATERIALIZED (
    SELECT m.id, m.agent_id, m.from_at, m.until_at, m.visitor_id, m.conversation_id, t.turn,
           (m.from_at AT TIME ZONE 'UTC')::date AS day
    FROM turns AS t JOIN worker.stats_marks AS m ON m.agent_id = t.agent_id
    WHERE t.agent_id IN (SELECT id FROM held)
       OR NOT EXISTS (SELECT FROM public.agents AS a WHERE a.id = t.agent_id)
    ORDER BY t.turn, m.from_at LIMIT %(marks_max)s FOR UPDATE OF m SKIP LOCKED
), weighed AS (
    SELECT f.*, sum(CASE WHEN f.place > 1 THEN 0 WHEN isfinite(f.until_at) THEN 1 ELSE 100 END)
                    OVER (ORDER BY f.turn, f.day) AS weight
    FROM (SELECT *, row_number() OVER (PARTITION BY turn, day
                                       ORDER BY isfinite(until_at)) AS place
          FROM mine) AS f
), taken AS (
    DELETE FROM worker.stats_marks AS m
    WHERE m.id = ANY (ARRAY(SELECT w.id FROM weighed AS w WHERE w.weight <= %(pairs_max)s))
    RETURNING m.*
)
SELECT agent_id, nullif(min(from_at), '-infinity'), nullif(max(until_at), 'infinity'),
       visitor_id, conversation_id
FROM taken
GROUP BY agent_id, (from_at AT TIME ZONE 'UTC')::date, visitor_id, conversation_id
ORDER BY agent_id, min(from_at)

-- name: hold_agents
-- For who comes without marks: as take_marks holds them, and who deletes one waits for us.
SELECT a.id FROM public.agents AS a
WHERE a.id = ANY(%(agent_ids)s::uuid[]) ORDER BY a.id FOR KEY SHARE SKIP LOCKED

-- name: lock_agents
-- A bounded number of locks, in the same order for everybody.
SELECT pg_advisory_xact_lock(hashtext('worker.daily_stats'), b.bucket)
FROM (SELECT DISTINCT get_byte(uuid_send(id), 15) AS bucket
      FROM unnest(%(agent_ids)s::uuid[]) AS id ORDER BY bucket) AS b

-- name: expand_marks
-- The days (in the zone of now) that marked moments lie in; the day after and before, too, where a
-- clock is changed nearby. And for each visitor that came or went their next day: it may have become
-- their first, or no longer be it. Seen only now, for two open transactions cannot see each other.
WITH marked AS MATERIALIZED (
    SELECT m.agent_id, m.visitor_id, m.from_at, m.until_at, p.time_zone AS zone,
           least(d.from_day, d.until_day) - d.margin AS first_day,
           greatest(d.from_day, d.until_day) + d.margin AS last_day
    FROM unnest(%(agent_ids)s::uuid[], %(from_ats)s::timestamptz[], %(until_ats)s::timestamptz[],
                %(visitor_ids)s::text[]) AS m (agent_id, from_at, until_at, visitor_id)
    JOIN public.agents AS a ON a.id = m.agent_id
    JOIN public.user_profiles AS p ON p.id = a.user_id
    CROSS JOIN LATERAL (
        SELECT (m.from_at AT TIME ZONE p.time_zone)::date AS from_day,
               (m.until_at AT TIME ZONE p.time_zone)::date AS until_day,
               CASE WHEN (b.from_at AT TIME ZONE p.time_zone) - (b.from_at AT TIME ZONE 'UTC')
                       = (b.until_at AT TIME ZONE p.time_zone) - (b.until_at AT TIME ZONE 'UTC')
                    THEN 0 ELSE 1 END AS margin
        FROM (SELECT m.from_at - interval '24 hours' AS from_at,
                     m.until_at + interval '24 hours' AS until_at) AS b) AS d
)
SELECT m.agent_id, m.first_day + n AS day
FROM marked AS m CROSS JOIN LATERAL generate_series(0, m.last_day - m.first_day) AS n
UNION
SELECT m.agent_id, (next.created_at AT TIME ZONE m.zone)::date
FROM marked AS m CROSS JOIN LATERAL (
    SELECT c.created_at FROM public.conversations AS c
    WHERE c.agent_id = m.agent_id AND c.visitor_id = m.visitor_id AND c.created_at > m.until_at
      AND c.created_at <= '9999-12-30 00:00+00'
      AND (c.created_at AT TIME ZONE m.zone)::date > m.last_day
    ORDER BY c.created_at LIMIT 1) AS next
WHERE m.visitor_id IS NOT NULL
ORDER BY 1, 2

-- name: list_days
SELECT d.day
FROM public.agents AS a JOIN public.user_profiles AS p ON p.id = a.user_id
CROSS JOIN LATERAL worker.days_with_rows(
    a.id, p.time_zone, coalesce(%(from_day)s, '-infinity'::date),
    coalesce(%(to_day)s, 'infinity'::date), %(days_max)s) AS d (day)
WHERE a.id = %(agent_id)s
ORDER BY d.day

-- name: list_marked_days
-- Of a mark of everything, or of what is left of one.
SELECT d.day
FROM public.agents AS a JOIN public.user_profiles AS p ON p.id = a.user_id
CROSS JOIN LATERAL worker.days_with_rows(
    a.id, p.time_zone,
    (coalesce(%(from_at)s, '-infinity'::timestamptz) AT TIME ZONE p.time_zone)::date,
    'infinity', %(days_max)s) AS d (day)
WHERE a.id = %(agent_id)s
ORDER BY d.day

-- name: mark_rest
-- From that day on, once more itself: a date that its zone skipped has no moment of its own.
INSERT INTO worker.stats_marks (agent_id, from_at, until_at)
SELECT a.id, %(from_day)s::date::timestamp AT TIME ZONE p.time_zone, 'infinity'
FROM public.agents AS a JOIN public.user_profiles AS p ON p.id = a.user_id
WHERE a.id = %(agent_id)s

-- name: mend_messages
-- Messages that were locked while their conversation moved follow it now. Waits for nobody.
WITH held AS MATERIALIZED (
    SELECT c.id, c.agent_id FROM public.conversations AS c
    WHERE c.id = ANY(%(conversation_ids)s::uuid[]) ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED
), stray AS MATERIALIZED (
    SELECT m.id, h.agent_id FROM held AS h JOIN public.messages AS m ON m.conversation_id = h.id
    WHERE m.agent_id IS DISTINCT FROM h.agent_id
    ORDER BY m.id FOR NO KEY UPDATE OF m SKIP LOCKED
)
UPDATE public.messages AS m SET agent_id = s.agent_id FROM stray AS s WHERE m.id = s.id

-- name: mark_strays
-- What somebody held just now: the next job tries again.
INSERT INTO worker.stats_marks (agent_id, from_at, until_at, conversation_id)
SELECT c.agent_id, now(), now(), c.id FROM public.conversations AS c
WHERE c.id = ANY(%(conversation_ids)s::uuid[]) AND EXISTS (
    SELECT FROM public.messages AS m
    WHERE m.conversation_id = c.id AND m.agent_id IS DISTINCT FROM c.agent_id)

-- name: recompute_days
SELECT worker.recompute_days(%(agent_ids)s::uuid[], %(days)s::date[])

-- name: list_stats
SELECT date, total_conversations, active_conversations, avg_conversation_duration,
       total_messages, user_messages, assistant_messages, avg_response_time_ms, total_leads,
       conversion_rate, positive_sentiment_count, neutral_sentiment_count,
       negative_sentiment_count, widget_opens, unique_visitors, returning_visitors,
       total_tokens_used, total_ai_cost
FROM public.daily_stats
WHERE agent_id = %(agent_id)s
  AND date >= coalesce(%(from_day)s, '0001-01-01'::date)
  AND date <= coalesce(%(to_day)s, '9999-12-31'::date)
ORDER BY date

-- name: list_agents
SELECT id FROM public.agents
WHERE id > coalesce(%(after)s, '00000000-0000-0000-0000-000000000000'::uuid)
ORDER BY id LIMIT %(agents_max)s
