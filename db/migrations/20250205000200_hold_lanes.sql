-- What is held back for a while although neither an operator nor its kind says so: the lane of an
-- endpoint that refuses everything gets no jobs, the one of a slow endpoint few at a time.
CREATE TABLE worker.lane_holds (
    lane text PRIMARY KEY,
    cap int NOT NULL DEFAULT 0 CHECK (cap >= 0),
    until_at timestamptz,
    then_cap int CHECK (then_cap > 0),
    reason text
);
COMMENT ON TABLE worker.lane_holds IS
    'Of lanes that have a limit key (kind:key): a whole kind is paused, not held.';
COMMENT ON COLUMN worker.lane_holds.cap IS 'Jobs of the lane in flight at a time; 0: none.';
COMMENT ON COLUMN worker.lane_holds.until_at IS
    'Past it the row means nothing, or its then_cap; null: for good.';
COMMENT ON COLUMN worker.lane_holds.then_cap IS
    'As cap, once until_at has passed: what was stopped begins again with a few.';
-- A dispatcher sleeps until the first of them ends.
CREATE INDEX lane_holds_until_idx ON worker.lane_holds (until_at) WHERE until_at IS NOT NULL;

ALTER TABLE worker.lane_holds ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.lane_holds TO service_role;

CREATE TRIGGER wake_dispatcher AFTER INSERT OR UPDATE OR DELETE ON worker.lane_holds
    FOR EACH STATEMENT EXECUTE FUNCTION worker.wake_dispatcher();

-- One job at a time that no clock can show would stop the dispatcher, and with it all others.
UPDATE worker.jobs
SET run_at = least(greatest(run_at, '0002-01-01 00:00+00'), '9997-12-31 00:00+00')
WHERE run_at < '0002-01-01 00:00+00' OR run_at >= '9998-01-01 00:00+00';
ALTER TABLE worker.jobs ADD CONSTRAINT jobs_run_at_check
    CHECK (run_at >= '0002-01-01 00:00+00' AND run_at < '9998-01-01 00:00+00') NOT VALID;

COMMENT ON COLUMN worker.jobs.suspicion IS
    'Grows when a worker dies while it runs this job, falls to 0 when an attempt ends by itself. '
    'From 2 on (in queue webhooks, where a death counts less, from 5) the job runs alone in a '
    'process, and the next death burns its attempt.';
