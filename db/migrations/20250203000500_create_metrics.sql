-- Counters and histograms of all processes: each adds what it counted since it last did, so the
-- totals never fall, whichever process ends and however many machines there are.
CREATE TABLE worker.metrics (
    name text NOT NULL,
    labels jsonb NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (name, labels)
) WITH (fillfactor = 50);
COMMENT ON COLUMN worker.metrics.name IS
    'As Prometheus names the sample. Rows of a _bucket are not cumulated: each holds its own.';

-- What the depth gauges count; both are few rows of a table that may hold millions.
CREATE INDEX jobs_discarded_idx ON worker.jobs (queue, kind) WHERE state = 'discarded';
CREATE INDEX jobs_blocked_idx ON worker.jobs (queue, kind) WHERE blocked;

ALTER TABLE worker.metrics ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.metrics TO service_role;
