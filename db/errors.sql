-- Errors by what they share (worker.jobs.error_group). Only the newest jobs are looked at, so that
-- the page answers whatever has happened; it says when there are more.

-- name: list_groups
-- Of jobs that were discarded since, and of those that are to be tried again, as of their last
-- attempt. `counts` are jobs in equal parts of the window, oldest first. The null group is of jobs
-- from before errors were grouped, or that an operator gave up on. Parts are made once: inlined,
-- all that was seen is read again for each group, 115 of 250 ms for 33 of them.
WITH seen AS MATERIALIZED (
    (SELECT d.id, d.kind, d.tenant, d.error_group, d.state, d.finished_at AS at
     FROM worker.jobs AS d WHERE d.state = 'discarded' AND d.finished_at >= %(since)s
     ORDER BY d.finished_at DESC LIMIT %(looked_max)s)
    UNION ALL
    (SELECT r.id, r.kind, r.tenant, r.error_group, r.state, r.started_at
     FROM worker.jobs AS r
     WHERE r.state IN ('scheduled', 'retryable') AND NOT r.blocked AND r.state = 'retryable'
       AND r.started_at >= %(since)s LIMIT %(looked_max)s)
), parts AS MATERIALIZED (
    SELECT s.error_group, least(greatest(floor(extract(epoch FROM
                   least(s.at, %(until)s::timestamptz) - %(since)s::timestamptz)::float8
               / extract(epoch FROM %(until)s::timestamptz - %(since)s::timestamptz)::float8
               * %(parts)s::int), 0),
               %(parts)s::int - 1)::int AS part, count(*)::int AS jobs
    FROM seen AS s GROUP BY 1, 2
), hit AS (
    SELECT t.error_group, jsonb_agg(jsonb_build_array(t.tenant, t.jobs) ORDER BY t.jobs DESC)
               FILTER (WHERE t.place <= 3) AS most, count(*)::int AS tenants
    FROM (SELECT s.error_group, s.tenant, count(*)::int AS jobs,
                 row_number() OVER (PARTITION BY s.error_group ORDER BY count(*) DESC) AS place
          FROM seen AS s WHERE s.tenant IS NOT NULL GROUP BY s.error_group, s.tenant) AS t
    GROUP BY t.error_group
), by_kind AS (
    -- Kinds told apart by hash: to sort all that was seen by them took a third of the time.
    SELECT s.error_group, s.kind, count(*) AS jobs,
           count(*) FILTER (WHERE s.state = 'retryable') AS retrying,
           max(s.at) AS last_at, max(s.id) AS newest_id
    FROM seen AS s GROUP BY s.error_group, s.kind
), grouped AS (
    SELECT k.error_group, sum(k.jobs)::int AS jobs, sum(k.retrying)::int AS retrying,
           max(k.last_at) AS last_at, max(k.newest_id) AS newest_id,
           array_agg(k.kind ORDER BY k.kind) AS kinds
    FROM by_kind AS k GROUP BY k.error_group
    ORDER BY sum(k.jobs) DESC LIMIT %(groups_max)s
)
SELECT g.error_group AS fingerprint, g.jobs, g.retrying, g.last_at, g.kinds,
       left(newest.errors -> -1 ->> 'error', 400) AS error,
       substring(right(newest.errors -> -1 ->> 'trace', 2000)
                 FROM '\n  [^\n]*\n([A-Za-z_][A-Za-z_0-9.]*)[^\n]*\n?$') AS type,
       (SELECT coalesce(f.started_at, f.created_at) FROM worker.jobs AS f
        WHERE f.error_group = g.error_group ORDER BY f.id LIMIT 1) AS first_at,
       coalesce(h.most, '[]') AS most_hit, coalesce(h.tenants, 0) AS tenants,
       ARRAY(SELECT coalesce(p.jobs, 0) FROM generate_series(0, %(parts)s::int - 1) AS n
             LEFT JOIN parts AS p
                 ON p.part = n AND p.error_group IS NOT DISTINCT FROM g.error_group
             ORDER BY n) AS counts
FROM grouped AS g JOIN worker.jobs AS newest ON newest.id = g.newest_id
LEFT JOIN hit AS h ON h.error_group IS NOT DISTINCT FROM g.error_group
ORDER BY g.jobs DESC, g.last_at DESC

