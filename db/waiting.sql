-- Why a job waits: what stands before it, counted no further than anybody would read.

-- name: list_blockers
-- What it waits for and that has not ended, oldest first.
SELECT w.waits_for AS id, j.kind, j.state
FROM worker.waits AS w JOIN worker.jobs AS j ON j.id = w.waits_for
WHERE w.job_id = %(job_id)s AND w.ended_as IS NULL
ORDER BY w.waits_for LIMIT %(rows_max)s

-- name: count_blockers
SELECT count(*)::int FROM (
    SELECT FROM worker.waits WHERE job_id = %(job_id)s AND ended_as IS NULL LIMIT %(rows_max)s) AS w

-- name: read_hold
-- As the dispatcher reads it: past its time a hold means nothing, or its then_cap.
SELECT h.cap, h.until_at, h.reason FROM (
    SELECT CASE WHEN until_at <= clock_timestamp() THEN then_cap ELSE cap END AS cap,
           CASE WHEN until_at > clock_timestamp() THEN until_at END AS until_at, reason
    FROM worker.lane_holds WHERE lane = %(lane)s AND lane LIKE '%%:%%') AS h
WHERE h.cap IS NOT NULL

-- name: count_lanes_ahead
-- Available jobs of these lanes.
SELECT count(*)::int FROM (
    SELECT FROM unnest(%(priorities)s::int[], %(tenants)s::uuid[], %(lanes)s::text[])
        AS ahead (priority, tenant, lane)
    CROSS JOIN LATERAL (
        SELECT FROM worker.jobs AS j
        WHERE j.queue = %(queue)s AND j.state = 'available' AND j.priority = ahead.priority
          AND coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid) = ahead.tenant
          AND j.lane = ahead.lane LIMIT %(rows_max)s) AS each
    LIMIT %(rows_max)s) AS found

-- name: count_lane_before
-- Those of its own lane that are dealt before it.
SELECT count(*)::int FROM (
    SELECT FROM worker.jobs AS j
    WHERE j.queue = %(queue)s AND j.state = 'available' AND j.priority = %(priority)s
      AND coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid) = %(tenant)s
      AND j.lane = %(lane)s AND (j.run_at, j.id) < (%(run_at)s::timestamptz, %(job_id)s::bigint)
    LIMIT %(rows_max)s) AS found

-- name: count_busy
-- What runs of a queue, what only lies on its runway, and who is there to move jobs at all.
SELECT (SELECT count(*) FROM worker.jobs
        WHERE queue = %(queue)s AND state = 'running')::int AS running,
       (SELECT count(*) FROM worker.processes
        WHERE role = 'dispatcher' AND expires_at > clock_timestamp())::int AS dispatchers,
       coalesce((SELECT extract(epoch FROM clock_timestamp() - max(renewed_at))
                 FROM worker.processes WHERE role = 'dispatcher'
                   AND expires_at > clock_timestamp()), 0)::float8 AS silent_s,
       (SELECT epoch FROM worker.runway) AS epoch
