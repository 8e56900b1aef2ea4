-- The engine's own schema. Postgres is the truth of every job; Redis only carries
-- {job_id, dispatch_seq} for the few that are about to run.
CREATE SCHEMA IF NOT EXISTS worker;
REVOKE ALL ON SCHEMA worker FROM PUBLIC;
GRANT USAGE ON SCHEMA worker TO service_role;

-- What may be enqueued, and with which arguments. `args` maps a name to its type
-- ("uuid", "text", "int", "bool"); a trailing "?" marks it as optional.
-- workers/jobs.py is the same table in Python; a test compares the two.
CREATE TABLE worker.kinds (
    kind text PRIMARY KEY,
    queue text NOT NULL,
    args jsonb NOT NULL,
    max_attempts int NOT NULL CHECK (max_attempts > 0),
    unique_by text,
    rerun boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN worker.kinds.unique_by IS
    'The argument that is the unique_key of a job enqueued without one.';

CREATE TABLE worker.processes (
    id uuid PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('worker', 'dispatcher', 'scheduler', 'dashboard')),
    host text NOT NULL,
    pid int NOT NULL,
    queues jsonb NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL DEFAULT now(),
    renewed_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    started bigint[]
);
COMMENT ON COLUMN worker.processes.started IS
    'Jobs that ran when the process died, as its parent saw it; null where nobody saw it.';
COMMENT ON COLUMN worker.processes.queues IS
    'A worker''s queues: {"knowledge": {"threads": 4, "job_ms": 812.5}}; job_ms is measured.';

-- One row: the epoch that Redis must agree on, and whether a dispatcher sleeps.
CREATE TABLE worker.runway (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    idle boolean NOT NULL DEFAULT false
);
INSERT INTO worker.runway DEFAULT VALUES;

CREATE TABLE worker.jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    queue text NOT NULL,
    tenant uuid,
    priority int NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'available' CONSTRAINT jobs_state_check CHECK (state IN (
        'scheduled', 'available', 'dispatched', 'running',
        'retryable', 'completed', 'discarded', 'cancelled')),
    args jsonb NOT NULL DEFAULT '{}',
    unique_key text,
    rerun boolean NOT NULL DEFAULT false,
    run_at timestamptz NOT NULL DEFAULT now(),
    attempt int NOT NULL DEFAULT 0,
    max_attempts int NOT NULL,
    suspicion int NOT NULL DEFAULT 0,
    dispatch_seq int NOT NULL DEFAULT 0,
    dispatch_epoch uuid,
    progress jsonb,
    errors jsonb NOT NULL DEFAULT '[]',
    worker_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    dispatched_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
COMMENT ON COLUMN worker.jobs.attempt IS
    'A fence: grows at every claim, is never lowered; only its holder can finish the job.';
COMMENT ON COLUMN worker.jobs.suspicion IS
    'Grows when a worker dies while it runs this job, falls to 0 when an attempt ends by itself. '
    'From 2 on the job runs alone in a process, and the next death burns its attempt.';

CREATE INDEX jobs_available_idx ON worker.jobs (queue, priority, run_at, id)
    WHERE state = 'available';
CREATE INDEX jobs_due_idx ON worker.jobs (run_at) WHERE state IN ('scheduled', 'retryable');
CREATE INDEX jobs_in_flight_idx ON worker.jobs (queue, worker_id)
    WHERE state IN ('dispatched', 'running');
CREATE INDEX jobs_finished_idx ON worker.jobs (finished_at)
    WHERE state IN ('completed', 'discarded', 'cancelled');
CREATE UNIQUE INDEX jobs_unique_idx ON worker.jobs (kind, unique_key)
    WHERE unique_key IS NOT NULL
      AND state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable');

-- What the probe kind leaves behind: proof of each run of its effect.
CREATE TABLE worker.probe_effects (
    effect text NOT NULL,
    job_id bigint NOT NULL,
    attempt int NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_id, effect)
);

-- Vectors that were paid for, by what was embedded; holds no text. A run that was killed
-- between paying and storing finds its vectors here.
CREATE TABLE worker.embedding_cache (
    model text NOT NULL,
    text_hash bytea NOT NULL,
    embedding extensions.vector(1536) NOT NULL,
    tokens int NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model, text_hash)
);
CREATE INDEX embedding_cache_used_idx ON worker.embedding_cache (used_at);

GRANT ALL ON ALL TABLES IN SCHEMA worker TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA worker TO service_role;

ALTER TABLE worker.kinds ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.processes ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.runway ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.probe_effects ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.embedding_cache ENABLE ROW LEVEL SECURITY;

INSERT INTO worker.kinds (kind, queue, args, max_attempts, unique_by, rerun) VALUES
    ('index_source', 'knowledge', '{"source_id": "uuid"}', 3, 'source_id', true),
    ('probe', 'default', '{"sleep_ms": "int?", "cpu_ms": "int?", "fail_times": "int?",
                           "effect": "text?", "crash": "bool?"}', 10, NULL, false);
