-- What tenants may spend on embedding, and jobs that sleep because it is spent.

-- name: reserve_spending
SELECT r.allowed, r.cap_usd, r.resumes_at, now() AS asked_at
FROM worker.reserve_spending(%(job_id)s, %(attempt)s, %(tenant)s, %(usd)s) AS r

-- name: pause_job
INSERT INTO worker.spending_pauses (job_id, tenant, needs_usd)
VALUES (%(job_id)s, %(tenant)s, %(needs_usd)s)
ON CONFLICT (job_id) DO UPDATE SET paused_at = now(), needs_usd = excluded.needs_usd

-- name: explain_pause
-- On the source that waits for it. One that is not worked on does not wait.
UPDATE public.knowledge_sources
SET error_message = %(note)s::text,
    progress = jsonb_build_object('stage', 'paused', 'note', %(note)s::text)
WHERE id = %(source_id)s AND status = 'processing'

-- name: wake_paused_jobs
SELECT worker.wake_paused_jobs()

-- name: set_cap
INSERT INTO worker.tenants AS t (tenant, embedding_cap_usd) VALUES (%(tenant)s, %(cap_usd)s)
ON CONFLICT (tenant) DO UPDATE SET embedding_cap_usd = excluded.embedding_cap_usd

-- name: list_tenants
-- Those with a cap or a weight, and those that spent something this month.
SELECT p.id AS tenant, p.email, coalesce(t.weight, 1)::float8 AS weight,
       t.embedding_cap_usd AS cap_usd, worker.embedding_spent_usd(p.id) AS spent_usd,
       (SELECT count(*) FROM worker.spending_pauses AS s WHERE s.tenant = p.id) AS paused_jobs
FROM public.user_profiles AS p LEFT JOIN worker.tenants AS t ON t.tenant = p.id
WHERE t.tenant IS NOT NULL OR EXISTS (
    SELECT FROM public.usage_logs AS u
    WHERE u.user_id = p.id AND u.usage_type = 'embedding'
      AND u.created_at >= date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')
ORDER BY spent_usd DESC, p.id LIMIT %(rows_max)s

-- name: find_tenant
SELECT 1 FROM public.user_profiles WHERE id = %(tenant)s

-- name: list_prices
SELECT model, usd_per_million FROM worker.embedding_prices
