-- What waits, runs and was started lately, by queue and tenant: for pages, so every count ends
-- somewhere. A tenant of zeros stands for none.

-- name: list_waiting
-- Hops from one (priority, tenant, lane) with work to the next, as the dispatcher does; of each the
-- oldest job, and how many there are up to a limit.
WITH RECURSIVE queues AS (
    SELECT DISTINCT k.queue FROM worker.kinds AS k
), heads AS (
    SELECT q.queue, f.priority, f.tenant, f.lane, f.run_at, 1 AS place
    FROM queues AS q CROSS JOIN LATERAL (
        SELECT j.priority,
               coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid) AS tenant, j.lane,
               j.run_at
        FROM worker.jobs AS j WHERE j.queue = q.queue AND j.state = 'available'
        ORDER BY j.priority, coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid),
                 j.lane, j.run_at LIMIT 1) AS f
    UNION ALL
    SELECT heads.queue, f.priority, f.tenant, f.lane, f.run_at, heads.place + 1
    FROM heads CROSS JOIN LATERAL (
        SELECT j.priority,
               coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid) AS tenant, j.lane,
               j.run_at
        FROM worker.jobs AS j WHERE j.queue = heads.queue AND j.state = 'available'
          AND (j.priority, coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid),
               j.lane) > (heads.priority, heads.tenant, heads.lane)
        ORDER BY j.priority, coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid),
                 j.lane, j.run_at LIMIT 1) AS f
    WHERE heads.place < %(lanes_max)s
)
SELECT h.queue, h.priority, h.tenant, h.lane, h.run_at AS oldest_at, n.jobs
FROM heads AS h CROSS JOIN LATERAL (
    SELECT count(*)::int AS jobs FROM (
        SELECT FROM worker.jobs AS j
        WHERE j.queue = h.queue AND j.state = 'available' AND j.priority = h.priority
          AND coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid) = h.tenant
          AND j.lane = h.lane LIMIT %(jobs_max)s) AS found) AS n

-- name: list_flying
SELECT j.queue, coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid) AS tenant, j.lane,
       count(*) FILTER (WHERE j.state = 'running')::int AS running,
       count(*) FILTER (WHERE j.state = 'dispatched')::int AS dispatched
FROM worker.jobs AS j WHERE j.state IN ('dispatched', 'running') GROUP BY 1, 2, 3

-- name: list_later
-- Scheduled, and to be tried again; what waits for other jobs is scheduled, too.
SELECT l.queue, l.kind, l.state, count(*)::int AS jobs
FROM ((SELECT j.queue, j.kind, j.state FROM worker.jobs AS j
       WHERE j.state IN ('scheduled', 'retryable') AND NOT j.blocked LIMIT %(jobs_max)s)
      UNION ALL
      (SELECT j.queue, j.kind, 'scheduled' FROM worker.jobs AS j
       WHERE j.blocked LIMIT %(jobs_max)s)) AS l
GROUP BY 1, 2, 3

-- name: list_started
-- By minute, of the jobs that ended last, run, or wait for their next attempt.
WITH ended AS MATERIALIZED (
    SELECT j.queue, j.priority, j.tenant, j.started_at, j.finished_at FROM worker.jobs AS j
    WHERE j.state IN ('completed', 'discarded', 'cancelled')
      AND j.finished_at BETWEEN %(since)s AND statement_timestamp()
    ORDER BY j.finished_at DESC LIMIT %(jobs_max)s
), begun AS (
    SELECT e.queue, e.priority, e.tenant, e.started_at FROM ended AS e
    UNION ALL
    SELECT j.queue, j.priority, j.tenant, j.started_at
    FROM worker.jobs AS j WHERE j.state IN ('dispatched', 'running')
    UNION ALL
    (SELECT j.queue, j.priority, j.tenant, j.started_at
     FROM worker.jobs AS j WHERE j.state IN ('scheduled', 'retryable') AND NOT j.blocked
       AND j.started_at IS NOT NULL ORDER BY j.run_at LIMIT %(jobs_max)s)
), span AS (
    SELECT CASE WHEN count(*) < %(jobs_max)s THEN %(since)s::timestamptz
                ELSE min(e.finished_at) END AS since
    FROM ended AS e
)
SELECT s.since, b.queue, b.priority,
       coalesce(b.tenant, '00000000-0000-0000-0000-000000000000'::uuid) AS tenant,
       date_trunc('minute', b.started_at) AS minute, count(b.queue)::int AS jobs
