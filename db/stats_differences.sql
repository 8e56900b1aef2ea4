-- The nightly recount of daily_stats. Nothing here is shared with recompute_days.

-- name: find_differences
-- Everything of these agents grouped anew, beside what is stored, in one statement and so at one
-- moment. A mark is taken away in the transaction that stores what it stood for: a day that differs
-- while no mark concerns it is wrong. A visitor's mark concerns any later day. Messages count for
-- the agent of their conversation, whatever they say themselves.
WITH zones AS MATERIALIZED (
    SELECT a.id AS agent_id, p.time_zone AS zone
    FROM public.agents AS a JOIN public.user_profiles AS p ON p.id = a.user_id
    WHERE a.id = ANY(%(agent_ids)s::uuid[])
), held AS MATERIALIZED (
    SELECT c.id, c.agent_id, c.visitor_id, c.status, c.duration_seconds, c.sentiment_label,
           c.created_at, z.zone,
           CASE WHEN c.created_at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
                THEN (c.created_at AT TIME ZONE z.zone)::date END AS date
    FROM public.conversations AS c JOIN zones AS z ON z.agent_id = c.agent_id
), conversation_days AS (
    SELECT agent_id, date, count(*) AS total, count(*) FILTER (WHERE status = 'active') AS active,
           round(avg(duration_seconds), 3) AS duration,
           count(*) FILTER (WHERE sentiment_label = 'positive') AS positive,
           count(*) FILTER (WHERE sentiment_label = 'neutral') AS neutral,
           count(*) FILTER (WHERE sentiment_label = 'negative') AS negative
    FROM held WHERE date IS NOT NULL GROUP BY agent_id, date
), visitor_days AS (
    SELECT agent_id, date, count(*) AS visitors, count(*) FILTER (WHERE date > first) AS returned
    FROM (SELECT agent_id, date, visitor_id,
                 min(date) OVER (PARTITION BY agent_id, visitor_id) AS first
          FROM held WHERE date IS NOT NULL GROUP BY agent_id, date, visitor_id) AS visits
    GROUP BY agent_id, date
), message_days AS (
    SELECT h.agent_id, (m.created_at AT TIME ZONE h.zone)::date AS date, count(*) AS total,
           count(*) FILTER (WHERE m.role = 'user') AS asked,
           count(*) FILTER (WHERE m.role = 'assistant') AS answered,
           round(avg(m.response_time_ms), 3) AS response_time, sum(m.tokens_used) AS tokens
    FROM public.messages AS m JOIN held AS h ON h.id = m.conversation_id
    WHERE m.created_at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
    GROUP BY 1, 2
), lead_days AS (
    SELECT z.agent_id, (l.created_at AT TIME ZONE z.zone)::date AS date, count(*) AS total
    FROM public.leads AS l JOIN zones AS z ON z.agent_id = l.agent_id
    WHERE l.created_at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
    GROUP BY 1, 2
), open_days AS (
    SELECT z.agent_id, (o.at AT TIME ZONE z.zone)::date AS date, sum(o.opens) AS total
    FROM zones AS z JOIN (
        SELECT agent_id, created_at AS at, 1 AS opens FROM public.analytics_events
        WHERE event_type IN ('widget_opened', 'widget_open', 'widget.opened')
        UNION ALL SELECT agent_id, at, opens FROM worker.kept_opens) AS o
        ON o.agent_id = z.agent_id
    WHERE o.at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
    GROUP BY 1, 2
), usage_days AS (
    SELECT z.agent_id, (u.created_at AT TIME ZONE z.zone)::date AS date,
           sum(u.total_cost) AS cost,
           sum(u.total_tokens) FILTER (
               WHERE u.usage_type NOT IN ('message', 'conversation')) AS tokens
    FROM public.usage_logs AS u JOIN zones AS z ON z.agent_id = u.agent_id
    WHERE u.created_at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
    GROUP BY 1, 2
), days AS (
    SELECT agent_id, date FROM conversation_days UNION SELECT agent_id, date FROM message_days
    UNION SELECT agent_id, date FROM lead_days UNION SELECT agent_id, date FROM open_days
    UNION SELECT agent_id, date FROM usage_days
), expected AS (
    SELECT d.agent_id, d.date, coalesce(c.total, 0) AS total_conversations,
           coalesce(c.active, 0) AS active_conversations, c.duration AS avg_conversation_duration,
           coalesce(m.total, 0) AS total_messages, coalesce(m.asked, 0) AS user_messages,
           coalesce(m.answered, 0) AS assistant_messages,
           m.response_time AS avg_response_time_ms, coalesce(l.total, 0) AS total_leads,
           CASE WHEN c.total > 0
                THEN round(coalesce(l.total, 0)::numeric / c.total, 6) END AS conversion_rate,
           coalesce(c.positive, 0) AS positive_sentiment_count,
           coalesce(c.neutral, 0) AS neutral_sentiment_count,
           coalesce(c.negative, 0) AS negative_sentiment_count,
           coalesce(o.total, 0) AS widget_opens, coalesce(v.visitors, 0) AS unique_visitors,
           coalesce(v.returned, 0) AS returning_visitors,
           coalesce(m.tokens, 0) + coalesce(u.tokens, 0) AS total_tokens_used,
           coalesce(u.cost, 0) AS total_ai_cost
    FROM days AS d
    LEFT JOIN conversation_days AS c USING (agent_id, date)
    LEFT JOIN visitor_days AS v USING (agent_id, date)
    LEFT JOIN message_days AS m USING (agent_id, date)
    LEFT JOIN lead_days AS l USING (agent_id, date)
    LEFT JOIN open_days AS o USING (agent_id, date)
    LEFT JOIN usage_days AS u USING (agent_id, date)
), stored AS (
    SELECT s.agent_id, s.date, s.total_conversations, s.active_conversations,
           s.avg_conversation_duration, s.total_messages, s.user_messages, s.assistant_messages,
           s.avg_response_time_ms, s.total_leads, s.conversion_rate, s.positive_sentiment_count,
           s.neutral_sentiment_count, s.negative_sentiment_count, s.widget_opens,
           s.unique_visitors, s.returning_visitors, s.total_tokens_used, s.total_ai_cost
    FROM public.daily_stats AS s JOIN zones AS z ON z.agent_id = s.agent_id
), compared AS (
    SELECT coalesce(s.agent_id, e.agent_id) AS agent_id, coalesce(s.date, e.date) AS date,
           to_jsonb(s) - '{agent_id,date}'::text[] AS stored,
           to_jsonb(e) - '{agent_id,date}'::text[] AS expected
    FROM stored AS s FULL JOIN expected AS e ON e.agent_id = s.agent_id AND e.date = s.date
)
SELECT x.agent_id, x.date, x.stored::text, x.expected::text
FROM compared AS x
WHERE x.stored IS DISTINCT FROM x.expected
  AND x.date BETWEEN '0001-01-01' AND '9999-12-31'
  AND NOT EXISTS (
    SELECT FROM worker.stats_marks AS m
    WHERE m.agent_id = x.agent_id
      AND (m.conversation_id IS NOT NULL
           OR x.date >= (m.from_at AT TIME ZONE 'UTC')::date - 2
              AND (m.visitor_id IS NOT NULL
                   OR x.date <= (m.until_at AT TIME ZONE 'UTC')::date + 2)))
