-- What operators do to many jobs at once. Rows are locked in the order of their ids, as finishes
-- and cancels lock them, so that nobody waits for another crosswise; the dispatcher passes over.

-- name: plan_to_judge
-- By key, whatever statistics say; kinds and groups, of which there are few, by hash.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('enable_sort', 'off', true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true)

-- name: judge_jobs
-- What there is to know of each before anything is done to it; those of which the same holds come
-- as one row. `twin`: an equal job is unfinished; `later`: a newer equal one is among these;
-- `unfit`: it could not be enqueued as it is. What a path through JSON finds fit is fit; of the
-- rest, worker.args_problem says it, which takes seven times as long.
WITH shapes AS MATERIALIZED (
    SELECT k.kind, k.args, ARRAY(SELECT jsonb_object_keys(k.args)) AS names,
           (SELECT coalesce(string_agg(format(
                CASE WHEN a.type LIKE '%%?' THEN '(!exists($.%%1$s) || %%2$s)' ELSE '%%2$s' END,
                to_json(a.name), format(
                    CASE rtrim(a.type, '?')
                    WHEN 'uuid' THEN '($.%%1$s.type() == "string" && $.%%1$s like_regex "^'
                        '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$" flag "i")'
                    WHEN 'text' THEN '($.%%1$s.type() == "string")'
                    WHEN 'bool' THEN '($.%%1$s.type() == "boolean")'
                    ELSE '(1 == 0)' END, to_json(a.name))), ' && '), '1 == 1')::jsonpath
            FROM jsonb_each_text(k.args) AS a (name, type)) AS fits
    FROM worker.kinds AS k
)
SELECT f.state, f.queue, f.kind, f.blocked, f.waited, f.unfit, f.twin, f.later,
       array_agg(f.id) AS ids, array_agg(f.tenant)::text[] AS tenants
