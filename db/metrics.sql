-- Figures of all processes, for /metrics.

-- name: wait_briefly
-- A process that froze between two of our statements holds its rows: then we count on and add
-- later.
SELECT set_config('lock_timeout', '250ms', true)

-- name: add_deltas
-- Rows in the order of their key, so that two processes never wait for each other crosswise.
INSERT INTO worker.metrics AS m (name, labels, value)
SELECT u.name, u.labels, u.value
FROM unnest(%(names)s::text[], %(labels)s::jsonb[], %(values)s::float8[]) AS u (name, labels, value)
ORDER BY u.name, u.labels
ON CONFLICT (name, labels) DO UPDATE SET value = m.value + excluded.value

-- name: read_totals
SELECT name, labels, value FROM worker.metrics ORDER BY name, labels

-- name: count_gently
-- By bitmaps: a million rows in the order of the index took 1.7 s, in the order of the table 0.3 s.
-- A sequential scan reads the finished rows too, and a figure is not worth a second core.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true),
       set_config('statement_timeout', '10s', true)

-- name: count_jobs
-- Each part reads one partial index: unfinished and discarded jobs only. `waited_s` is since when
-- the oldest job that is due has not begun; null where none is.
WITH counted AS (
    SELECT queue, kind, state, count(*) AS jobs, min(run_at) AS run_at
    FROM worker.jobs WHERE state = 'available' GROUP BY queue, kind, state
    UNION ALL
    SELECT queue, kind, state, count(*), min(run_at)
    FROM worker.jobs WHERE state IN ('scheduled', 'retryable') AND NOT blocked
    GROUP BY queue, kind, state
    UNION ALL
    SELECT queue, kind, state, count(*), min(run_at) FILTER (WHERE state = 'dispatched')
    FROM worker.jobs WHERE state IN ('dispatched', 'running') GROUP BY queue, kind, state
    UNION ALL
    SELECT queue, kind, 'discarded', count(*), NULL
    FROM worker.jobs WHERE state = 'discarded' AND %(with_discarded)s GROUP BY queue, kind
    UNION ALL
    SELECT queue, kind, 'scheduled', count(*), NULL
    FROM worker.jobs WHERE blocked AND state = 'scheduled' GROUP BY queue, kind
)
SELECT queue, kind, state, sum(jobs)::bigint AS jobs,
       extract(epoch FROM clock_timestamp() - min(run_at)
           FILTER (WHERE run_at <= clock_timestamp()))::float8 AS waited_s
FROM counted GROUP BY queue, kind, state

-- name: count_processes
SELECT role, count(*) FROM worker.processes WHERE expires_at > clock_timestamp() GROUP BY role

-- name: count_pauses
SELECT scope, count(*) FROM worker.pauses GROUP BY scope
