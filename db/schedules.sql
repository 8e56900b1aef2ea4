-- When jobs are enqueued by the clock. The primary key of schedule_ticks decides who enqueues:
-- schedulers that wake together, wake again or see the clock jump insert the same row.

-- name: upsert_schedule
-- One that has other times than before, or was away, begins anew: it owes nothing of the past.
-- Where nothing changes no row is locked, for somebody else may hold it.
INSERT INTO worker.schedules AS s
    (name, kind, args, unique_key, cron, missed, catch_up_s, begins_at, next_at)
SELECT %(name)s::text, %(kind)s::text, %(args)s::jsonb, %(unique_key)s::text, %(cron)s::text,
       %(missed)s::text, %(catch_up_s)s::int, %(now)s::timestamptz, %(next_at)s::timestamptz
WHERE NOT EXISTS (
    SELECT FROM worker.schedules AS known
    WHERE known.name = %(name)s AND known.retired_at IS NULL
      AND (known.kind, known.args, known.cron, known.missed, known.catch_up_s)
          = (%(kind)s, %(args)s, %(cron)s, %(missed)s, %(catch_up_s)s)
      AND known.unique_key IS NOT DISTINCT FROM %(unique_key)s)
ON CONFLICT (name) DO UPDATE
SET (kind, args, unique_key, cron, missed, catch_up_s, retired_at) =
        (excluded.kind, excluded.args, excluded.unique_key, excluded.cron, excluded.missed,
         excluded.catch_up_s, NULL),
    (begins_at, next_at) = (
        SELECT CASE WHEN same THEN s.begins_at ELSE excluded.begins_at END,
               CASE WHEN same THEN s.next_at ELSE excluded.next_at END
        FROM (VALUES (coalesce(s.cron_override, s.cron) = coalesce(s.cron_override, excluded.cron)
                      AND s.retired_at IS NULL)) AS times (same))

-- name: retire_others
UPDATE worker.schedules SET retired_at = now()
WHERE retired_at IS NULL AND name <> ALL(%(names)s::text[])

-- name: list_states
-- `settled_at` is the last time of the timetable that was fired or skipped, up to now: after the
-- clock was ahead, later ones lie in the future and count for nothing until it gets there, and
-- what was skipped from there was not missed yet.
SELECT s.name, s.begins_at, s.paused_at, s.cron_override, s.next_at,
       (SELECT max(t.fire_at) FROM worker.schedule_ticks AS t
        WHERE t.schedule = s.name AND t.fire_at <= %(now)s AND NOT t.by_hand
          AND NOT (t.skipped AND t.noted_at > %(now)s)) AS settled_at,
       (SELECT max(t.fire_at) FROM worker.schedule_ticks AS t
        WHERE t.schedule = s.name AND t.fire_at <= %(now)s AND NOT t.skipped) AS last_at
FROM worker.schedules AS s

-- name: list_late
-- Nobody has to know the timetable for it: the schedulers write down what is due next.
SELECT name, extract(epoch FROM now() - next_at)::float8 AS late_s FROM worker.schedules
WHERE retired_at IS NULL AND paused_at IS NULL
  AND next_at < now() - make_interval(secs => %(late_s)s)
ORDER BY next_at, name

-- name: count_missed
-- Of the last day, by schedule: how many came while nobody looked, and how many were made up.
SELECT schedule, count(*), count(*) FILTER (WHERE made_up) FROM worker.schedule_ticks
WHERE fire_at > now() - interval '1 day' AND fire_at <= now() AND (skipped OR made_up)
GROUP BY schedule

-- name: begin_now
-- The clock was ahead when these became known, and went back.
UPDATE worker.schedules SET begins_at = %(now)s WHERE begins_at > %(now)s

-- name: read_clock
SELECT now()

-- name: limit_waits
-- A scheduler that freezes between its tick and its commit would hold up all others, and a row
-- that somebody keeps locked would hold up all other schedules.
SELECT set_config('idle_in_transaction_session_timeout', %(idle_ms)s::text, true),
       set_config('lock_timeout', %(lock_ms)s::text, true)

