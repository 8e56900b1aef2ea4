-- What usage cost, by day (UTC), model and tenant, for the page of usage.

-- name: sum_days
SELECT (u.created_at AT TIME ZONE 'UTC')::date AS day, u.usage_type, u.ai_model AS model,
       count(*) AS calls, coalesce(sum(u.total_tokens::bigint), 0)::bigint AS tokens,
       coalesce(sum(u.total_cost), 0) AS cost_usd
FROM public.usage_logs AS u
WHERE u.created_at >= %(from_on)s::timestamp AT TIME ZONE 'UTC'
  AND u.created_at < %(until_on)s::timestamp AT TIME ZONE 'UTC'
GROUP BY 1, 2, 3

-- name: list_spenders
-- Of one day, from the logs. Without a user: of accounts that are gone.
SELECT u.user_id AS tenant, count(*) AS calls,
       coalesce(sum(u.total_tokens::bigint), 0)::bigint AS tokens, sum(u.total_cost) AS cost_usd
FROM public.usage_logs AS u
WHERE u.created_at >= %(from_on)s::timestamp AT TIME ZONE 'UTC'
  AND u.created_at < %(until_on)s::timestamp AT TIME ZONE 'UTC'
GROUP BY 1 ORDER BY cost_usd DESC, tenant LIMIT %(rows_max)s

-- name: list_month
-- Of a calendar month (UTC), as its summaries say: seconds behind the logs. Accounts that are gone
-- have none: theirs is what the logs say.
(SELECT s.user_id AS tenant, s.total_ai_requests AS calls, s.total_tokens AS tokens,
        s.total_ai_cost AS cost_usd
 FROM public.monthly_usage_summary AS s
 WHERE s.year = %(year)s AND s.month = %(month)s AND s.total_tokens + s.total_ai_cost > 0
 ORDER BY s.total_ai_cost DESC, s.user_id LIMIT %(rows_max)s)
UNION ALL
SELECT NULL, count(*), coalesce(sum(u.total_tokens::bigint), 0)::bigint, sum(u.total_cost)
FROM public.usage_logs AS u
WHERE u.user_id IS NULL
  AND u.created_at >= make_date(%(year)s, %(month)s, 1)::timestamp AT TIME ZONE 'UTC'
  AND u.created_at < (make_date(%(year)s, %(month)s, 1)::timestamp + interval '1 month')
                     AT TIME ZONE 'UTC'
HAVING count(*) > 0
ORDER BY cost_usd DESC, tenant

-- name: list_unpriced
-- Models of which usage has no price: hops from one to the next, and counts up to a limit.
WITH RECURSIVE models AS (
    (SELECT u.ai_model, u.created_at AS first_at, 1 AS place FROM public.usage_logs AS u
     WHERE u.metadata @> '{"unpriced": true}' ORDER BY u.ai_model, u.created_at LIMIT 1)
    UNION ALL
    SELECT f.ai_model, f.created_at, m.place + 1
    FROM models AS m CROSS JOIN LATERAL (
        SELECT u.ai_model, u.created_at FROM public.usage_logs AS u
        WHERE u.metadata @> '{"unpriced": true}' AND u.ai_model > m.ai_model
        ORDER BY u.ai_model, u.created_at LIMIT 1) AS f
    WHERE m.place < %(models_max)s
)
SELECT m.ai_model AS model, n.calls, n.tokens, m.first_at
FROM models AS m CROSS JOIN LATERAL (
    SELECT count(*) AS calls, coalesce(sum(c.total_tokens::bigint), 0)::bigint AS tokens
    FROM (SELECT u.total_tokens FROM public.usage_logs AS u
          WHERE u.metadata @> '{"unpriced": true}' AND u.ai_model = m.ai_model
          LIMIT %(calls_max)s) AS c) AS n
ORDER BY n.calls DESC, m.ai_model

-- name: list_near_limits
-- Users at four fifths of their messages or beyond, in the period that they are in.
SELECT p.id AS tenant, p.monthly_messages_used AS used, p.monthly_message_limit AS allowed,
       p.subscription_tier AS tier, p.usage_period_start AS period_from
FROM public.user_profiles AS p
WHERE p.monthly_messages_used > 0 AND p.monthly_messages_used >= 0.8 * p.monthly_message_limit
ORDER BY p.monthly_messages_used::float8 / greatest(p.monthly_message_limit, 1) DESC, p.id
LIMIT %(rows_max)s

-- name: list_spent_budgets
-- Tenants whose embedding waits, for what they may spend in a month is spent.
SELECT s.tenant, count(*)::int AS jobs, min(s.paused_at) AS since, t.embedding_cap_usd AS cap_usd
FROM worker.spending_pauses AS s LEFT JOIN worker.tenants AS t ON t.tenant = s.tenant
GROUP BY s.tenant, t.embedding_cap_usd ORDER BY jobs DESC, s.tenant LIMIT %(rows_max)s

-- name: list_stuck_periods
-- Periods that are over and could not be closed.
SELECT b.user_id AS tenant, b.period_start, b.period_end, b.error_message
FROM worker.billing_periods AS b
WHERE b.closed_at IS NULL AND b.error_message IS NOT NULL
ORDER BY b.period_end, b.user_id LIMIT %(rows_max)s
