-- One job with all around it, each part cut to what a page shows.

-- name: read_job
-- Arguments and the like beyond their limit are null; their size says so. What is no list of
-- errors, or no error in it, is an error with that text.
SELECT j.id, j.kind, j.queue, j.lane, j.tenant, j.priority, j.state, j.unique_key, j.limit_key,
       j.run_at, j.attempt, j.max_attempts, j.blocked, j.awaited, j.rerun, j.suspicion,
       j.even_if_failed, j.worker_id, j.cancel_requested_at, j.created_at, j.dispatched_at,
       j.started_at, j.finished_at, j.error_group, now() AS now,
       CASE WHEN length(j.args::text) <= %(chars_max)s THEN j.args::text END AS args,
       length(j.args::text) AS args_chars,
       CASE WHEN length(j.result::text) <= %(chars_max)s THEN j.result::text END AS result,
       coalesce(length(j.result::text), 0) AS result_chars,
       CASE WHEN length(j.progress::text) <= %(chars_max)s THEN j.progress::text END AS progress,
       j.waited IS NOT NULL AS waits,
       coalesce((SELECT jsonb_agg(jsonb_build_object(
           'attempt', left(e.value ->> 'attempt', 20), 'at', left(e.value ->> 'at', 40),
           'started_at', left(e.value ->> 'started_at', 40),
           'worker_id', left(e.value ->> 'worker_id', 40),
           'error', left(CASE WHEN jsonb_typeof(e.value) = 'object' THEN e.value ->> 'error'
                              ELSE e.value #>> '{}' END, %(error_chars_max)s),
           'trace', right(e.value ->> 'trace', %(trace_chars_max)s),
           'trace_chars', length(e.value ->> 'trace')) ORDER BY e.place)
        FROM jsonb_array_elements(CASE WHEN jsonb_typeof(j.errors) = 'array' THEN j.errors
                                       ELSE jsonb_build_array(j.errors) END)
             WITH ORDINALITY AS e (value, place)
        WHERE jsonb_typeof(e.value) <> 'null'), '[]') AS errors
FROM worker.jobs AS j WHERE j.id = %(job_id)s

-- name: read_place
-- Who runs it, whose it is, what made it.
SELECT p.host, p.pid, p.expires_at, p.renewed_at, p.drain_requested_at IS NOT NULL AS drains,
       t.schedule, t.fire_at, coalesce(nullif(u.company_name, ''), u.email) AS tenant_name
FROM worker.jobs AS j
LEFT JOIN worker.processes AS p ON p.id = j.worker_id AND j.state = 'running'
LEFT JOIN LATERAL (
    SELECT s.schedule, s.fire_at FROM worker.schedule_ticks AS s
    WHERE s.fire_at BETWEEN greatest(j.created_at, '2000-01-01'::timestamptz) - interval '1 day'
          AND least(j.created_at, '9000-01-01'::timestamptz) + interval '1 minute'
      AND s.job_id = j.id LIMIT 1) AS t ON true
LEFT JOIN public.user_profiles AS u ON u.id = j.tenant
WHERE j.id = %(job_id)s

-- name: list_log
-- The newest lines of one attempt, or of the newest one that logged anything, oldest first.
SELECT l.attempt, l.at, l.level, l.logger, l.message FROM (
    SELECT g.id, g.attempt, g.at, g.level, g.logger,
           left(g.message, %(message_chars_max)s) AS message
    FROM worker.job_logs AS g
    WHERE g.job_id = %(job_id)s
      AND g.attempt = coalesce(%(attempt)s::int, (
          SELECT n.attempt FROM worker.job_logs AS n
          WHERE n.job_id = %(job_id)s ORDER BY n.id DESC LIMIT 1))
      AND (NOT %(warnings)s::bool OR upper(g.level) NOT IN ('DEBUG', 'INFO'))
    ORDER BY g.id DESC LIMIT %(rows_max)s) AS l ORDER BY l.id

-- name: list_logged
-- Attempts that logged anything, the newest first.
SELECT DISTINCT attempt FROM worker.job_logs WHERE job_id = %(job_id)s
ORDER BY attempt DESC LIMIT %(rows_max)s

-- name: count_family
-- Relatives by what became of them.
SELECT f.role, f.state, count(*)::int AS jobs FROM (
    (SELECT 'needs' AS role, coalesce(w.ended_as, j.state, 'pruned') AS state
     FROM worker.waits AS w LEFT JOIN worker.jobs AS j ON j.id = w.waits_for
     WHERE w.job_id = %(job_id)s LIMIT %(looked_max)s)
    UNION ALL
    (SELECT 'next', j.state FROM worker.waits AS w JOIN worker.jobs AS j ON j.id = w.job_id
     WHERE w.waits_for = %(job_id)s LIMIT %(looked_max)s)) AS f
GROUP BY f.role, f.state ORDER BY f.role, jobs DESC, f.state

-- name: list_family
-- What it waits for, and who waits for it, unfinished first.
(SELECT 'needs' AS role, w.waits_for AS id, j.kind, coalesce(w.ended_as, j.state) AS state
 FROM worker.waits AS w LEFT JOIN worker.jobs AS j ON j.id = w.waits_for
 WHERE w.job_id = %(job_id)s ORDER BY w.ended_as IS NOT NULL, w.waits_for LIMIT %(rows_max)s)
UNION ALL
(SELECT 'next', w.job_id, j.kind, j.state
 FROM worker.waits AS w JOIN worker.jobs AS j ON j.id = w.job_id
 WHERE w.waits_for = %(job_id)s ORDER BY w.job_id LIMIT %(rows_max)s)
