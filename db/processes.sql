-- One row per live process. A lease renewed here covers every job the process holds.

-- name: register
INSERT INTO worker.processes (id, role, host, pid, queues, expires_at)
VALUES (%(id)s, %(role)s, %(host)s, %(pid)s, %(queues)s,
        clock_timestamp() + make_interval(secs => %(lease_s)s))
ON CONFLICT (id) DO UPDATE SET renewed_at = clock_timestamp(), expires_at = excluded.expires_at

-- name: renew
-- No row: the lease ran out and the process was rescued from; it must start anew.
UPDATE worker.processes
SET renewed_at = clock_timestamp(), queues = %(queues)s, stats = %(stats)s,
    expires_at = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id = %(id)s AND expires_at > clock_timestamp()
RETURNING drain_requested_at IS NOT NULL,
          set_config('idle_in_transaction_session_timeout', '10s', true)

-- name: expire
UPDATE worker.processes
SET expires_at = clock_timestamp() - interval '1 second', started = %(started)s::bigint[],
    overdue = %(overdue)s, cause = %(cause)s
WHERE id = %(id)s

-- name: resign
DELETE FROM worker.processes WHERE id = %(id)s

-- name: request_drain
-- Seen at the next renewal. Only workers hold jobs; others end by a signal and lose nothing.
WITH found AS (
    SELECT id, drain_requested_at IS NOT NULL AS again FROM worker.processes
    WHERE id = %(id)s AND role = 'worker' AND expires_at > clock_timestamp() FOR UPDATE
)
UPDATE worker.processes AS p
SET drain_requested_at = coalesce(p.drain_requested_at, clock_timestamp())
FROM found AS f WHERE p.id = f.id
RETURNING p.host, p.pid, f.again

-- name: list_live
SELECT id, role, host, pid, queues, stats, started_at, renewed_at, expires_at, drain_requested_at
FROM worker.processes WHERE expires_at > clock_timestamp() ORDER BY role, started_at

-- name: list_capacity
-- What the live workers of each queue can take: threads, and their mean job time.
SELECT q.key AS queue, sum((q.value ->> 'threads')::int)::int AS threads,
       avg((q.value ->> 'job_ms')::float8) AS job_ms
FROM worker.processes AS p CROSS JOIN LATERAL jsonb_each(p.queues) AS q
WHERE p.role = 'worker' AND p.expires_at > clock_timestamp()
GROUP BY q.key
