-- Jobs that wait for other jobs. The rules are in the functions, for callers in SQL keep them too.

-- name: enqueue_after
SELECT worker.enqueue_after(%(kind)s, %(args)s, %(after)s::bigint[], %(tenant)s,
                            %(even_if_failed)s, coalesce(%(run_at)s, now()), %(priority)s)

-- name: add_waits
SELECT worker.add_waits(%(job_id)s, %(after)s::bigint[])

-- name: settle
SELECT worker.settle(%(rows_max)s)

-- name: count_waits
-- Of one kind, or of all. A job that is gone has no kind any more.
SELECT count(*) FILTER (WHERE ended_as IS NULL) AS open,
       count(*) FILTER (WHERE ended_as = 'completed') AS completed,
       count(*) FILTER (WHERE ended_as = 'discarded') AS discarded,
       count(*) FILTER (WHERE ended_as = 'cancelled') AS cancelled
FROM worker.waits AS w WHERE job_id = %(job_id)s
  AND (%(kind)s::text IS NULL OR EXISTS (
      SELECT FROM worker.jobs AS j WHERE j.id = w.waits_for AND j.kind = %(kind)s::text))

-- name: list_failed
-- The first by id of those that did not complete, with their arguments.
SELECT w.waits_for, j.kind, j.args, w.ended_as, j.errors -> -1 ->> 'error'
FROM worker.waits AS w JOIN worker.jobs AS j ON j.id = w.waits_for
WHERE w.job_id = %(job_id)s AND w.ended_as IN ('discarded', 'cancelled')
  AND (%(kind)s::text IS NULL OR j.kind = %(kind)s)
ORDER BY w.waits_for LIMIT %(rows_max)s

-- name: find_waiter
-- What of this kind still waits for the job.
SELECT min(w.job_id) FROM worker.waits AS w JOIN worker.jobs AS j ON j.id = w.job_id
WHERE w.waits_for = %(job_id)s AND j.kind = %(kind)s AND j.state = 'scheduled' AND j.blocked
