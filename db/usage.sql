-- Months of usage, periods that are over, and who is told of their limit.

-- name: find_marked
-- Hops from one marked user to the next, whatever number of marks lies between.
WITH RECURSIVE users AS (
    (SELECT m.user_id, 1 AS place FROM worker.usage_marks AS m
     WHERE %(after)s::uuid IS NULL OR m.user_id > %(after)s::uuid ORDER BY m.user_id LIMIT 1)
    UNION ALL
    SELECT following.user_id, users.place + 1
    FROM users CROSS JOIN LATERAL (
        SELECT m.user_id FROM worker.usage_marks AS m
        WHERE m.user_id > users.user_id ORDER BY m.user_id LIMIT 1) AS following
    WHERE users.place < %(users_max)s
)
SELECT user_id FROM users ORDER BY user_id

-- name: find_users
-- Whoever used something, or is said to have, since the month before this one began.
SELECT p.id FROM public.user_profiles AS p
WHERE (%(after)s::uuid IS NULL OR p.id > %(after)s::uuid) AND (
    EXISTS (
        SELECT FROM public.usage_logs AS u
        WHERE u.user_id = p.id AND u.created_at >= %(since)s::timestamp AT TIME ZONE 'UTC')
    OR EXISTS (
        SELECT FROM public.monthly_usage_summary AS s
        WHERE s.user_id = p.id AND (s.year, s.month) >= (
            extract(year FROM %(since)s::date), extract(month FROM %(since)s::date))))
ORDER BY p.id LIMIT %(users_max)s

-- name: find_months
SELECT (this - interval '1 month')::date, this::date
FROM date_trunc('month', now() AT TIME ZONE 'UTC') AS this

-- name: hold_user
-- An account that is being deleted takes its summaries with it: it is waited for here, where
-- nothing else is held yet.
SELECT FROM public.user_profiles WHERE id = %(user_id)s FOR KEY SHARE

-- name: take_marks
-- Marks that another run takes are served by it.
WITH taken AS (
    DELETE FROM worker.usage_marks AS m WHERE m.id IN (
        SELECT w.id FROM worker.usage_marks AS w WHERE w.user_id = %(user_id)s
        ORDER BY w.id LIMIT %(marks_max)s FOR UPDATE SKIP LOCKED)
    RETURNING m.month)
SELECT DISTINCT month FROM taken ORDER BY month

-- name: create_months
-- Rows to lock, where logs are and no row is. log_usage makes its own.
INSERT INTO public.monthly_usage_summary
    (user_id, year, month, message_limit, total_agents)
SELECT p.id, extract(year FROM m.first), extract(month FROM m.first), p.monthly_message_limit,
       (SELECT count(*) FROM public.agents AS a
        WHERE a.user_id = p.id
          AND a.created_at < (m.first + interval '1 month') AT TIME ZONE 'UTC')
FROM public.user_profiles AS p CROSS JOIN unnest(%(months)s::date[]) AS m (first)
WHERE p.id = %(user_id)s AND EXISTS (
    SELECT FROM public.usage_logs AS u
    WHERE u.user_id = p.id AND u.created_at >= m.first::timestamp AT TIME ZONE 'UTC'
      AND u.created_at < (m.first + interval '1 month') AT TIME ZONE 'UTC')
ORDER BY m.first
ON CONFLICT (user_id, year, month) DO NOTHING

-- name: lock_months
SELECT s.id FROM public.monthly_usage_summary AS s
JOIN unnest(%(months)s::date[]) AS m (first)
    ON s.year = extract(year FROM m.first) AND s.month = extract(month FROM m.first)
WHERE s.user_id = %(user_id)s
ORDER BY s.year, s.month FOR UPDATE OF s

-- name: recompute_months
-- With a snapshot taken after the rows were locked, and of these rows alone: what log_usage adds
-- meanwhile waits and is added to the result. A month that is over keeps its limit and agents.
WITH counted AS MATERIALIZED (
    SELECT s.id, m.first, l.*, s.total_agents AS agents, s.message_limit AS allowed
    FROM public.monthly_usage_summary AS s
    CROSS JOIN LATERAL (SELECT make_date(s.year, s.month, 1) AS first) AS m
    CROSS JOIN LATERAL (
        SELECT count(*) AS logs,
               count(*) FILTER (WHERE u.usage_type = 'message')::int AS messages,
               count(*) FILTER (WHERE u.usage_type = 'conversation')::int AS conversations,
               coalesce(sum(u.total_tokens), 0)::bigint AS tokens,
               count(*) FILTER (WHERE u.total_tokens > 0)::int AS requests,
               least(coalesce(sum(u.total_cost), 0), 9999999999) AS cost
        FROM public.usage_logs AS u
        WHERE u.user_id = s.user_id AND u.created_at >= m.first::timestamp AT TIME ZONE 'UTC'
          AND u.created_at < (m.first + interval '1 month') AT TIME ZONE 'UTC') AS l
    WHERE s.id = ANY(%(ids)s::uuid[])
), running AS MATERIALIZED (
    SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date AS first,
           p.monthly_message_limit AS allowed,
           (SELECT count(*)::int FROM public.agents AS a WHERE a.user_id = p.id) AS agents
    FROM public.user_profiles AS p WHERE p.id = %(user_id)s
), wanted AS MATERIALIZED (
    SELECT c.id, c.first, c.logs, c.messages, c.conversations, c.tokens, c.requests, c.cost,
           CASE WHEN c.first >= r.first THEN r.agents ELSE c.agents END AS agents,
           CASE WHEN c.first >= r.first THEN r.allowed ELSE c.allowed END AS allowed
    FROM counted AS c CROSS JOIN running AS r
), emptied AS (
    DELETE FROM public.monthly_usage_summary AS s USING wanted AS w
    WHERE s.id = w.id AND w.logs = 0 RETURNING w.first
), updated AS (
    UPDATE public.monthly_usage_summary AS s
    SET total_messages = w.messages, total_conversations = w.conversations,
        total_agents = w.agents, total_tokens = w.tokens, total_ai_requests = w.requests,
        total_ai_cost = w.cost, message_limit = w.allowed,
        messages_remaining = greatest(w.allowed - w.messages, 0),
        overage_messages = greatest(w.messages - w.allowed, 0)
    FROM wanted AS w
    WHERE s.id = w.id AND w.logs > 0 AND (
        s.total_messages, s.total_conversations, s.total_agents, s.total_tokens,
        s.total_ai_requests, s.total_ai_cost, s.message_limit, s.messages_remaining,
        s.overage_messages) IS DISTINCT FROM (
        w.messages, w.conversations, w.agents, w.tokens, w.requests, w.cost, w.allowed,
        greatest(w.allowed - w.messages, 0), greatest(w.messages - w.allowed, 0))
    RETURNING w.first
), changed AS (
    SELECT first FROM emptied UNION ALL SELECT first FROM updated
)
SELECT c.first, EXISTS (
    SELECT FROM worker.usage_marks AS m
    WHERE m.user_id = %(user_id)s AND m.month = c.first) AS is_marked
FROM changed AS c ORDER BY c.first

-- name: end_periods
SELECT worker.end_periods(%(profiles_max)s, (now() AT TIME ZONE 'UTC')::date)

-- name: tell_of_usage
SELECT worker.tell_of_usage(%(users_max)s)