-- name: claim_tick
-- The lock makes pausing wait for a tick under way: after it, nothing fires. What was skipped
-- while the clock was ahead fires when its time has come.
INSERT INTO worker.schedule_ticks AS t (schedule, fire_at, made_up, noted_at)
SELECT name, %(fire_at)s, %(made_up)s, %(now)s FROM worker.schedules
WHERE name = %(name)s AND paused_at IS NULL AND begins_at < %(fire_at)s FOR SHARE
ON CONFLICT (schedule, fire_at) DO UPDATE
SET skipped = false, made_up = excluded.made_up, noted_at = excluded.noted_at
WHERE t.skipped AND t.noted_at > %(now)s
RETURNING fire_at

-- name: skip_ticks
INSERT INTO worker.schedule_ticks AS t (schedule, fire_at, skipped, noted_at)
SELECT s.name, missed.at, true, %(now)s
FROM (SELECT name, begins_at FROM worker.schedules
      WHERE name = %(name)s AND paused_at IS NULL FOR SHARE) AS s
CROSS JOIN unnest(%(fire_at)s::timestamptz[]) AS missed (at)
WHERE s.begins_at < missed.at
ON CONFLICT (schedule, fire_at) DO UPDATE SET noted_at = excluded.noted_at
WHERE t.skipped AND t.noted_at > %(now)s

-- name: claim_tick_by_hand
INSERT INTO worker.schedule_ticks (schedule, fire_at, by_hand, noted_at)
VALUES (%(name)s, clock_timestamp(), true, clock_timestamp()) RETURNING fire_at

-- name: name_job
UPDATE worker.schedule_ticks SET job_id = %(job_id)s
WHERE schedule = %(name)s AND fire_at = %(fire_at)s

-- name: plan
UPDATE worker.schedules SET next_at = %(next_at)s
WHERE name = %(name)s AND paused_at IS NULL AND next_at IS DISTINCT FROM %(next_at)s

-- name: pause
UPDATE worker.schedules SET paused_at = %(now)s WHERE name = %(name)s AND paused_at IS NULL

-- name: resume
-- What it missed is skipped: an operator stopped it on purpose.
UPDATE worker.schedules SET paused_at = NULL, begins_at = %(now)s, next_at = %(next_at)s
WHERE name = %(name)s AND paused_at IS NOT NULL

-- name: change_cron
-- Null: the timetable's own again. Other times than before owe nothing of the past.
UPDATE worker.schedules AS s
SET cron_override = %(cron)s,
    (begins_at, next_at) = (
        SELECT CASE WHEN same THEN s.begins_at ELSE %(now)s END,
               CASE WHEN same THEN s.next_at ELSE %(next_at)s END
        FROM (VALUES (coalesce(s.cron_override, s.cron) = coalesce(%(cron)s, s.cron)))
            AS times (same))
WHERE name = %(name)s AND cron_override IS DISTINCT FROM %(cron)s

-- name: list_marks
-- For timelines, newest first, with what became of their jobs.
SELECT t.schedule, t.fire_at, t.by_hand, t.skipped, t.made_up, t.job_id, j.state
FROM worker.schedule_ticks AS t LEFT JOIN worker.jobs AS j ON j.id = t.job_id
WHERE t.fire_at > %(since)s AND t.fire_at <= %(until)s
  AND (%(name)s::text IS NULL OR t.schedule = %(name)s)
ORDER BY t.fire_at DESC LIMIT %(rows_max)s

-- name: list_last_runs
-- Each schedule's last tick that has a job, whoever fired it.
SELECT s.name, last.fire_at, last.job_id, j.state, j.finished_at
FROM worker.schedules AS s
CROSS JOIN LATERAL (
    SELECT t.fire_at, t.job_id FROM worker.schedule_ticks AS t
    WHERE t.schedule = s.name AND t.job_id IS NOT NULL AND t.fire_at <= now()
    ORDER BY t.fire_at DESC LIMIT 1) AS last
LEFT JOIN worker.jobs AS j ON j.id = last.job_id

-- name: list_ticks
SELECT t.fire_at, t.by_hand, t.skipped, t.made_up, t.noted_at, t.job_id, j.state, j.attempt,
       extract(epoch FROM j.finished_at - j.started_at)::float8 AS ran_s
FROM worker.schedule_ticks AS t LEFT JOIN worker.jobs AS j ON j.id = t.job_id
WHERE t.schedule = %(name)s AND t.fire_at < %(before)s
ORDER BY t.fire_at DESC LIMIT %(rows_max)s
