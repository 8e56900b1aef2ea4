-- The SQL door of the queue.

-- Null when the arguments fit the kind, else what is wrong with them.
CREATE FUNCTION worker.args_problem(wanted jsonb, given jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
DECLARE
    name text;
    type text;
    value jsonb;
    fits boolean;
BEGIN
    IF jsonb_typeof(given) IS DISTINCT FROM 'object' THEN
        RETURN format('args must be a JSON object, not %s',
                      coalesce(jsonb_typeof(given), 'null'));
    END IF;
    SELECT key INTO name FROM jsonb_object_keys(given) AS key WHERE NOT wanted ? key LIMIT 1;
    IF name IS NOT NULL THEN
        RETURN format('unknown argument %s', to_json(name));
    END IF;
    FOR name, type IN SELECT * FROM jsonb_each_text(wanted) LOOP
        value := given -> name;
        IF value IS NULL THEN
            IF right(type, 1) <> '?' THEN
                RETURN format('missing argument %s', to_json(name));
            END IF;
            CONTINUE;
        END IF;
        fits := CASE rtrim(type, '?')
            WHEN 'uuid' THEN jsonb_typeof(value) = 'string' AND (value #>> '{}')
                ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
            WHEN 'text' THEN jsonb_typeof(value) = 'string'
            WHEN 'bool' THEN jsonb_typeof(value) = 'boolean'
            WHEN 'int' THEN jsonb_typeof(value) = 'number' AND value::text ~ '^-?[0-9]{1,9}$'
            ELSE false
        END;
        IF NOT fits THEN
            RETURN format('argument %s must be of type %s, not %s',
                          to_json(name), rtrim(type, '?'), left(value::text, 60));
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION worker.enqueue(
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
    problem text;
    job_id bigint;
    due timestamptz := coalesce(run_at, now());
BEGIN
    SELECT k.* INTO known FROM worker.kinds AS k WHERE k.kind = enqueue.kind;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown job kind %', to_json(coalesce(kind, 'null'))
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'SELECT kind, args FROM worker.kinds lists the known ones.';
    END IF;
    args := coalesce(args, '{}');
    problem := worker.args_problem(known.args, args);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'job kind "%": %', kind, problem
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('%s takes %s', kind, known.args);
    END IF;
    IF on_conflict IS NULL OR on_conflict NOT IN ('keep', 'replace') THEN
        RAISE EXCEPTION 'on_conflict must be keep or replace, not %',
            coalesce(on_conflict, 'null') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    unique_key := coalesce(unique_key, args ->> known.unique_by);
    -- The twin that made the insert conflict may finish before it is read: then try again.
    LOOP
        INSERT INTO worker.jobs AS j
            (kind, queue, tenant, priority, state, args, unique_key, run_at, max_attempts)
        VALUES (kind, known.queue, tenant, coalesce(priority, 0),
                CASE WHEN due > now() THEN 'scheduled' ELSE 'available' END,
                args, unique_key, due, known.max_attempts)
        ON CONFLICT DO NOTHING
        RETURNING j.id INTO job_id;
        EXIT WHEN job_id IS NOT NULL;
        UPDATE worker.jobs AS j
        SET rerun = j.rerun OR (known.rerun AND j.state = 'running'),
            args = CASE WHEN replaced THEN enqueue.args ELSE j.args END,
            run_at = CASE WHEN replaced THEN due ELSE j.run_at END,
            state = CASE WHEN NOT replaced THEN j.state
                         WHEN due > now() THEN 'scheduled' ELSE 'available' END,
            max_attempts = CASE WHEN replaced THEN j.attempt + known.max_attempts
                                ELSE j.max_attempts END
        FROM (SELECT on_conflict = 'replace' AND t.state IN
                     ('scheduled', 'available', 'dispatched', 'retryable') AS replaced, t.id
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

-- PostgREST shows only `public`, so the web tier's door stands there.
CREATE FUNCTION public.enqueue_job(
    kind text,
    args jsonb DEFAULT '{}',
    tenant uuid DEFAULT NULL,
    unique_key text DEFAULT NULL,
    run_at timestamptz DEFAULT now(),
    priority int DEFAULT 0,
    on_conflict text DEFAULT 'keep'
) RETURNS bigint
LANGUAGE sql SET search_path = '' AS $$
    SELECT worker.enqueue(kind, args, tenant, unique_key, run_at, priority, on_conflict)
$$;

-- One constant wake-up call per statement, and only while a dispatcher sleeps: an
-- unconditional NOTIFY takes a global lock at commit and costs most of the insert rate.
CREATE FUNCTION worker.wake_dispatcher() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF EXISTS (SELECT FROM worker.runway WHERE idle) THEN
        PERFORM pg_notify('worker_jobs', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER wake_dispatcher AFTER INSERT ON worker.jobs
    FOR EACH STATEMENT EXECUTE FUNCTION worker.wake_dispatcher();

REVOKE EXECUTE ON FUNCTION worker.args_problem FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION worker.wake_dispatcher FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION worker.enqueue FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION public.enqueue_job FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION worker.enqueue TO service_role;
GRANT EXECUTE ON FUNCTION public.enqueue_job TO service_role;
