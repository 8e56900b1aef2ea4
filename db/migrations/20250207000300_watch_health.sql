-- What the watchdog remembers: alerts and who was told, processes that went, a job that says
-- whether jobs flow, and totals of some minutes ago to compare with.

CREATE TABLE worker.alerts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL,
    level text NOT NULL CHECK (level IN ('stop', 'hold')),
    title text NOT NULL,
    evidence text NOT NULL,
    advice text NOT NULL,
    runbook text NOT NULL,
    began_at timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    calm_since timestamptz,
    notified_at timestamptz,
    recovered_at timestamptz
);
COMMENT ON COLUMN worker.alerts.key IS 'Names what is wrong for as long as it lasts.';
COMMENT ON COLUMN worker.alerts.began_at IS
    'When it was first found; opened_at is when its time of grace was over.';
COMMENT ON COLUMN worker.alerts.calm_since IS
    'Since when it is not found any more; it is over when that has lasted.';
COMMENT ON COLUMN worker.alerts.notified_at IS 'When an operator was first told of it.';
CREATE UNIQUE INDEX alerts_open_idx ON worker.alerts (key) WHERE recovered_at IS NULL;
CREATE INDEX alerts_key_idx ON worker.alerts (key, opened_at);

-- What was found and may become an alert.
CREATE TABLE worker.alert_signs (
    key text PRIMARY KEY,
    began_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);

-- What operators are told, once a way: claimed before it is sent, so that of two watchdogs one
-- sends it. A claim that runs out was a process that died: it is sent again, rather than never.
CREATE TABLE worker.alert_notices (
    alert_id bigint NOT NULL REFERENCES worker.alerts (id) ON DELETE CASCADE,
    event text NOT NULL CHECK (event IN ('opened', 'recovered')),
    way text NOT NULL CHECK (way IN ('email', 'webhook')),
    due_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    sent_at timestamptz,
    given_up_at timestamptz,
    error_message text,
    PRIMARY KEY (alert_id, event, way)
);
CREATE INDEX alert_notices_due_idx ON worker.alert_notices (due_at)
    WHERE sent_at IS NULL AND given_up_at IS NULL;

-- One row: the last look, whose it was, and the last totals.
CREATE TABLE worker.watch (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    looked_at timestamptz,
    looked_by text
);
INSERT INTO worker.watch DEFAULT VALUES;

-- Totals of worker.metrics as they were, about one row a minute.
CREATE TABLE worker.health_samples (
    at timestamptz PRIMARY KEY,
    provider_calls jsonb NOT NULL
);
COMMENT ON COLUMN worker.health_samples.provider_calls IS
    '{"openai": {"ok": 4711, "failed": 3}}, since the first process counted.';

-- One row, moved by a job that takes the whole path of jobs every minute.
CREATE TABLE worker.canary (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    due_at timestamptz,
    landed_at timestamptz
);
COMMENT ON COLUMN worker.canary.due_at IS 'When the job that landed last should have begun.';
INSERT INTO worker.canary DEFAULT VALUES;
INSERT INTO worker.kinds (kind, queue, args, max_attempts) VALUES
    ('watch_health', 'default', '{}', 3);

-- Processes that are no more, in order or not.
CREATE TABLE worker.departures (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    process_id uuid NOT NULL,
    role text NOT NULL,
    host text NOT NULL,
    pid int NOT NULL,
    queues text[] NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    left_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lost boolean NOT NULL,
    cause text
);
COMMENT ON COLUMN worker.departures.seen_at IS 'When it renewed its lease for the last time.';
COMMENT ON COLUMN worker.departures.lost IS
    'It did not say that it leaves: killed, crashed, cut off, or ended by its parent.';
CREATE INDEX departures_left_idx ON worker.departures (left_at);

-- A worker that leaves in order ends its own lease and names no job, and its parent then says with
-- which code; other roles take their row away while it is valid. Whoever does neither was lost.
CREATE FUNCTION worker.keep_departure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.departures
        (process_id, role, host, pid, queues, started_at, seen_at, lost, cause)
    VALUES (OLD.id, OLD.role, OLD.host, OLD.pid,
            ARRAY(SELECT q FROM jsonb_object_keys(OLD.queues) AS q ORDER BY q),
            OLD.started_at, OLD.renewed_at,
            OLD.expires_at < clock_timestamp()
                AND (OLD.started IS NULL OR coalesce(OLD.cause, '') NOT IN ('', 'exit code 0')),
            OLD.cause);
    RETURN NULL;
END $$;
CREATE TRIGGER keep_departure AFTER DELETE ON worker.processes
    FOR EACH ROW EXECUTE FUNCTION worker.keep_departure();
REVOKE EXECUTE ON FUNCTION worker.keep_departure FROM PUBLIC;

-- Discards of the last minutes and days, without those that were completed meanwhile.
CREATE INDEX jobs_discards_idx ON worker.jobs (finished_at) WHERE state = 'discarded';

ALTER TABLE worker.alerts ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.alert_signs ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.alert_notices ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.watch ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.health_samples ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.canary ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.departures ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.alerts, worker.alert_signs, worker.alert_notices, worker.watch,
    worker.health_samples, worker.canary, worker.departures TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA worker TO service_role;
