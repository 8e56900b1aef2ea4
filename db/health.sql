-- What shows whether work flows: each statement is bounded, for it is asked every few seconds.

-- name: limit_looking
SELECT set_config('statement_timeout', %(look_ms)s::text, true)

-- name: list_processes
-- Live processes by role, and whether their leases were renewed lately.
SELECT role, count(*)::int AS processes, max(renewed_at) AS renewed_at
FROM worker.processes WHERE expires_at > clock_timestamp() GROUP BY role
