-- What processes counted, minute by minute, for two days: rates, shares and percentiles of lately.

CREATE TABLE worker.minutes (
    minute timestamptz NOT NULL,
    name text NOT NULL,
    labels jsonb NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (minute, name, labels)
) WITH (fillfactor = 70);
COMMENT ON TABLE worker.minutes IS
    'As worker.metrics, but each minute by itself; '
    'the minute is when a process stored what it counted.';
COMMENT ON COLUMN worker.minutes.name IS
    'Of worker.metrics, where values add up; or avivro_sampled_*, which were looked at once.';

ALTER TABLE worker.minutes ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.minutes TO service_role;