FROM span AS s LEFT JOIN begun AS b
     ON b.started_at BETWEEN s.since AND statement_timestamp()
GROUP BY 1, 2, 3, 4, 5

-- name: list_limits
SELECT k.kind, k.limit_by, k.cap, k.rate_per_s, k.burst FROM worker.kinds AS k

-- name: list_holds
-- What holds now: lanes that are stopped, and those that may have a few jobs at a time.
SELECT h.lane, h.cap, h.until_at, h.reason
FROM (SELECT lane, reason, CASE WHEN until_at <= now() THEN then_cap ELSE cap END AS cap,
             CASE WHEN until_at > now() THEN until_at END AS until_at
      FROM worker.lane_holds) AS h
WHERE h.cap IS NOT NULL ORDER BY h.cap, h.until_at NULLS FIRST, h.lane LIMIT %(rows_max)s

-- name: list_buckets
-- Of kinds with a rate: what each lane may still start at once, the emptiest first.
SELECT b.lane, least(k.burst, b.tokens + k.rate_per_s
           * extract(epoch FROM now() - b.filled_at)::float8) AS tokens
FROM worker.kinds AS k JOIN worker.buckets AS b ON split_part(b.lane, ':', 1) = k.kind
WHERE k.rate_per_s IS NOT NULL ORDER BY tokens, b.lane LIMIT %(rows_max)s

-- name: list_discards
-- A tenant's, among those that were discarded last.
SELECT d.id, d.kind, d.queue, d.attempt, d.finished_at, d.error
FROM (SELECT j.id, j.kind, j.queue, j.attempt, j.tenant, j.finished_at,
             left(j.errors -> -1 ->> 'error', %(chars_max)s) AS error
      FROM worker.jobs AS j WHERE j.state = 'discarded' AND j.finished_at >= %(since)s
      ORDER BY j.finished_at DESC LIMIT %(jobs_max)s) AS d
WHERE d.tenant = %(tenant)s ORDER BY d.finished_at DESC LIMIT %(rows_max)s

-- name: list_runs
-- By kind, of the jobs that ended last: how long their last attempt ran, and how often they failed.
WITH ended AS MATERIALIZED (
    SELECT j.kind, j.state, j.attempt, j.finished_at,
           CASE WHEN isfinite(j.started_at)
                THEN extract(epoch FROM j.finished_at - j.started_at) END::float8 AS run_s
    FROM worker.jobs AS j
    WHERE j.state IN ('completed', 'discarded', 'cancelled')
      AND j.finished_at BETWEEN %(since)s AND statement_timestamp()
    ORDER BY j.finished_at DESC LIMIT %(jobs_max)s
)
SELECT e.kind, count(*)::int AS ended,
       count(*) FILTER (WHERE e.state = 'discarded')::int AS discarded,
       coalesce(sum(greatest(e.attempt - 1, 0)), 0)::bigint AS retries,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY e.run_s) AS p50_s,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY e.run_s) AS p95_s
FROM ended AS e GROUP BY 1

-- name: list_ended
-- By queue and step of time, of the jobs that ended last.
WITH ended AS MATERIALIZED (
    SELECT j.queue, j.state, j.finished_at FROM worker.jobs AS j
    WHERE j.state IN ('completed', 'discarded', 'cancelled')
      AND j.finished_at BETWEEN %(since)s AND statement_timestamp()
    ORDER BY j.finished_at DESC LIMIT %(jobs_max)s
)
SELECT e.queue,
       floor(extract(epoch FROM e.finished_at - %(since)s::timestamptz) / %(step_s)s)::int AS step,
       count(*) FILTER (WHERE e.state = 'completed')::int AS completed,
       count(*) FILTER (WHERE e.state = 'discarded')::int AS discarded
FROM ended AS e GROUP BY 1, 2
