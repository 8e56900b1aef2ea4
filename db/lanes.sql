-- Who is dealt to next: lanes are what shares a priority, a tenant, a cap and a rate. Operators'
-- pauses stand beside them, for they hold lanes back too.

-- name: take_queues
-- The queues that live workers serve and this transaction may dispatch: one dispatcher at a time
-- per queue. `job_ms` is null where no worker has measured it yet.
SELECT served.queue, served.threads, served.job_ms
FROM (SELECT q.key AS queue, sum((q.value ->> 'threads')::int)::int AS threads,
             avg((q.value ->> 'job_ms')::float8) AS job_ms
      FROM worker.processes AS p CROSS JOIN LATERAL jsonb_each(p.queues) AS q
      WHERE p.role = 'worker' AND p.expires_at > clock_timestamp() AND q.key = ANY(%(queues)s)
      GROUP BY q.key) AS served
WHERE pg_try_advisory_xact_lock(hashtext('worker.dispatch'), hashtext(served.queue))

-- name: count_in_flight
SELECT queue, coalesce(tenant, '00000000-0000-0000-0000-000000000000'::uuid), lane, count(*),
       bool_or(state = 'running' AND started_at < clock_timestamp() - interval '1 second')
FROM worker.jobs WHERE state IN ('dispatched', 'running') GROUP BY queue, tenant, lane

-- name: list_lanes
-- Hops from one (priority, tenant, lane) with work to the next, whatever lies between.
WITH RECURSIVE heads AS (
    (SELECT j.priority, coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid) AS tenant,
            j.lane, 1 AS place
     FROM worker.jobs AS j
     WHERE j.queue = %(queue)s AND j.state = 'available'
       AND (j.priority, coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid), j.lane)
           > (%(priority)s::int, %(tenant)s::uuid, %(lane)s::text)
     ORDER BY j.priority, coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid), j.lane
     LIMIT 1)
    UNION ALL
    SELECT following.priority, following.tenant, following.lane, heads.place + 1
    FROM heads CROSS JOIN LATERAL (
        SELECT j.priority,
               coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid) AS tenant, j.lane
        FROM worker.jobs AS j
        WHERE j.queue = %(queue)s AND j.state = 'available'
          AND (j.priority, coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid),
               j.lane) > (heads.priority, heads.tenant, heads.lane)
        ORDER BY j.priority,
                 coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid), j.lane
        LIMIT 1) AS following
    WHERE heads.place < %(lanes_max)s
)
SELECT priority, tenant, lane FROM heads ORDER BY place

-- name: dispatch_jobs
-- The oldest of each lane, as many as it was dealt.
WITH chosen AS MATERIALIZED (
    SELECT oldest.id
    FROM unnest(%(priorities)s::int[], %(tenants)s::uuid[], %(lanes)s::text[],
                %(quotas)s::int[]) AS dealt (priority, tenant, lane, quota)
    CROSS JOIN LATERAL (
        SELECT j.id FROM worker.jobs AS j
        WHERE j.queue = %(queue)s AND j.state = 'available' AND j.priority = dealt.priority
          AND coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid) = dealt.tenant
          AND j.lane = dealt.lane
        ORDER BY j.run_at, j.id LIMIT dealt.quota FOR UPDATE SKIP LOCKED) AS oldest
)
UPDATE worker.jobs AS j
SET state = 'dispatched', dispatch_seq = j.dispatch_seq + 1, dispatch_epoch = %(epoch)s,
    dispatched_at = clock_timestamp()
FROM chosen WHERE j.id = chosen.id
RETURNING j.id, j.dispatch_seq, j.suspicion >= %(alone_from)s AS alone, j.kind, j.priority,
          coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid) AS tenant, j.lane,
          j.run_at, extract(epoch FROM j.dispatched_at - j.run_at)::float8 AS lag_s

-- name: list_pauses
SELECT scope, name, reason, paused_at, paused_by FROM worker.pauses ORDER BY scope, name

-- name: set_weight
INSERT INTO worker.tenants AS t (tenant, weight) VALUES (%(tenant)s, %(weight)s)
ON CONFLICT (tenant) DO UPDATE SET weight = excluded.weight

-- name: list_weights
SELECT tenant, weight FROM worker.tenants WHERE weight <> 1

-- name: list_limits
-- Kinds whose lanes are held back.
SELECT kind, cap, rate_per_s, burst FROM worker.kinds
WHERE cap IS NOT NULL OR rate_per_s IS NOT NULL

-- name: list_holds
SELECT h.lane, h.cap FROM (
    SELECT lane, CASE WHEN until_at <= clock_timestamp() THEN then_cap ELSE cap END AS cap
    FROM worker.lane_holds WHERE lane = ANY(%(lanes)s::text[])) AS h
WHERE h.cap IS NOT NULL

-- name: fill_buckets
-- What the buckets of these lanes hold by now; a lane without a row has a full one.
SELECT b.lane, b.tokens + b.per_s * extract(epoch FROM now() - b.filled_at)::float8
FROM (SELECT wanted.lane, wanted.per_s, k.tokens, k.filled_at
      FROM unnest(%(lanes)s::text[], %(rates_per_s)s::float8[]) AS wanted (lane, per_s)
      JOIN worker.buckets AS k ON k.lane = wanted.lane) AS b

-- name: store_buckets
INSERT INTO worker.buckets AS b (lane, tokens, filled_at)
SELECT lane, tokens, now()
FROM unnest(%(lanes)s::text[], %(tokens)s::float8[]) AS spent (lane, tokens)
ON CONFLICT (lane) DO UPDATE SET tokens = excluded.tokens, filled_at = excluded.filled_at

-- name: lock_queues
-- Waits for the dispatchers' present turns: what is changed after it, their next turns see.
SELECT pg_advisory_xact_lock(hashtext('worker.dispatch'), hashtext(queue))
FROM (SELECT DISTINCT queue FROM worker.kinds ORDER BY queue) AS q

-- name: pause
-- What is paused already keeps its time; the reason is that of who came last.
INSERT INTO worker.pauses AS p (scope, name, reason, paused_by)
VALUES (%(scope)s, %(name)s, %(reason)s, %(paused_by)s)
ON CONFLICT (scope, name) DO UPDATE
SET reason = excluded.reason, paused_by = excluded.paused_by
WHERE (p.reason, p.paused_by) IS DISTINCT FROM (excluded.reason, excluded.paused_by)

-- name: resume
DELETE FROM worker.pauses WHERE scope = %(scope)s AND name = %(name)s

-- name: recall_paused
-- What is on the runway and shall not run.
UPDATE worker.jobs AS j SET state = 'available'
FROM worker.pauses AS p
WHERE j.state = 'dispatched'
  AND CASE p.scope WHEN 'queue' THEN j.queue WHEN 'kind' THEN j.kind
                   WHEN 'tenant' THEN j.tenant::text END = p.name

-- name: wake
SELECT pg_notify('worker_jobs', '') FROM worker.runway WHERE idle