ORDER BY x.agent_id, x.date
LIMIT %(rows_max)s

-- name: record_differences
-- The day is marked, so that it will be right within seconds; so are the conversations whose
-- messages name another agent, for they may be the cause.
WITH found AS MATERIALIZED (
    SELECT * FROM unnest(%(agent_ids)s::uuid[], %(dates)s::date[], %(stored)s::text[],
                         %(expected)s::text[]) AS f (agent_id, date, stored, expected)
), strays AS (
    INSERT INTO worker.stats_marks (agent_id, from_at, until_at, conversation_id)
    SELECT DISTINCT c.agent_id, now(), now(), c.id
    FROM public.conversations AS c JOIN public.messages AS m ON m.conversation_id = c.id
    WHERE c.agent_id IN (SELECT agent_id FROM found) AND m.agent_id IS DISTINCT FROM c.agent_id
), marked AS (
    INSERT INTO worker.stats_marks (agent_id, from_at, until_at)
    SELECT f.agent_id, f.date::timestamp AT TIME ZONE p.time_zone,
           f.date::timestamp AT TIME ZONE p.time_zone
    FROM found AS f JOIN public.agents AS a ON a.id = f.agent_id
    JOIN public.user_profiles AS p ON p.id = a.user_id
)
INSERT INTO worker.stats_differences (agent_id, date, stored, expected)
SELECT agent_id, date, stored::jsonb, expected::jsonb FROM found

-- name: count_differences
-- `lasting` were found again after they were marked, or nobody served the mark yet.
SELECT count(*) AS found, count(*) FILTER (WHERE repaired_at IS NULL) AS lasting,
       max(found_at) AS last_at
FROM worker.stats_differences WHERE found_at > now() - make_interval(days => %(days)s)

-- name: delete_gone
-- What agents that are gone left behind, where a transaction wrote it while they were deleted.
WITH opens AS (
    DELETE FROM worker.kept_opens AS k
    WHERE NOT EXISTS (SELECT FROM public.agents AS a WHERE a.id = k.agent_id)
)
DELETE FROM worker.stats_differences AS d
WHERE NOT EXISTS (SELECT FROM public.agents AS a WHERE a.id = d.agent_id)
   OR d.found_at < now() - make_interval(days => %(days)s)
