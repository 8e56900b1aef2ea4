-- Missed ticks follow a policy and are noted; times that operators change stay changed.

ALTER TABLE worker.schedules
    ADD COLUMN cron_override text,
    ADD COLUMN missed text NOT NULL DEFAULT 'once' CHECK (missed IN ('skip', 'once', 'all')),
    ADD COLUMN catch_up_s integer NOT NULL DEFAULT 0 CHECK (catch_up_s >= 0),
    ADD COLUMN next_at timestamptz;
COMMENT ON COLUMN worker.schedules.cron IS
    'The timetable''s own: five fields, in UTC, or an interval counted from 1970, as "every 30 s".';
COMMENT ON COLUMN worker.schedules.cron_override IS
    'What an operator put in the place of `cron`; the timetable never touches it.';
COMMENT ON COLUMN worker.schedules.missed IS
    'Which ticks are made up that came while nobody looked: none, the last, or each.';
COMMENT ON COLUMN worker.schedules.catch_up_s IS 'Older ones are not made up.';
COMMENT ON COLUMN worker.schedules.next_at IS
    'The oldest tick that is neither fired nor skipped, kept by the schedulers. Where it lies in'
    ' the past and paused_at and retired_at are null, the schedule is late by now() - next_at.';

ALTER TABLE worker.schedule_ticks
    ADD COLUMN skipped boolean NOT NULL DEFAULT false,
    ADD COLUMN made_up boolean NOT NULL DEFAULT false,
    ADD COLUMN noted_at timestamptz;
COMMENT ON COLUMN worker.schedule_ticks.skipped IS 'Missed, and not made up: it has no job.';
COMMENT ON COLUMN worker.schedule_ticks.made_up IS 'Missed, and fired later, at `noted_at`.';
COMMENT ON COLUMN worker.schedule_ticks.noted_at IS
    'When a scheduler fired or skipped it. A skip that lies ahead of the clock counts for nothing:'
    ' the clock was ahead, and the tick is still to come.';
