-- The life of a job. Batched statements probe the primary key once per row: a plain
-- `UPDATE ... FROM unnest ... WHERE state = ...` turns into a nested loop over a partial index
-- when statistics are stale (350x slower), so the rows are locked through LATERAL first, and the
-- update joins by key. What is claimed and finished all the time is one statement and no
-- transaction around it; elsewhere `plan_by_key` runs first in the same transaction. A process that
-- freezes or is cut off within one loses it soon, for others wait for its locks.

-- name: plan_by_key
SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('enable_seqscan', 'off', true),
       set_config('idle_in_transaction_session_timeout', '10s', true)

-- name: begin_turn
-- As plan_by_key; and the epoch that Redis must agree on.
SELECT epoch, set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true),
       set_config('idle_in_transaction_session_timeout', '10s', true)
FROM worker.runway

-- name: limit_idling
SELECT set_config('idle_in_transaction_session_timeout', '10s', true)

-- name: enqueue
SELECT worker.enqueue(%(kind)s, %(args)s, %(tenant)s, %(unique_key)s,
                      coalesce(%(run_at)s, now()), %(priority)s, %(on_conflict)s)

-- name: enqueue_many
SELECT worker.enqueue_many(%(kind)s, %(args)s::jsonb[], %(tenant)s, coalesce(%(run_at)s, now()),
                           %(priority)s)

-- name: read_clock
SELECT now()

-- name: copy_jobs
-- For kinds that have neither a unique key nor a tenant to be found.
COPY worker.jobs (kind, queue, tenant, priority, state, args, limit_key, run_at, max_attempts)
FROM STDIN

-- name: list_kinds
SELECT kind, queue, args, max_attempts, unique_by, rerun, limit_by, cap, rate_per_s, burst
FROM worker.kinds ORDER BY kind

-- name: promote_due
-- Scheduled and retryable rows whose time has come, oldest first.
UPDATE worker.jobs SET state = 'available'
WHERE id IN (
    SELECT id FROM worker.jobs
    WHERE state IN ('scheduled', 'retryable') AND NOT blocked AND run_at <= now()
    ORDER BY run_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED)

-- name: next_due_s
-- Seconds until the next scheduled or retryable row is due, or a lane is held no longer; null
-- without either.
SELECT extract(epoch FROM least(
    (SELECT min(run_at) FROM worker.jobs
     WHERE state IN ('scheduled', 'retryable') AND NOT blocked),
    (SELECT min(until_at) FROM worker.lane_holds WHERE until_at > now())) - clock_timestamp()
    )::float8

-- name: claim_jobs
-- Only the dispatch we were sent for; a stale or repeated message claims nothing.
WITH wanted AS MATERIALIZED (
    SELECT found.id
    FROM unnest(%(ids)s::bigint[], %(seqs)s::int[]) AS u(id, seq)
    CROSS JOIN LATERAL (
        SELECT j.id FROM worker.jobs AS j
        WHERE j.id = u.id AND j.dispatch_seq = u.seq AND (j.state = 'dispatched') IS TRUE
        FOR UPDATE SKIP LOCKED) AS found
)
UPDATE worker.jobs AS j
SET state = 'running', attempt = j.attempt + 1, worker_id = %(worker_id)s,
    started_at = clock_timestamp(), progress = NULL
FROM wanted WHERE j.id = wanted.id
RETURNING j.id, j.kind, j.queue, j.tenant, j.args, j.attempt, j.max_attempts, j.waited,
          j.traceparent

-- name: adopt_jobs
-- What a claim took whose answer never came: these tickets' jobs, if they run in this process.
SELECT j.id, j.kind, j.queue, j.tenant, j.args, j.attempt, j.max_attempts, j.waited, j.traceparent
FROM unnest(%(ids)s::bigint[], %(seqs)s::int[]) AS u(id, seq)
JOIN worker.jobs AS j ON j.id = u.id AND j.dispatch_seq = u.seq
WHERE (j.state = 'running' AND j.worker_id = %(worker_id)s) IS TRUE

