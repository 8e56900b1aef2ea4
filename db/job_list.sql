-- Jobs that a filter names, read so that nobody who looks waits long: rows come from a source of
-- at most `looked_max` in order, and the conditions are asked of those. db/job_list.py puts a
-- source in place of the table, conditions and order in place of their marks; each statement is
-- whole without them, too.

-- name: plan_for_pages
-- By index, whatever statistics say, and without a second core.
SELECT set_config('enable_seqscan', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true)

-- name: plan_lightly
SELECT set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true)

-- name: by_id
ORDER BY j.id DESC

-- name: by_finish
ORDER BY j.finished_at DESC, j.id DESC

-- name: look_at_all
SELECT j.* FROM worker.jobs AS j WHERE j.id < %(before_id)s
ORDER BY j.id DESC LIMIT %(looked_max)s

-- name: look_at_finished
SELECT j.* FROM worker.jobs AS j
WHERE j.state IN ('completed', 'discarded', 'cancelled')
  AND (%(state)s::text IS NULL OR j.state = %(state)s::text)
  AND (%(since)s::timestamptz IS NULL OR j.finished_at >= %(since)s::timestamptz)
  AND (%(until)s::timestamptz IS NULL OR j.finished_at <= %(until)s::timestamptz)
  AND (j.finished_at, j.id) < (%(before_at)s::timestamptz, %(before_id)s::bigint)
ORDER BY j.finished_at DESC, j.id DESC LIMIT %(looked_max)s

-- name: look_at_group
SELECT j.* FROM worker.jobs AS j
WHERE j.error_group = %(group)s AND j.id < %(before_id)s
ORDER BY j.id DESC LIMIT %(looked_max)s

-- name: look_at_ids
SELECT j.* FROM worker.jobs AS j
WHERE j.id = ANY(%(ids)s::bigint[]) AND j.id < %(before_id)s
ORDER BY j.id DESC LIMIT %(looked_max)s

-- name: look_at_unfinished
-- Each part reads an index of its own, and none where no such state is asked for.
SELECT j.* FROM (
    SELECT a.* FROM worker.jobs AS a
    WHERE a.state = 'available' AND 'available' = ANY(%(states)s::text[])
    UNION ALL
    SELECT d.* FROM worker.jobs AS d
    WHERE d.state IN ('scheduled', 'retryable') AND NOT d.blocked
      AND '{scheduled,retryable}' && %(states)s::text[]
    UNION ALL
    SELECT b.* FROM worker.jobs AS b
    WHERE b.blocked AND b.state IN ('scheduled', 'retryable')
      AND '{scheduled,retryable}' && %(states)s::text[]
    UNION ALL
    SELECT f.* FROM worker.jobs AS f
    WHERE f.state IN ('dispatched', 'running') AND '{dispatched,running}' && %(states)s::text[]
    ) AS j
WHERE j.id < %(before_id)s LIMIT %(looked_max)s

