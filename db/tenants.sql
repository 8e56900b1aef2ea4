-- The accounts behind tenants, as operators look for them, and what was done about one.

-- name: list_accounts
SELECT p.id, p.full_name, p.company_name, p.email, p.subscription_tier AS tier
FROM public.user_profiles AS p WHERE p.id = ANY(%(ids)s::uuid[])

-- name: page_accounts
SELECT p.id, p.full_name, p.company_name, p.email, p.subscription_tier AS tier
FROM public.user_profiles AS p
WHERE (%(after)s::uuid IS NULL OR p.id > %(after)s::uuid) AND p.id <> ALL(%(but)s::uuid[])
ORDER BY p.id LIMIT %(rows_max)s

-- name: count_accounts
SELECT count(*)::int FROM (
    SELECT FROM public.user_profiles AS p WHERE p.id <> ALL(%(but)s::uuid[])
    LIMIT %(rows_max)s) AS found

-- name: find_accounts
-- By the beginning of a mail address, of a name or of a company's; LIKE's own signs are escaped.
SELECT p.id, p.full_name, p.company_name, p.email, p.subscription_tier AS tier
FROM public.user_profiles AS p
WHERE lower(p.email) LIKE %(pattern)s OR lower(p.full_name) LIKE %(pattern)s
   OR lower(p.company_name) LIKE %(pattern)s
ORDER BY p.id LIMIT %(rows_max)s

-- name: list_history
-- Pauses and weights, the newest first; each action's last entries are looked through.
SELECT a.at, a.operator, a.action, a.why, a.details
FROM unnest(%(actions)s::text[]) AS wanted (action) CROSS JOIN LATERAL (
    SELECT l.id, l.at, l.operator, l.action, l.why, l.details, l.target
    FROM worker.audit_log AS l WHERE l.action = wanted.action
    ORDER BY l.id DESC LIMIT %(seen_max)s) AS a
WHERE a.target = %(target)s ORDER BY a.id DESC LIMIT %(rows_max)s

-- name: read_usage
-- The months are calendar months in UTC; the allowance is the account's own period.
SELECT p.monthly_messages_used AS messages_used, p.monthly_message_limit AS messages_max,
       p.usage_period_start AS period_from, s.total_ai_cost AS cost_usd,
       s.total_tokens AS tokens, s.total_ai_requests AS calls
FROM public.user_profiles AS p
LEFT JOIN public.monthly_usage_summary AS s ON s.user_id = p.id
    AND (s.year, s.month) = (SELECT extract(year FROM d), extract(month FROM d)
                             FROM (SELECT now() AT TIME ZONE 'UTC' AS d) AS today)
WHERE p.id = %(id)s
