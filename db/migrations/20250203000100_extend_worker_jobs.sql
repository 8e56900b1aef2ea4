-- What a fair dispatcher, cancelling, waiting for other jobs, results and traces need.

ALTER TABLE worker.kinds
    ADD COLUMN limit_by text,
    ADD COLUMN cap int CHECK (cap > 0),
    ADD COLUMN rate_per_s float8 CHECK (rate_per_s > 0),
    ADD COLUMN burst int NOT NULL DEFAULT 1 CHECK (burst > 0);
COMMENT ON COLUMN worker.kinds.limit_by IS
    'The argument whose every value has a cap and a rate of its own; null: one for the kind.';
COMMENT ON COLUMN worker.kinds.cap IS 'Jobs in flight at a time; null: no cap.';
COMMENT ON COLUMN worker.kinds.rate_per_s IS
    'Starts a second in the long run, up to `burst` at once (a token bucket); null: no limit.';

ALTER TABLE worker.jobs
    ADD COLUMN limit_key text,
    ADD COLUMN lane text GENERATED ALWAYS AS (kind || coalesce(':' || limit_key, '')) STORED,
    ADD COLUMN blocked boolean NOT NULL DEFAULT false,
    ADD COLUMN awaited boolean NOT NULL DEFAULT false,
    ADD COLUMN even_if_failed boolean NOT NULL DEFAULT false,
    ADD COLUMN waited jsonb,
    ADD COLUMN result jsonb,
    ADD COLUMN cancel_requested_at timestamptz,
    ADD COLUMN traceparent text DEFAULT nullif(current_setting('avivro.traceparent', true), '');
COMMENT ON COLUMN worker.jobs.lane IS
    'What shares a cap, a rate and a turn: the kind, with its limit_key where it has one.';
COMMENT ON COLUMN worker.jobs.blocked IS 'Waits for other jobs (worker.waits); never due.';
COMMENT ON COLUMN worker.jobs.awaited IS 'Another job waits for this one.';
COMMENT ON COLUMN worker.jobs.even_if_failed IS
    'Runs when all it waited for is finished, however; else it is cancelled if one failed.';
COMMENT ON COLUMN worker.jobs.waited IS
    'How those that it waited for ended: {"completed": 97, "discarded": 3, "cancelled": 0}.';
COMMENT ON COLUMN worker.jobs.traceparent IS
    'W3C trace context of the enqueuing transaction, from the setting avivro.traceparent.';

DROP INDEX worker.jobs_available_idx;
-- One hop finds the next (priority, tenant, lane) that has work, however long the others are.
CREATE INDEX jobs_available_idx ON worker.jobs
    (queue, priority, coalesce(tenant, '00000000-0000-0000-0000-000000000000'::uuid), lane,
     run_at, id)
    WHERE state = 'available';
DROP INDEX worker.jobs_due_idx;
CREATE INDEX jobs_due_idx ON worker.jobs (run_at)
    WHERE state IN ('scheduled', 'retryable') AND NOT blocked;

-- What an operator stopped. The dispatcher passes over it; nothing of it is lost.
CREATE TABLE worker.pauses (
    scope text NOT NULL CHECK (scope IN ('queue', 'kind', 'tenant')),
    name text NOT NULL,
    reason text,
    paused_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, name)
);

-- Tenants with a share other than 1.
CREATE TABLE worker.tenants (
    tenant uuid PRIMARY KEY,
    weight real NOT NULL DEFAULT 1 CHECK (weight BETWEEN 0.01 AND 100)
);
COMMENT ON COLUMN worker.tenants.weight IS
    'With weight 3 a tenant is dealt three jobs where another one is dealt one.';

-- Token buckets of lanes whose kind has a rate.
CREATE TABLE worker.buckets (
    lane text PRIMARY KEY,
    tokens float8 NOT NULL,
    filled_at timestamptz NOT NULL
);

-- What a job logged, reachable from its row.
CREATE TABLE worker.job_logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL,
    attempt int NOT NULL,
    at timestamptz NOT NULL,
    level text NOT NULL,
    logger text NOT NULL,
    message text NOT NULL
);
CREATE INDEX job_logs_job_idx ON worker.job_logs (job_id, id);