-- name: group_errors
-- Jobs that failed and have no group, because something other than a worker wrote them, or they are
-- from before there were groups. What an operator gave up on failed in no way of its own.
WITH newest AS MATERIALIZED (
    (SELECT d.id, d.errors -> -1 AS error
     FROM worker.jobs AS d WHERE d.state = 'discarded' AND d.finished_at >= %(since)s
       AND d.error_group IS NULL ORDER BY d.finished_at DESC LIMIT %(looked_max)s)
    UNION ALL
    (SELECT r.id, r.errors -> -1
     FROM worker.jobs AS r
     WHERE r.state IN ('scheduled', 'retryable') AND NOT r.blocked AND r.state = 'retryable'
       AND r.started_at >= %(since)s AND r.error_group IS NULL LIMIT %(looked_max)s)
), wanted AS MATERIALIZED (
    SELECT l.id FROM worker.jobs AS l
    WHERE l.id = ANY(ARRAY(
        SELECT n.id FROM newest AS n
        WHERE jsonb_typeof(n.error) = 'object'
          AND NOT starts_with(coalesce(n.error ->> 'error', ''), 'Discarded by an operator:')
        LIMIT %(rows_max)s))
    ORDER BY l.id FOR UPDATE SKIP LOCKED
)
UPDATE worker.jobs AS j
SET error_group = worker.fingerprint(j.errors -> -1 ->> 'error', j.errors -> -1 ->> 'trace')
FROM wanted WHERE j.id = wanted.id AND j.error_group IS NULL
  AND (j.state IN ('discarded', 'retryable')) IS TRUE

-- name: read_sample
-- The newest job of a group, with its last error.
SELECT j.id, j.kind, j.queue, j.state, j.attempt, j.max_attempts,
       coalesce(j.finished_at, j.started_at, j.created_at) AS at,
       left(j.errors -> -1 ->> 'error', 2000) AS error,
       right(j.errors -> -1 ->> 'trace', 8000) AS trace,
       worker.mask_error(j.errors -> -1 ->> 'error') AS masked
FROM worker.jobs AS j WHERE j.error_group = %(fingerprint)s ORDER BY j.id DESC LIMIT 1

-- name: count_group
-- The newest of a group, by what there is to know of it.
WITH newest AS MATERIALIZED (
    SELECT j.kind, j.tenant, j.state, coalesce(j.finished_at, j.started_at) AS at
    FROM worker.jobs AS j WHERE j.error_group = %(fingerprint)s
    ORDER BY j.id DESC LIMIT %(looked_max)s)
SELECT (SELECT count(*)::int FROM newest) AS jobs,
       (SELECT coalesce(jsonb_object_agg(s.state, s.jobs), '{}')
        FROM (SELECT state, count(*) AS jobs FROM newest GROUP BY state) AS s) AS states,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(k.kind, k.jobs) ORDER BY k.jobs DESC), '[]')
        FROM (SELECT kind, count(*) AS jobs FROM newest GROUP BY kind
              ORDER BY count(*) DESC LIMIT 10) AS k) AS kinds,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(t.tenant, t.jobs) ORDER BY t.jobs DESC), '[]')
        FROM (SELECT tenant, count(*) AS jobs FROM newest WHERE tenant IS NOT NULL
              GROUP BY tenant ORDER BY count(*) DESC LIMIT 8) AS t) AS most_hit,
       (SELECT count(DISTINCT tenant)::int FROM newest) AS tenants,
       (SELECT max(at) FROM newest) AS last_at,
       (SELECT coalesce(f.started_at, f.created_at) FROM worker.jobs AS f
        WHERE f.error_group = %(fingerprint)s ORDER BY f.id LIMIT 1) AS first_at,
       ARRAY(SELECT coalesce(c.jobs, 0) FROM generate_series(0, %(parts)s - 1) AS p (part)
             LEFT JOIN (
                 SELECT floor(extract(epoch FROM n.at - %(since)s::timestamptz)
                            / extract(epoch FROM %(until)s::timestamptz - %(since)s::timestamptz)
                            * %(parts)s)::int AS part, count(*)::int AS jobs
                 FROM newest AS n WHERE n.at >= %(since)s AND n.at < %(until)s GROUP BY 1
             ) AS c ON c.part = p.part ORDER BY p.part) AS counts
