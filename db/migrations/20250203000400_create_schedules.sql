-- The scheduler's memory: what is enqueued when, and what was. And the kind that forgets.

-- schedules/timetable.py, as the schedulers last wrote it here when they began.
CREATE TABLE worker.schedules (
    name text PRIMARY KEY,
    kind text NOT NULL,
    args jsonb NOT NULL DEFAULT '{}',
    unique_key text,
    cron text NOT NULL,
    begins_at timestamptz NOT NULL DEFAULT now(),
    paused_at timestamptz,
    retired_at timestamptz
);
COMMENT ON COLUMN worker.schedules.cron IS
    'Five fields, in UTC, or an interval counted from 1970, such as "every 30 s".';
COMMENT ON COLUMN worker.schedules.begins_at IS
    'Fires at its times after this one: when it became known, got other times, or was resumed.';
COMMENT ON COLUMN worker.schedules.retired_at IS 'The newest code knows it no longer.';

-- Whoever inserts the row enqueues the job, in the same transaction: nobody else can.
CREATE TABLE worker.schedule_ticks (
    schedule text NOT NULL,
    fire_at timestamptz NOT NULL,
    by_hand boolean NOT NULL DEFAULT false,
    job_id bigint,
    PRIMARY KEY (schedule, fire_at)
);
COMMENT ON COLUMN worker.schedule_ticks.fire_at IS
    'The time in the timetable, not when somebody looked; by hand: when it was asked for.';
CREATE INDEX schedule_ticks_fire_idx ON worker.schedule_ticks (fire_at);

ALTER TABLE worker.schedules ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.schedule_ticks ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.schedules, worker.schedule_ticks TO service_role;

-- What pruning finds its rows by.
CREATE INDEX probe_effects_at_idx ON worker.probe_effects (at);

-- Never two at once, however many are enqueued.
INSERT INTO worker.kinds (kind, queue, args, max_attempts, cap) VALUES
    ('prune', 'default', '{}', 3, 1);