ALTER TABLE worker.pauses ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.buckets ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.job_logs ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.pauses, worker.tenants, worker.buckets, worker.job_logs TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA worker TO service_role;

-- The owner of what the arguments name; null where they name nothing that is there.
CREATE FUNCTION worker.tenant_of(args jsonb) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT CASE
        WHEN args ? 'user_id' THEN (
            SELECT p.id FROM public.user_profiles AS p WHERE p.id = (args ->> 'user_id')::uuid)
        WHEN args ? 'agent_id' THEN (
            SELECT a.user_id FROM public.agents AS a WHERE a.id = (args ->> 'agent_id')::uuid)
        WHEN args ? 'source_id' THEN (
            SELECT a.user_id FROM public.knowledge_sources AS s
            JOIN public.agents AS a ON a.id = s.agent_id
            WHERE s.id = (args ->> 'source_id')::uuid)
        WHEN args ? 'conversation_id' THEN (
            SELECT a.user_id FROM public.conversations AS c
            JOIN public.agents AS a ON a.id = c.agent_id
            WHERE c.id = (args ->> 'conversation_id')::uuid)
        WHEN args ? 'lead_id' THEN (
            SELECT a.user_id FROM public.leads AS l
            JOIN public.agents AS a ON a.id = l.agent_id
            WHERE l.id = (args ->> 'lead_id')::uuid)
        WHEN args ? 'webhook_id' THEN (
            SELECT w.user_id FROM public.webhooks AS w
            WHERE w.id = (args ->> 'webhook_id')::uuid)
        WHEN args ? 'delivery_id' THEN (
            SELECT w.user_id FROM public.webhook_deliveries AS d
            JOIN public.webhooks AS w ON w.id = d.webhook_id
            WHERE d.id = (args ->> 'delivery_id')::uuid)
        WHEN args ? 'email_id' THEN (
            SELECT e.user_id FROM public.email_logs AS e
            WHERE e.id = (args ->> 'email_id')::uuid)
    END
$$;

-- The kind, when it is known and the arguments fit it; raises what is wrong otherwise.
CREATE FUNCTION worker.known_kind(kind text, args jsonb) RETURNS worker.kinds
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    known worker.kinds;
    problem text;
BEGIN
    SELECT k.* INTO known FROM worker.kinds AS k WHERE k.kind = known_kind.kind;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown job kind %', to_json(coalesce(kind, 'null'))
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'SELECT kind, args FROM worker.kinds lists the known ones.';
    END IF;
    problem := worker.args_problem(known.args, args);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'job kind "%": %', kind, problem
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('%s takes %s', kind, known.args);
    END IF;
    RETURN known;
END $$;

