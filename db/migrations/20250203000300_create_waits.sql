-- Jobs that wait for other jobs. A batch is its callback: a job that waits for all its members.
-- Whoever ends a job only leaves a mark; the dispatcher settles marks (worker.settle), so that
-- no finish ever waits for another one, and many ends of a batch become one look at it.

-- waited is '{}' from the first wait on, so a row with it null has no rows in worker.waits.
CREATE TABLE worker.waits (
    job_id bigint NOT NULL,
    waits_for bigint NOT NULL,
    ended_as text CHECK (ended_as IN ('completed', 'discarded', 'cancelled')),
    PRIMARY KEY (job_id, waits_for)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
COMMENT ON COLUMN worker.waits.ended_as IS
    'As last settled; null while open. The truth is the state of the job itself.';
CREATE INDEX waits_for_idx ON worker.waits (waits_for);
CREATE INDEX waits_open_idx ON worker.waits (job_id) WHERE ended_as IS NULL;

-- "Look at this job": it ended or came back, or it waits and may have nothing left to wait for.
-- No unique key, so that writers never wait for each other; too many marks do no harm.
CREATE TABLE worker.ends (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);

ALTER TABLE worker.waits ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.ends ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.waits, worker.ends TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA worker TO service_role;

CREATE FUNCTION worker.mark_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.ends (job_id) VALUES (NEW.id);
    PERFORM pg_notify('worker_jobs', '') FROM worker.runway WHERE idle;
    RETURN NULL;
END $$;
CREATE TRIGGER mark_end AFTER UPDATE OF state ON worker.jobs
    FOR EACH ROW WHEN (NEW.awaited AND
        (NEW.state IN ('completed', 'discarded', 'cancelled'))
        <> (OLD.state IN ('completed', 'discarded', 'cancelled')))
    EXECUTE FUNCTION worker.mark_end();

-- A job that is deleted under those that wait for it shall not block them for ever.
CREATE FUNCTION worker.forget_waits() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    DELETE FROM worker.waits WHERE job_id = OLD.id AND OLD.waited IS NOT NULL;
    INSERT INTO worker.ends (job_id)
    SELECT OLD.id WHERE EXISTS (
        SELECT FROM worker.waits AS w WHERE w.waits_for = OLD.id AND w.ended_as IS NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER forget_waits AFTER DELETE ON worker.jobs
    FOR EACH ROW WHEN (OLD.awaited OR OLD.waited IS NOT NULL)
    EXECUTE FUNCTION worker.forget_waits();

-- Locks the waiter and all it shall wait for, in the order of their ids, so that none of them
-- ends meanwhile: what is unfinished then leaves a mark when it ends, after we committed.
CREATE FUNCTION worker.await_jobs(job_id bigint, after bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    missing text;
BEGIN
    WITH locked AS MATERIALIZED (
        SELECT j.id FROM worker.jobs AS j
        WHERE j.id = ANY(after || job_id) ORDER BY j.id FOR NO KEY UPDATE)
    UPDATE worker.jobs AS j SET awaited = true
    FROM locked WHERE j.id = locked.id AND NOT j.awaited AND j.id <> job_id;

    SELECT coalesce(a::text, 'null') INTO missing FROM unnest(after) AS a
    WHERE NOT EXISTS (SELECT FROM worker.jobs AS j WHERE j.id = a) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot wait for job %: there is none', missing
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    INSERT INTO worker.waits (job_id, waits_for, ended_as)
    SELECT job_id, j.id,
           CASE WHEN j.state IN ('completed', 'discarded', 'cancelled') THEN j.state END
    FROM worker.jobs AS j WHERE j.id = ANY(after)
    ON CONFLICT DO NOTHING;

    IF NOT EXISTS (SELECT FROM worker.waits AS w
                   WHERE w.job_id = await_jobs.job_id AND w.ended_as IS NULL) THEN
        INSERT INTO worker.ends (job_id) VALUES (job_id);
        PERFORM pg_notify('worker_jobs', '') FROM worker.runway WHERE idle;
    END IF;
END $$;

-- A job that runs when those named in `after` are finished; at once when none is named. Without
-- even_if_failed it is cancelled when one of them was discarded or cancelled. It has no unique
-- key: an unfinished twin knows nothing of what this one waits for, and would run too early.
CREATE FUNCTION worker.enqueue_after(
    kind text,
    args jsonb,
    after bigint[],
    tenant uuid DEFAULT NULL,
    even_if_failed boolean DEFAULT false,
    run_at timestamptz DEFAULT now(),
    priority int DEFAULT 0
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    known worker.kinds;
    job_id bigint;
    due timestamptz := coalesce(run_at, now());
    waits boolean := cardinality(after) > 0;
BEGIN
    args := coalesce(args, '{}');
    known := worker.known_kind(kind, args);
    IF after IS NULL THEN
        RAISE EXCEPTION 'job kind "%": what it shall run after is null', kind
            USING ERRCODE = 'invalid_parameter_value', HINT = 'An empty array runs it at once.';
    END IF;
    INSERT INTO worker.jobs AS j
        (kind, queue, tenant, priority, state, args, limit_key, run_at, max_attempts,
         blocked, even_if_failed, waited)
    VALUES (kind, known.queue, coalesce(tenant, worker.tenant_of(args)), coalesce(priority, 0),
            CASE WHEN waits OR due > now() THEN 'scheduled' ELSE 'available' END,
            args, args ->> known.limit_by, due, known.max_attempts,
            waits, coalesce(even_if_failed, false), '{}')
    RETURNING j.id INTO job_id;
    IF waits THEN
        PERFORM worker.await_jobs(job_id, after);
    END IF;
    RETURN job_id;
END $$;

-- These jobs, and all that they still wait for, directly or not.
CREATE FUNCTION worker.list_awaited(ids bigint[]) RETURNS SETOF bigint
LANGUAGE sql STABLE SET search_path = '' AS $$
    WITH RECURSIVE reached (id) AS (
        SELECT unnest(ids)
        UNION
        SELECT w.waits_for FROM reached AS r
        JOIN worker.waits AS w ON w.job_id = r.id AND w.ended_as IS NULL)
    SELECT id FROM reached
$$;

-- Lets a job that still waits wait for more. A running job may add to what waits for itself:
-- that cannot be released before it is finished.
CREATE FUNCTION worker.add_waits(job_id bigint, after bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    waiter worker.jobs;
BEGIN
    IF job_id = ANY(after) THEN
        RAISE EXCEPTION 'job % cannot wait for itself', job_id
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Only what waits itself can close a circle. One such call at a time, or two that make jobs
    -- wait for each other would not see one another.
    IF EXISTS (SELECT FROM worker.jobs AS j WHERE j.id = ANY(after) AND j.blocked) THEN
        PERFORM pg_advisory_xact_lock(hashtext('worker.add_waits'));
        PERFORM FROM worker.list_awaited(after) AS reached WHERE reached = job_id;
        IF FOUND THEN
            RAISE EXCEPTION 'job % cannot wait for jobs that wait for it', job_id
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END IF;
    PERFORM worker.await_jobs(job_id, after);
    SELECT j.* INTO waiter FROM worker.jobs AS j WHERE j.id = job_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no job %', job_id USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF waiter.state <> 'scheduled' OR NOT waiter.blocked THEN
        RAISE EXCEPTION 'job % waits no longer, it is %', job_id, waiter.state
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END $$;

-- Takes up to rows_max marks, brings worker.waits up to date with them, and lets go whoever has
-- nothing left to wait for; how many were let go. Any number may run at once. It waits for no
-- lock: what another transaction holds is marked again. Each step locks first and reads in the
-- statement after, so that of two settlers the later one always sees what the earlier one did.
-- Plans are kept to keys, for statistics of these tables are always stale: joins by probing, and
-- conditions written so that no partial index answers to them.
CREATE FUNCTION worker.settle(rows_max int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    marked bigint[];
    waiters bigint[];
    members bigint[];
    looked_at bigint[];
    held bigint[];
    let_go int;
BEGIN
    WITH taken AS (
        DELETE FROM worker.ends WHERE ctid = ANY(ARRAY(
            SELECT e.ctid FROM worker.ends AS e ORDER BY e.id LIMIT rows_max
            FOR UPDATE SKIP LOCKED))
        RETURNING job_id)
    SELECT array_agg(DISTINCT job_id) INTO marked FROM taken;
    IF marked IS NULL THEN
        RETURN 0;
    END IF;

    -- 1. How those that were waited for ended; null again for one that was retried.
    SELECT array_agg(l.job_id), array_agg(l.waits_for) INTO waiters, members
    FROM (SELECT w.job_id, w.waits_for FROM unnest(marked) AS m (id)
          LEFT JOIN worker.jobs AS j ON j.id = m.id
          JOIN worker.waits AS w ON w.waits_for = m.id
          WHERE w.ended_as IS DISTINCT FROM CASE
              WHEN j.id IS NULL THEN coalesce(w.ended_as, 'completed')
              WHEN j.state IN ('completed', 'discarded', 'cancelled') THEN j.state END
          LIMIT rows_max FOR UPDATE OF w SKIP LOCKED) AS l;
    UPDATE worker.waits AS w
    SET ended_as = CASE
        WHEN j.id IS NULL THEN coalesce(w.ended_as, 'completed')
        WHEN j.state IN ('completed', 'discarded', 'cancelled') THEN j.state END
    FROM unnest(waiters, members) AS l (job_id, waits_for)
    LEFT JOIN worker.jobs AS j ON j.id = l.waits_for
    WHERE w.job_id = l.job_id AND w.waits_for = l.waits_for;
    INSERT INTO worker.ends (job_id)
    SELECT m.id FROM unnest(marked) AS m (id)
    LEFT JOIN worker.jobs AS j ON j.id = m.id
    WHERE EXISTS (
        SELECT FROM worker.waits AS w
        WHERE w.waits_for = m.id AND w.ended_as IS DISTINCT FROM CASE
            WHEN j.id IS NULL THEN coalesce(w.ended_as, 'completed')
            WHEN j.state IN ('completed', 'discarded', 'cancelled') THEN j.state END);

    -- 2. Those that wait. Each is locked before its waits are read: two settlers that end its
    -- last two waits would otherwise each see the other's still open.
    SELECT array_agg(DISTINCT id) INTO looked_at
    FROM unnest(marked || coalesce(waiters, '{}')) AS c (id);
    SELECT array_agg(l.id) INTO held
    FROM unnest(looked_at) AS c (id) CROSS JOIN LATERAL (
        SELECT j.id FROM worker.jobs AS j
        WHERE j.id = c.id AND (j.state = 'scheduled' AND j.blocked) IS TRUE
        FOR NO KEY UPDATE SKIP LOCKED) AS l;
    UPDATE worker.jobs AS j
    SET state = CASE WHEN judged.fails THEN 'cancelled'
                     WHEN j.run_at > clock_timestamp() THEN 'scheduled' ELSE 'available' END,
        blocked = false,
        waited = judged.counts,
        run_at = greatest(j.run_at, clock_timestamp()),
        finished_at = CASE WHEN judged.fails THEN clock_timestamp() END,
        errors = CASE WHEN judged.fails THEN j.errors || judged.error ELSE j.errors END
    FROM unnest(held) AS h (id) CROSS JOIN LATERAL worker.judge_waits(h.id) AS judged
    WHERE j.id = h.id AND judged.ended;
    GET DIAGNOSTICS let_go = ROW_COUNT;
    -- Held by others, or found to wait for a job that was retried while its mark said otherwise.
    INSERT INTO worker.ends (job_id)
    SELECT l.id FROM (
        SELECT c.id, bool_or(c.held) AS held
        FROM (SELECT unnest(looked_at) AS id, false AS held
              UNION ALL SELECT unnest(held), true) AS c
        GROUP BY c.id) AS l
    CROSS JOIN LATERAL (
        SELECT FROM worker.jobs AS j
        WHERE j.id = l.id AND (j.state = 'scheduled' AND j.blocked) IS TRUE OFFSET 0) AS still
    WHERE NOT l.held OR (
        SELECT w.job_id FROM worker.waits AS w
        WHERE w.job_id = l.id AND w.ended_as IS NULL LIMIT 1) IS NULL;
    RETURN let_go;
END $$;

-- Whether all that a job waits for has ended, and what follows for it. The cheap question comes
-- first: a batch of thousands is counted once, when no wait of it is open any more. Counted is
-- what the jobs say themselves; one that is gone counts as it was last seen.
CREATE FUNCTION worker.judge_waits(
    job_id bigint, OUT ended boolean, OUT fails boolean, OUT counts jsonb, OUT error jsonb
)
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    failures bigint;
    failed bigint;
BEGIN
    ended := NOT EXISTS (SELECT FROM worker.waits AS w
                         WHERE w.job_id = judge_waits.job_id AND w.ended_as IS NULL);
    IF NOT ended THEN
        RETURN;
    END IF;
    SELECT count(*) FILTER (WHERE e.state IS NULL) = 0,
           count(*) FILTER (WHERE e.state <> 'completed'),
           min(e.id) FILTER (WHERE e.state <> 'completed'),
           jsonb_build_object(
               'completed', count(*) FILTER (WHERE e.state = 'completed'),
               'discarded', count(*) FILTER (WHERE e.state = 'discarded'),
               'cancelled', count(*) FILTER (WHERE e.state = 'cancelled'))
    INTO ended, failures, failed, counts
    FROM (SELECT w.waits_for AS id, CASE
              WHEN m.id IS NULL THEN coalesce(w.ended_as, 'completed')
              WHEN m.state IN ('completed', 'discarded', 'cancelled') THEN m.state END AS state
          FROM worker.waits AS w LEFT JOIN worker.jobs AS m ON m.id = w.waits_for
          WHERE w.job_id = judge_waits.job_id) AS e;
    SELECT failures > 0 AND NOT j.even_if_failed INTO fails
    FROM worker.jobs AS j WHERE j.id = job_id;
    IF fails THEN
        SELECT jsonb_build_object(
            'attempt', j.attempt, 'at', clock_timestamp(), 'trace', NULL,
            'error', format(
                'This job waited for job %s%s, which did not complete; %s failed in all.', failed,
                (SELECT format(' (%s, %s)', m.kind, m.state) FROM worker.jobs AS m
                 WHERE m.id = failed), failures))
        INTO error FROM worker.jobs AS j WHERE j.id = job_id;
    END IF;
END $$;

REVOKE EXECUTE ON FUNCTION worker.mark_end, worker.forget_waits, worker.await_jobs,
    worker.enqueue_after, worker.list_awaited, worker.add_waits, worker.settle,
    worker.judge_waits FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.enqueue_after, worker.add_waits, worker.settle TO service_role;

INSERT INTO worker.kinds (kind, queue, args, max_attempts, unique_by) VALUES
    ('reindex_agent', 'default', '{"agent_id": "uuid"}', 5, 'agent_id'),
    ('report_reindex', 'default', '{"agent_id": "uuid"}', 5, NULL);