-- name: finish_jobs
-- Fenced: a finish whose attempt is no longer the running one matches nothing. A job that was
-- asked to run again while it ran goes back to available, whatever its outcome; one that was
-- asked to stop and did not complete is cancelled. `spared` outcomes (hand-back, snooze) burn
-- no attempt, so max_attempts grows instead.
WITH ended AS MATERIALIZED (
    SELECT found.id, u.delay_s, u.error, u.spared, u.result, found.again,
           CASE WHEN found.again THEN 'available'
                WHEN found.cancelled AND u.state NOT IN ('completed', 'discarded')
                    THEN 'cancelled'
                ELSE u.state END AS state
    FROM unnest(%(ids)s::bigint[], %(attempts)s::int[], %(states)s::text[],
                %(delays_s)s::float8[], %(errors)b::jsonb[], %(spared)s::bool[],
                %(results)b::jsonb[])
        AS u(id, attempt, state, delay_s, error, spared, result)
    CROSS JOIN LATERAL (
        SELECT j.id, j.cancel_requested_at IS NOT NULL AS cancelled,
               j.rerun AND (NOT u.spared OR j.cancel_requested_at IS NOT NULL) AS again
        FROM worker.jobs AS j
        WHERE j.id = u.id AND j.attempt = u.attempt AND (j.state = 'running') IS TRUE
        FOR UPDATE) AS found
)
UPDATE worker.jobs AS j
SET state = ended.state,
    rerun = j.rerun AND NOT ended.again,
    cancel_requested_at = CASE WHEN ended.state IN ('completed', 'discarded', 'cancelled')
                               THEN j.cancel_requested_at END,
    max_attempts = CASE
        WHEN ended.again THEN j.attempt
            + (SELECT k.max_attempts FROM worker.kinds AS k WHERE k.kind = j.kind)
        WHEN ended.spared THEN j.max_attempts + 1
        ELSE j.max_attempts END,
    run_at = CASE WHEN ended.state IN ('available', 'retryable', 'scheduled')
                  THEN clock_timestamp() + make_interval(secs => ended.delay_s)
                  ELSE j.run_at END,
    finished_at = CASE WHEN ended.state IN ('completed', 'discarded', 'cancelled')
                       THEN clock_timestamp() END,
    suspicion = CASE WHEN ended.spared AND ended.state <> 'retryable' THEN j.suspicion ELSE 0 END,
    result = ended.result,
    error_group = CASE WHEN ended.error IS NULL OR ended.state NOT IN ('retryable', 'discarded')
                       THEN j.error_group
                       ELSE worker.fingerprint(ended.error ->> 'error',
                                               ended.error ->> 'trace') END,
    errors = CASE WHEN ended.error IS NULL THEN j.errors
                  ELSE (CASE WHEN jsonb_typeof(j.errors) <> 'array' THEN jsonb_build_array(j.errors)
                             WHEN jsonb_array_length(j.errors) >= %(errors_kept)s THEN j.errors - 0
                             ELSE j.errors END)
                       || (ended.error || jsonb_build_object(
                           'at', clock_timestamp(), 'started_at', j.started_at,
                           'worker_id', j.worker_id)) END
FROM ended WHERE j.id = ended.id
RETURNING j.id, j.state

-- name: cancel_jobs
-- At once where it waits; a request where it runs, which its finish may beat.
WITH wanted AS MATERIALIZED (
    SELECT j.id FROM worker.jobs AS j
    WHERE j.id = ANY(%(ids)s::bigint[])
      AND (j.state IN ('scheduled', 'available', 'dispatched', 'retryable', 'running')) IS TRUE
    ORDER BY j.id FOR UPDATE
)
UPDATE worker.jobs AS j
SET state = CASE j.state WHEN 'running' THEN 'running' ELSE 'cancelled' END,
    finished_at = CASE j.state WHEN 'running' THEN NULL ELSE clock_timestamp() END,
    cancel_requested_at = coalesce(j.cancel_requested_at, clock_timestamp()),
    rerun = false,
    errors = CASE WHEN j.cancel_requested_at IS NOT NULL THEN j.errors
                  ELSE j.errors || jsonb_build_object(
                      'attempt', j.attempt, 'at', clock_timestamp(),
                      'error', %(reason)s::text, 'trace', NULL) END
FROM wanted WHERE j.id = wanted.id
RETURNING j.id, j.state

-- name: list_cancel_requests
SELECT id, attempt FROM worker.jobs
WHERE queue = ANY(%(queues)s::text[]) AND worker_id = %(worker_id)s AND state = 'running'
  AND cancel_requested_at IS NOT NULL

-- name: hold
-- Every writing transaction of a job begins here: no row means the lease was lost. The rescuer
-- passes over a held row, so who stands still in between loses it before the lease runs out.
-- IS TRUE keeps the planner off the index of all that is in flight, which it takes for empty.
SELECT set_config('idle_in_transaction_session_timeout', '15s', true) FROM worker.jobs
WHERE id = %(job_id)s AND attempt = %(attempt)s AND (state = 'running') IS TRUE FOR SHARE

