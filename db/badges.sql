-- What the bar shows beside the names of pages. Each stops counting early.

-- name: count
SELECT
    (SELECT count(*) FROM (
        SELECT FROM worker.jobs
        WHERE state IN ('completed', 'discarded', 'cancelled') AND state = 'discarded'
          AND finished_at > now() - interval '1 hour'
        LIMIT %(count_max)s + 1) AS d)::int AS discards,
    (SELECT count(*) FROM worker.pauses WHERE scope IN ('queue', 'kind'))::int AS paused_queues,
    (SELECT count(*) FROM worker.pauses WHERE scope = 'tenant')::int AS paused_tenants,
    (SELECT count(*) FROM (
        (SELECT s.id FROM public.knowledge_sources AS s
         WHERE s.status = 'failed' LIMIT %(count_max)s + 1)
        UNION
        (SELECT y.source_id FROM worker.source_syncs AS y
         WHERE y.failures >= %(failures_min)s LIMIT %(count_max)s + 1)
        LIMIT %(count_max)s + 1) AS s)::int AS failing_sources,
    -- Cut off by failing. One that its owner switched off is as it should be.
    (SELECT count(*) FROM (
        SELECT FROM worker.endpoints AS e JOIN public.webhooks AS w ON w.id = e.webhook_id
        WHERE (e.open_until IS NOT NULL OR e.disabled_reason IS NOT NULL)
          AND CASE WHEN w.is_active THEN e.open_until > now()
                   ELSE e.disabled_reason IS NOT NULL END
        LIMIT %(count_max)s + 1) AS w)::int AS stopped_webhooks,
    (SELECT count(*) FROM (
        SELECT FROM public.email_logs WHERE status = 'uncertain'
        LIMIT %(count_max)s + 1) AS e)::int AS uncertain_emails