-- name: list_rows
SELECT j.id, j.kind, j.queue, j.tenant, j.priority, j.state, j.attempt, j.max_attempts, j.run_at,
       j.created_at, j.started_at, j.finished_at, j.error_group,
       left(j.errors -> -1 ->> 'error', 300) AS error,
       (SELECT jsonb_object_agg(a.key, left(a.value #>> '{}', 60))
        FROM jsonb_each(CASE WHEN jsonb_typeof(j.args) = 'object' THEN j.args ELSE '{}' END) AS a
        WHERE a.key LIKE '%%\_id') AS ids,
       CASE WHEN isfinite(j.created_at)
            THEN extract(epoch FROM now()) - extract(epoch FROM j.created_at) END::float8 AS age_s,
       CASE WHEN isfinite(j.started_at) AND isfinite(coalesce(j.finished_at, now()))
            THEN extract(epoch FROM CASE
                WHEN j.state = 'running' THEN now()
                WHEN j.state IN ('completed', 'discarded') THEN j.finished_at
                END) - extract(epoch FROM j.started_at) END::float8 AS ran_s
FROM /* source */ worker.jobs AS j /* end */
WHERE true /* conditions */
/* order */ ORDER BY j.id DESC /* end */ LIMIT %(rows_max)s

-- name: list_ids
-- Rows come in the source's order. The last one that was looked at comes, too, whether it matches
-- or not: to look for it by itself would read all of them again.
SELECT l.id, l.finished_at, l.matches, l.number = %(looked_max)s AS is_edge
FROM (SELECT j.id, j.finished_at, (true /* conditions */) IS TRUE AS matches,
             row_number() OVER (/* order */ ORDER BY j.id DESC /* end */) AS number
      FROM /* source */ worker.jobs AS j /* end */) AS l
WHERE l.matches OR l.number = %(looked_max)s LIMIT %(rows_max)s

-- name: find_edge
-- The last of the rows that were looked at; none where there were fewer.
SELECT j.id, j.finished_at
FROM /* source */ worker.jobs AS j /* end */
/* order */ ORDER BY j.id DESC /* end */ OFFSET %(looked_max)s::bigint - 1 LIMIT 1

-- name: count_rows
-- How many were looked at, and how many of them match, by state; of several sources in one look.
SELECT %(number)s::int AS source, j.state, count(*)::int AS looked,
       (count(*) FILTER (WHERE true /* conditions */))::int
FROM /* source */ worker.jobs AS j /* end */ GROUP BY j.state

-- name: count_minutes
-- By minute, oldest first: how many were looked at, and how many of them match.
SELECT date_trunc('minute', j.finished_at) AS minute, count(*)::int AS looked,
       (count(*) FILTER (WHERE true /* conditions */))::int
FROM /* source */ worker.jobs AS j /* end */
WHERE j.finished_at IS NOT NULL GROUP BY 1 ORDER BY 1

-- name: count_unfinished
SELECT count(*)::int FROM (
    (SELECT FROM worker.jobs AS j WHERE j.state = 'available' LIMIT %(rows_max)s)
    UNION ALL (SELECT FROM worker.jobs AS j
               WHERE j.state IN ('scheduled', 'retryable') AND NOT j.blocked LIMIT %(rows_max)s)
    UNION ALL (SELECT FROM worker.jobs AS j WHERE j.blocked LIMIT %(rows_max)s)
    UNION ALL (SELECT FROM worker.jobs AS j
               WHERE j.state IN ('dispatched', 'running') LIMIT %(rows_max)s)) AS found

-- name: read_now
SELECT now()

-- name: list_words
-- What kind and queue may be, and the arguments that kinds take.
SELECT kind, queue, args FROM worker.kinds ORDER BY kind

-- name: list_seen_words
-- Kinds and queues of jobs, also such as no code knows any more: of the newest and of discarded
-- ones, and what statistics find often. Older ones that completed may be missing.
WITH RECURSIVE discarded AS (
    (SELECT j.queue, j.kind FROM worker.jobs AS j
     WHERE j.state = 'discarded' ORDER BY j.queue, j.kind LIMIT 1)
    UNION ALL
    SELECT n.queue, n.kind FROM discarded AS d CROSS JOIN LATERAL (
        SELECT j.queue, j.kind FROM worker.jobs AS j
        WHERE j.state = 'discarded' AND (j.queue, j.kind) > (d.queue, d.kind)
        ORDER BY j.queue, j.kind LIMIT 1) AS n
), seen AS MATERIALIZED (
    (SELECT d.queue, d.kind FROM discarded AS d LIMIT %(words_max)s)
    UNION
    SELECT n.queue, n.kind
    FROM (SELECT j.queue, j.kind FROM worker.jobs AS j ORDER BY j.id DESC LIMIT 5000) AS n
)
SELECT 'kind' AS field, s.kind AS word FROM seen AS s
UNION SELECT 'queue', s.queue FROM seen AS s
UNION SELECT p.attname::text, unnest(p.most_common_vals::text::text[]) FROM pg_catalog.pg_stats AS p
WHERE p.schemaname = 'worker' AND p.tablename = 'jobs' AND p.attname IN ('kind', 'queue')
ORDER BY 1, 2 LIMIT 2 * %(words_max)s

-- name: list_recent_tenants
-- Whose jobs came last, with the name that they go by.
SELECT t.tenant, coalesce(nullif(p.company_name, ''), nullif(p.full_name, ''), p.email) AS name,
       t.jobs
FROM (SELECT r.tenant, count(*)::int AS jobs
      FROM (SELECT j.tenant FROM worker.jobs AS j ORDER BY j.id DESC LIMIT 2000) AS r
      WHERE r.tenant IS NOT NULL GROUP BY r.tenant) AS t
LEFT JOIN public.user_profiles AS p ON p.id = t.tenant
WHERE t.tenant::text LIKE %(pattern)s OR p.email ILIKE %(pattern)s
   OR p.company_name ILIKE %(pattern)s OR p.full_name ILIKE %(pattern)s
ORDER BY t.jobs DESC LIMIT %(rows_max)s

-- name: list_recent_groups
SELECT g.error_group, g.jobs, left(j.errors -> -1 ->> 'error', 200) AS error
FROM (SELECT r.error_group, count(*)::int AS jobs, max(r.id) AS id
      FROM (SELECT d.error_group, d.id FROM worker.jobs AS d WHERE d.state = 'discarded'
            ORDER BY d.finished_at DESC, d.id DESC LIMIT 2000) AS r
      WHERE r.error_group IS NOT NULL GROUP BY r.error_group) AS g
JOIN worker.jobs AS j ON j.id = g.id
ORDER BY g.jobs DESC LIMIT %(rows_max)s

-- name: name_tenants
SELECT p.id, coalesce(nullif(p.company_name, ''), nullif(p.full_name, ''), p.email)
FROM public.user_profiles AS p WHERE p.id = ANY(%(ids)s::uuid[])