FROM (SELECT j.id, j.state, j.queue, j.kind, j.tenant,
             j.blocked AND j.state <> 'cancelled' AS blocked, j.waited IS NOT NULL AS waited,
             s.kind IS NULL OR %(fit)s
                 AND CASE WHEN jsonb_typeof(j.args) = 'object'
                          THEN j.args - s.names = '{}' AND j.args @@ s.fits END IS NOT TRUE
                 AND worker.args_problem(s.args, j.args) IS NOT NULL AS unfit,
             j.unique_key IS NOT NULL AND EXISTS (
                 SELECT FROM worker.jobs AS t
                 WHERE t.kind = j.kind AND t.unique_key = j.unique_key AND t.id <> j.id
                   AND t.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable'))
                 AS twin,
             j.unique_key IS NOT NULL
                 AND j.id < max(j.id) OVER (PARTITION BY j.unique_key, j.kind) AS later
      FROM worker.jobs AS j LEFT JOIN shapes AS s ON s.kind = j.kind
      WHERE j.id = ANY(%(ids)s::bigint[])) AS f
GROUP BY f.state, f.queue, f.kind, f.blocked, f.waited, f.unfit, f.twin, f.later

-- name: count_waiting
-- Jobs that may run now, by queue, up to `rows_max` of each.
SELECT q.queue, (SELECT count(*)::int FROM (
    SELECT FROM worker.jobs AS j WHERE j.queue = q.queue AND j.state = 'available'
    LIMIT %(rows_max)s) AS found)
FROM unnest(%(queues)s::text[]) AS q (queue)

-- name: list_held_kinds
-- Kinds that are throttled now: lanes that wait until a provider or an endpoint takes more.
SELECT DISTINCT split_part(lane, ':', 1) FROM worker.lane_holds
WHERE until_at > now() AND split_part(lane, ':', 1) = ANY(%(kinds)s::text[])

-- name: begin_part
INSERT INTO worker.bulk_parts (run, part, changed) VALUES (%(run)s, %(part)s, 0)
ON CONFLICT DO NOTHING RETURNING part

-- name: end_part
UPDATE worker.bulk_parts SET changed = %(changed)s WHERE run = %(run)s AND part = %(part)s

-- name: sum_parts
SELECT coalesce(sum(changed), 0)::int FROM worker.bulk_parts WHERE run = %(run)s

-- name: forget_parts
DELETE FROM worker.bulk_parts WHERE at < now() - interval '7 days'

-- name: lock_jobs
SELECT id FROM worker.jobs WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR UPDATE

-- name: spread_jobs
-- After a retry in the same transaction: what shall not begin at once waits for its time.
UPDATE worker.jobs AS j
SET state = 'scheduled', run_at = now() + make_interval(secs => u.delay_s)
FROM unnest(%(ids)s::bigint[], %(delays_s)s::float8[]) AS u (id, delay_s)
WHERE j.id = u.id AND u.delay_s > 0 AND (j.state = 'available') IS TRUE

-- name: discard_jobs
WITH wanted AS MATERIALIZED (
    SELECT j.id FROM worker.jobs AS j
    WHERE j.id = ANY(%(ids)s::bigint[])
      AND (j.state IN ('scheduled', 'available', 'dispatched', 'retryable')) IS TRUE
    ORDER BY j.id FOR UPDATE
)
UPDATE worker.jobs AS j
SET state = 'discarded', finished_at = clock_timestamp(), rerun = false,
    errors = (CASE WHEN jsonb_typeof(j.errors) <> 'array' THEN jsonb_build_array(j.errors)
                   WHEN jsonb_array_length(j.errors) >= %(errors_kept)s THEN j.errors - 0
                   ELSE j.errors END) || jsonb_build_object(
        'attempt', j.attempt, 'at', clock_timestamp(), 'error', %(reason)s::text, 'trace', NULL)
FROM wanted WHERE j.id = wanted.id
RETURNING j.id

-- name: set_priority
-- What was dispatched comes back, to be dealt in its new place.
WITH wanted AS MATERIALIZED (
    SELECT j.id FROM worker.jobs AS j
    WHERE j.id = ANY(%(ids)s::bigint[]) AND j.priority <> %(priority)s
      AND (j.state IN ('scheduled', 'available', 'dispatched', 'retryable')) IS TRUE
    ORDER BY j.id FOR UPDATE
)
UPDATE worker.jobs AS j
SET priority = %(priority)s,
    state = CASE j.state WHEN 'dispatched' THEN 'available' ELSE j.state END
FROM wanted WHERE j.id = wanted.id
RETURNING j.id

-- name: replay_jobs
-- New jobs with the arguments, tenant, key and priority of finished ones, in the order of keys.
SELECT r.id, worker.enqueue(r.kind, r.args, r.tenant, r.unique_key,
                            now() + make_interval(secs => r.delay_s), r.priority)
FROM (SELECT j.id, j.kind, j.args, j.tenant, j.unique_key, j.priority, u.delay_s
      FROM unnest(%(ids)s::bigint[], %(delays_s)s::float8[]) AS u (id, delay_s)
      JOIN worker.jobs AS j ON j.id = u.id
      JOIN worker.kinds AS k ON k.kind = j.kind
      WHERE (j.state IN ('completed', 'discarded', 'cancelled')) IS TRUE AND j.waited IS NULL
        AND worker.args_problem(k.args, j.args) IS NULL
        AND NOT EXISTS (
            SELECT FROM worker.jobs AS t
            WHERE t.kind = j.kind AND t.unique_key = j.unique_key
              AND t.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable'))
        AND NOT EXISTS (
            SELECT FROM worker.jobs AS l
            WHERE l.id = ANY(%(ids)s::bigint[]) AND l.id > j.id
              AND l.kind = j.kind AND l.unique_key = j.unique_key)
      ORDER BY j.kind, j.unique_key, j.id) AS r
