-- Processes as a page shows them: what each does, whether it is ill, what its jobs usually take.

-- name: list_processes
-- The dead ones too, until the dispatcher has taken back what they held and forgets them.
SELECT p.id, p.role, left(p.host, 200) AS host, p.pid, p.queues, p.stats, p.started_at,
       p.renewed_at, p.expires_at, p.drain_requested_at, left(p.cause, 500) AS cause,
       clock_timestamp() AS now
FROM worker.processes AS p
ORDER BY p.role = 'worker' DESC, p.role, p.host, p.started_at, p.id LIMIT %(rows_max)s

-- name: list_running
-- What processes run, by process: how many, and the oldest of each.
SELECT r.worker_id, r.queue, r.jobs, r.id, r.kind, r.attempt, r.started_at FROM (
    SELECT j.worker_id, j.queue, j.id, j.kind, j.attempt, j.started_at,
           count(*) OVER (PARTITION BY j.worker_id, j.queue)::int AS jobs,
           row_number() OVER (PARTITION BY j.worker_id, j.queue
                              ORDER BY j.started_at, j.id) AS place
    FROM worker.jobs AS j WHERE j.state = 'running') AS r
WHERE r.place <= %(each_max)s
ORDER BY r.started_at, r.id LIMIT %(rows_max)s

-- name: list_usual
-- The time that 95 of 100 of a kind's jobs needed, of the last ones that ended.
SELECT e.kind, percentile_cont(0.95) WITHIN GROUP (ORDER BY e.run_s) AS p95_s FROM (
    SELECT j.kind, extract(epoch FROM j.finished_at - j.started_at)::float8 AS run_s
    FROM worker.jobs AS j
    WHERE j.state IN ('completed', 'discarded', 'cancelled')
      AND j.finished_at <= statement_timestamp() AND j.started_at <= j.finished_at
      AND isfinite(j.started_at)
    ORDER BY j.finished_at DESC LIMIT %(rows_max)s) AS e
WHERE e.kind = ANY(%(kinds)s::text[]) GROUP BY e.kind HAVING count(*) >= 20
