-- When jobs are enqueued by the clock. The primary key of schedule_ticks decides who enqueues:
-- schedulers that wake together, wake again or see the clock jump insert the same row.

-- name: upsert_schedule
-- One that has other times than before, or was away, begins anew: it owes nothing of the past.
INSERT INTO worker.schedules AS s (name, kind, args, unique_key, cron)
VALUES (%(name)s, %(kind)s, %(args)s, %(unique_key)s, %(cron)s)
ON CONFLICT (name) DO UPDATE
SET kind = excluded.kind, args = excluded.args, unique_key = excluded.unique_key,
    cron = excluded.cron, retired_at = NULL,
    begins_at = CASE WHEN s.cron = excluded.cron AND s.retired_at IS NULL THEN s.begins_at
                     ELSE excluded.begins_at END

-- name: retire_others
UPDATE worker.schedules SET retired_at = now()
WHERE retired_at IS NULL AND name <> ALL(%(names)s::text[])

-- name: list_states
-- `fired_at` is the last time of the timetable that was fired, up to now: after the clock was
-- ahead, later ones lie in the future and count for nothing until it gets there.
SELECT s.name, s.begins_at, s.paused_at,
       (SELECT max(t.fire_at) FROM worker.schedule_ticks AS t
        WHERE t.schedule = s.name AND t.fire_at <= now() AND NOT t.by_hand) AS fired_at,
       (SELECT max(t.fire_at) FROM worker.schedule_ticks AS t
        WHERE t.schedule = s.name AND t.fire_at <= now()) AS last_at
FROM worker.schedules AS s

-- name: begin_now
-- The clock was ahead when these became known, and went back.
UPDATE worker.schedules SET begins_at = now() WHERE begins_at > now()

-- name: read_clock
SELECT now()

-- name: limit_idling
-- A scheduler that freezes between its tick and its commit would hold up all others.
SELECT set_config('idle_in_transaction_session_timeout', %(idle_ms)s::text, true)

-- name: claim_tick
-- The lock makes pausing wait for a tick under way: after it, nothing fires.
INSERT INTO worker.schedule_ticks (schedule, fire_at)
SELECT name, %(fire_at)s FROM worker.schedules
WHERE name = %(name)s AND paused_at IS NULL FOR SHARE
ON CONFLICT DO NOTHING RETURNING fire_at

-- name: claim_tick_by_hand
INSERT INTO worker.schedule_ticks (schedule, fire_at, by_hand)
VALUES (%(name)s, clock_timestamp(), true) RETURNING fire_at

-- name: name_job
UPDATE worker.schedule_ticks SET job_id = %(job_id)s
WHERE schedule = %(name)s AND fire_at = %(fire_at)s

-- name: pause
UPDATE worker.schedules SET paused_at = coalesce(paused_at, now()) WHERE name = %(name)s

-- name: resume
-- What it missed is skipped: an operator stopped it on purpose.
UPDATE worker.schedules SET paused_at = NULL, begins_at = clock_timestamp()
WHERE name = %(name)s AND paused_at IS NOT NULL