-- name: report_progress
UPDATE worker.jobs SET progress = %(progress)s
WHERE id = %(job_id)s AND attempt = %(attempt)s AND (state = 'running') IS TRUE

-- name: rescue_running
-- Jobs of processes whose lease ran out, or that are gone. What their parent did not see running
-- is innocent. What it saw running is next run alone; a loss that nobody saw makes a suspect
-- only when it happens twice. A suspect that ran alone when its process died burnt its attempt.
-- So did a job that ran past its time limit: that alone is then to blame. Of crowded queues, of
-- which a process runs hundreds at once, each death counts little, and whatever blocks one job
-- makes the others late. In the order of their index: ordered by id, stale statistics lead to a
-- scan of the whole table.
WITH lost AS MATERIALIZED (
    SELECT j.id, j.queue = ANY(%(crowded)s::text[]) AS crowded, j.suspicion AS had,
           j.attempt >= j.max_attempts AS spent, j.rerun,
           j.cancel_requested_at IS NOT NULL AS cancelled, p.cause,
           p.overdue ->> j.id::text AS limit_s,
           CASE WHEN p.overdue ? j.id::text THEN 2
                WHEN p.started IS NULL THEN 1
                WHEN p.overdue IS NULL AND j.id = ANY(p.started) THEN 2
                ELSE 0 END AS weight
    FROM worker.jobs AS j
    LEFT JOIN worker.processes AS p ON p.id = j.worker_id
    WHERE j.state = 'running' AND (p.id IS NULL OR p.expires_at < clock_timestamp())
    ORDER BY j.queue, j.worker_id LIMIT %(rows_max)s FOR UPDATE OF j SKIP LOCKED
), judged AS (
    SELECT l.*, CASE WHEN l.crowded THEN least(l.weight, 1) ELSE l.weight END AS suspicion,
           l.limit_s IS NOT NULL AND NOT l.crowded OR l.weight > 0 AND l.had >=
               CASE WHEN l.crowded THEN %(alone_from_in_crowd)s::int
                    ELSE %(alone_from)s::int END AS burnt
    FROM lost AS l
), ruled AS (
    SELECT g.id, g.suspicion, g.burnt,
           g.rerun AND (g.cancelled OR (g.burnt AND g.spent)) AS again,
           CASE WHEN g.limit_s IS NULL
                THEN 'The worker process died while it ran this job'
                     || coalesce(': ' || g.cause, '') || '.'
                ELSE format('The job ran longer than its time limit of %%s s and could not be '
                            'interrupted; its worker process was ended.', g.limit_s) END AS error,
           CASE WHEN g.cancelled AND NOT g.rerun THEN 'cancelled'
                WHEN g.burnt AND g.spent AND NOT g.rerun THEN 'discarded'
                ELSE 'available' END AS state
    FROM judged AS g
)
UPDATE worker.jobs AS j
SET state = ruled.state,
    rerun = j.rerun AND NOT ruled.again,
    cancel_requested_at = CASE WHEN ruled.again THEN NULL ELSE j.cancel_requested_at END,
    suspicion = j.suspicion + ruled.suspicion,
    max_attempts = CASE
        WHEN ruled.again THEN j.attempt
            + (SELECT k.max_attempts FROM worker.kinds AS k WHERE k.kind = j.kind)
        WHEN ruled.burnt THEN j.max_attempts
        ELSE j.max_attempts + 1 END,
    finished_at = CASE WHEN ruled.state IN ('discarded', 'cancelled')
                       THEN clock_timestamp() END,
    errors = CASE WHEN ruled.suspicion = 0 THEN j.errors ELSE
        (CASE WHEN jsonb_typeof(j.errors) <> 'array' THEN jsonb_build_array(j.errors)
              WHEN jsonb_array_length(j.errors) >= %(errors_kept)s THEN j.errors - 0
              ELSE j.errors END) || jsonb_build_object(
            'attempt', j.attempt, 'at', clock_timestamp(), 'started_at', j.started_at,
            'worker_id', j.worker_id, 'trace', NULL, 'error', ruled.error) END,
    error_group = CASE WHEN ruled.suspicion > 0 AND ruled.state = 'discarded'
                       THEN worker.fingerprint(ruled.error, NULL) ELSE j.error_group END
FROM ruled WHERE j.id = ruled.id
RETURNING j.id, j.kind, j.state, j.attempt

