-- What the overview shows beside what is counted elsewhere. Each reads few rows.

-- name: list_slots
-- What live workers offer to each queue, and on how many hosts.
SELECT q.key AS queue, sum((q.value ->> 'threads')::int)::int AS slots,
       count(DISTINCT p.host)::int AS hosts
FROM worker.processes AS p CROSS JOIN LATERAL jsonb_each(p.queues) AS q
WHERE p.role = 'worker' AND p.expires_at > clock_timestamp() GROUP BY q.key

-- name: count_hosts
SELECT count(DISTINCT host)::int FROM worker.processes
WHERE role = 'worker' AND expires_at > clock_timestamp()

-- name: list_running
SELECT queue, count(*)::int AS jobs FROM worker.jobs
WHERE state IN ('dispatched', 'running') AND state = 'running' GROUP BY queue

-- name: read_next_schedule
SELECT name, next_at FROM worker.schedules
WHERE retired_at IS NULL AND paused_at IS NULL AND next_at IS NOT NULL
ORDER BY next_at, name LIMIT 1

-- name: list_discards
-- The newest; their errors may be long, so that only the beginning travels.
SELECT j.id, j.kind, j.tenant, left(coalesce(p.company_name, p.full_name), %(name_max)s) AS account,
       j.attempt, j.max_attempts, j.finished_at,
       left(j.errors -> -1 ->> 'error', %(error_max)s) AS error
FROM (SELECT * FROM worker.jobs WHERE state = 'discarded' AND finished_at IS NOT NULL
      ORDER BY finished_at DESC, id DESC LIMIT %(rows_max)s) AS j
LEFT JOIN public.user_profiles AS p ON p.id = j.tenant
ORDER BY j.finished_at DESC, j.id DESC

-- name: count_discards
SELECT count(*)::int FROM (
    SELECT FROM worker.jobs
    WHERE state = 'discarded' AND finished_at > now() - interval '1 hour'
    LIMIT %(count_max)s + 1) AS d

-- name: has_jobs
-- Besides what the clock enqueues; of many jobs some are not.
SELECT count(*) = %(few)s
       OR count(*) FILTER (WHERE j.kind NOT IN (SELECT s.kind FROM worker.schedules AS s)) > 0
FROM (SELECT kind FROM worker.jobs LIMIT %(few)s) AS j