CREATE OR REPLACE FUNCTION worker.enqueue(
    kind text,
    args jsonb DEFAULT '{}',
    tenant uuid DEFAULT NULL,
    unique_key text DEFAULT NULL,
    run_at timestamptz DEFAULT now(),
    priority int DEFAULT 0,
    on_conflict text DEFAULT 'keep'
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    known worker.kinds;
    job_id bigint;
    due timestamptz := coalesce(run_at, now());
BEGIN
    args := coalesce(args, '{}');
    known := worker.known_kind(kind, args);
    IF on_conflict IS NULL OR on_conflict NOT IN ('keep', 'replace') THEN
        RAISE EXCEPTION 'on_conflict must be keep or replace, not %',
            coalesce(on_conflict, 'null') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    unique_key := coalesce(unique_key, args ->> known.unique_by);
    tenant := coalesce(tenant, worker.tenant_of(args));
    -- The twin that made the insert conflict may finish before it is read: then try again.
    LOOP
        INSERT INTO worker.jobs AS j
            (kind, queue, tenant, priority, state, args, unique_key, limit_key, run_at,
             max_attempts)
        VALUES (kind, known.queue, tenant, coalesce(priority, 0),
                CASE WHEN due > now() THEN 'scheduled' ELSE 'available' END,
                args, unique_key, args ->> known.limit_by, due, known.max_attempts)
        ON CONFLICT DO NOTHING
        RETURNING j.id INTO job_id;
        EXIT WHEN job_id IS NOT NULL;
        UPDATE worker.jobs AS j
        SET rerun = j.rerun OR (known.rerun AND j.state = 'running'),
            -- What runs has its arguments already: these are for when it runs again.
            args = CASE WHEN replaced OR renewed THEN enqueue.args ELSE j.args END,
            limit_key = CASE WHEN replaced OR renewed THEN enqueue.args ->> known.limit_by
                             ELSE j.limit_key END,
            run_at = CASE WHEN replaced THEN due ELSE j.run_at END,
            state = CASE WHEN NOT replaced THEN j.state
                         WHEN due > now() OR j.blocked THEN 'scheduled' ELSE 'available' END,
            max_attempts = CASE WHEN replaced THEN j.attempt + known.max_attempts
                                ELSE j.max_attempts END
        FROM (SELECT on_conflict = 'replace' AND t.state IN
                     ('scheduled', 'available', 'dispatched', 'retryable') AS replaced,
                     on_conflict = 'replace' AND t.state = 'running' AND known.rerun AS renewed,
                     t.id
              FROM worker.jobs AS t
              WHERE t.kind = enqueue.kind AND t.unique_key = enqueue.unique_key
                AND t.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable')
              FOR UPDATE) AS twin
        WHERE j.id = twin.id
        RETURNING j.id INTO job_id;
        EXIT WHEN job_id IS NOT NULL;
    END LOOP;
    RETURN job_id;
END $$;

-- Many jobs of a kind in one call; their ids, in the order of `args`. A job whose unique key is
-- taken is answered with its unfinished twin, as worker.enqueue does.
CREATE FUNCTION worker.enqueue_many(
    kind text,
    args jsonb[],
    tenant uuid DEFAULT NULL,
    run_at timestamptz DEFAULT now(),
    priority int DEFAULT 0
) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    known worker.kinds;
    ids bigint[];
    wrong jsonb;
    due timestamptz := coalesce(run_at, now());
BEGIN
    SELECT k.* INTO known FROM worker.kinds AS k WHERE k.kind = enqueue_many.kind;
    SELECT coalesce(a, 'null') INTO wrong FROM unnest(args) AS a
    WHERE worker.args_problem(known.args, a) IS NOT NULL LIMIT 1;
    IF known.kind IS NULL OR wrong IS NOT NULL THEN
        known := worker.known_kind(kind, coalesce(wrong, '{}'));
    END IF;
    IF known.unique_by IS NOT NULL THEN
        -- In the keys' order, so that two calls never wait for each other crosswise.
        SELECT array_agg(job_id ORDER BY place) INTO ids FROM (
            SELECT place, worker.enqueue(kind, a, tenant, NULL, due, priority) AS job_id
            FROM (SELECT a, place FROM unnest(args) WITH ORDINALITY AS given (a, place)
                  ORDER BY a ->> known.unique_by) AS ordered) AS queued;
        RETURN coalesce(ids, '{}');
    END IF;
    WITH inserted AS (
        INSERT INTO worker.jobs AS j
            (kind, queue, tenant, priority, state, args, limit_key, run_at, max_attempts)
        SELECT kind, known.queue, coalesce(tenant, worker.tenant_of(a)), coalesce(priority, 0),
               CASE WHEN due > now() THEN 'scheduled' ELSE 'available' END,
               a, a ->> known.limit_by, due, known.max_attempts
        FROM unnest(args) WITH ORDINALITY AS given (a, place) ORDER BY place
        RETURNING j.id)
    SELECT array_agg(id ORDER BY id) INTO ids FROM inserted;
    RETURN coalesce(ids, '{}');
END $$;

REVOKE EXECUTE ON FUNCTION worker.tenant_of, worker.known_kind, worker.enqueue_many FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.enqueue_many TO service_role;
