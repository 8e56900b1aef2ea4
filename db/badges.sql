-- What the bar shows beside the names of pages. Each stops counting early.

-- name: count
SELECT
    (SELECT count(*) FROM (
        SELECT FROM worker.jobs
        WHERE state IN ('completed', 'discarded', 'cancelled') AND state = 'discarded'
          AND finished_at > now() - interval '1 hour' LIMIT %(count_max)s + 1) AS d)::int AS discards,
    (SELECT count(*) FROM worker.pauses WHERE scope IN ('queue', 'kind'))::int AS paused_queues,
    (SELECT count(*) FROM worker.pauses WHERE scope = 'tenant')::int AS paused_tenants,
    (SELECT count(*) FROM (
        SELECT FROM public.knowledge_sources WHERE status = 'failed'
        LIMIT %(count_max)s + 1) AS s)::int AS failing_sources,
    (SELECT count(*) FROM (
        SELECT FROM public.webhooks WHERE NOT is_active LIMIT %(count_max)s + 1) AS w
    )::int AS stopped_webhooks,
    (SELECT count(*) FROM (
        SELECT FROM public.email_logs WHERE status = 'uncertain'
        LIMIT %(count_max)s + 1) AS e)::int AS uncertain_emails