-- name: forget_dead_processes
-- Not behind one that froze in the middle of its renewal: all dispatchers would wait for it.
DELETE FROM worker.processes WHERE id IN (
    SELECT p.id FROM worker.processes AS p
    WHERE p.expires_at < clock_timestamp()
      AND NOT EXISTS (SELECT FROM worker.jobs AS j
                      WHERE j.worker_id = p.id AND j.state = 'running')
    FOR UPDATE SKIP LOCKED)

-- name: list_stale_dispatches
-- Dispatched a while ago and claimed by nobody: the push was lost, or the claimer died.
SELECT id, dispatch_seq, queue FROM worker.jobs
WHERE state = 'dispatched' AND dispatched_at < clock_timestamp() - make_interval(secs => %(age_s)s)
ORDER BY id LIMIT %(rows_max)s

-- name: recall_jobs
-- Back from the runway: a claim with the old dispatch_seq finds no match once it is sent again.
WITH wanted AS MATERIALIZED (
    SELECT found.id FROM unnest(%(ids)s::bigint[], %(seqs)s::int[]) AS u(id, seq)
    CROSS JOIN LATERAL (
        SELECT j.id FROM worker.jobs AS j
        WHERE j.id = u.id AND j.dispatch_seq = u.seq AND (j.state = 'dispatched') IS TRUE
        FOR UPDATE SKIP LOCKED) AS found
)
UPDATE worker.jobs AS j SET state = 'available' FROM wanted WHERE j.id = wanted.id RETURNING j.id

-- name: recall_old_epochs
-- Redis lost its memory: what was on the old runway is on no runway.
UPDATE worker.jobs SET state = 'available'
WHERE state = 'dispatched' AND dispatch_epoch IS DISTINCT FROM %(epoch)s
RETURNING id

-- name: read_epoch
SELECT epoch FROM worker.runway

-- name: renew_epoch
-- Only from the epoch that was seen to be lost: of two dispatchers one renews.
UPDATE worker.runway SET epoch = gen_random_uuid() WHERE epoch = %(lost)s

-- name: set_idle
UPDATE worker.runway SET idle = %(idle)s WHERE idle IS DISTINCT FROM %(idle)s

-- name: get_job
SELECT id, kind, queue, tenant, priority, state, args, unique_key, limit_key, run_at, attempt,
       max_attempts, blocked, progress, result, waited, errors, worker_id, cancel_requested_at,
       created_at, dispatched_at, started_at, finished_at
FROM worker.jobs WHERE id = %(job_id)s

-- name: list_jobs
-- Newest first; a null filter matches all.
SELECT id, kind, queue, tenant, priority, state, args, unique_key, limit_key, run_at, attempt,
       max_attempts, blocked, progress, result, waited, errors, worker_id, cancel_requested_at,
       created_at, dispatched_at, started_at, finished_at
FROM worker.jobs
WHERE (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(queue)s::text IS NULL OR queue = %(queue)s)
ORDER BY id DESC LIMIT %(rows_max)s

-- name: retry_jobs
-- A finished job runs again with its whole plan of attempts; a waiting one runs now. Skipped
-- when an unfinished twin holds its unique key; of several asked for, the newest gets it.
UPDATE worker.jobs AS j
SET state = 'available', blocked = false, run_at = now(), finished_at = NULL, suspicion = 0,
    cancel_requested_at = NULL, result = NULL,
    max_attempts = greatest(j.max_attempts, j.attempt + k.max_attempts)
FROM worker.kinds AS k
WHERE k.kind = j.kind AND j.id = ANY(%(ids)s::bigint[])
  AND j.state IN ('discarded', 'cancelled', 'completed', 'retryable', 'scheduled')
  AND (NOT j.blocked OR j.state = 'cancelled')
  AND NOT EXISTS (
      SELECT FROM worker.jobs AS twin
      WHERE twin.kind = j.kind AND twin.unique_key = j.unique_key AND twin.id <> j.id
        AND twin.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable'))
  AND NOT EXISTS (
      SELECT FROM worker.jobs AS later
      WHERE later.id = ANY(%(ids)s::bigint[]) AND later.id > j.id
        AND later.kind = j.kind AND later.unique_key = j.unique_key)
RETURNING j.id

-- name: append_effect
INSERT INTO worker.probe_effects (effect, job_id, attempt)
VALUES (%(effect)s, %(job_id)s, %(attempt)s) ON CONFLICT DO NOTHING
