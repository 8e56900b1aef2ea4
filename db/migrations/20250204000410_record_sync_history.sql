-- What an owner may know of each run: also of those that failed, in words that help.

-- The last error of a job that was given up, for the row its customer looks at. Ours are written
-- for customers; what the engine says of processes and bugs is not.
CREATE FUNCTION worker.customer_error(state text, errors jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT CASE
        WHEN state = 'cancelled' THEN 'Indexing was cancelled.'
        WHEN last.error IS NULL THEN 'Indexing failed. Please try again or contact support.'
        WHEN last.error LIKE 'The job ran longer than its time limit%' THEN
            'Reading and indexing this source took longer than we allow. Please split it into '
            'smaller sources, or try again later.'
        WHEN last.error LIKE 'Internal error%' OR last.error LIKE 'The worker process died%' THEN
            'Indexing failed because of a fault on our side. Your previous content stays '
            'searchable; please try again or contact support.'
        ELSE last.error END
    FROM (SELECT errors -> -1 ->> 'error' AS error) AS last
$$;

CREATE OR REPLACE FUNCTION worker.fail_source() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.knowledge_sources AS s
    SET status = 'failed', progress = NULL,
        error_message = worker.customer_error(NEW.state, NEW.errors)
    WHERE s.id = (NEW.args ->> 'source_id')::uuid;
    RETURN NULL;
END $$;
-- Refreshing a site is crawling it, after what customers just asked for.
CREATE OR REPLACE TRIGGER fail_source AFTER UPDATE OF state ON worker.jobs
    FOR EACH ROW WHEN ((NEW.kind = 'index_source' OR NEW.kind = 'crawl_site' AND NEW.priority <= 0)
                       AND OLD.state <> NEW.state AND NEW.state IN ('discarded', 'cancelled'))
    EXECUTE FUNCTION worker.fail_source();

-- A run that ended without storing anything. Completed ones are recorded where they store.
CREATE FUNCTION worker.record_failed_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.sync_runs
        (source_id, job_id, kind, status, started_at, error_message, report)
    SELECT s.id, NEW.id, NEW.kind, CASE NEW.state WHEN 'discarded' THEN 'failed'
                                                  ELSE 'cancelled' END,
           coalesce(NEW.started_at, NEW.created_at),
           worker.customer_error(NEW.state, NEW.errors), coalesce(NEW.progress, '{}')
    FROM public.knowledge_sources AS s WHERE s.id = (NEW.args ->> 'source_id')::uuid;
    RETURN NULL;
END $$;
CREATE TRIGGER record_failed_run AFTER UPDATE OF state ON worker.jobs
    FOR EACH ROW WHEN (NEW.kind IN ('index_source', 'resync_source', 'crawl_site')
                       AND OLD.state <> NEW.state AND NEW.state IN ('discarded', 'cancelled'))
    EXECUTE FUNCTION worker.record_failed_run();

-- The newest runs of a source that changes every hour tell enough; pruning forgets by age.
CREATE FUNCTION worker.forget_surplus_runs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    runs_max CONSTANT int := 200;
BEGIN
    DELETE FROM worker.sync_runs AS r WHERE r.id IN (
        SELECT surplus.id FROM worker.sync_runs AS surplus WHERE surplus.source_id = NEW.source_id
        ORDER BY surplus.finished_at DESC, surplus.id DESC OFFSET runs_max);
    RETURN NULL;
END $$;
CREATE TRIGGER forget_surplus_runs AFTER INSERT ON worker.sync_runs
    FOR EACH ROW EXECUTE FUNCTION worker.forget_surplus_runs();

-- A refresh that failed: what was stored serves on, and the row says since when it is stale. The
-- next try is further away each time; after too many there is none until the owner says so.
CREATE FUNCTION worker.fail_resync() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    back_off_first CONSTANT interval := interval '1 hour';
    back_off_max CONSTANT interval := interval '1 day';
    failures_max CONSTANT int := 5;
    refusals_max CONSTANT int := 3;
    -- Given up with attempts to spare: trying again would not have helped.
    refused CONSTANT int := (NEW.attempt < NEW.max_attempts)::int;
    source public.knowledge_sources;
    sync worker.source_syncs;
    said text := worker.customer_error(NEW.state, NEW.errors);
    pauses boolean;
BEGIN
    SELECT s.* INTO source FROM public.knowledge_sources AS s
    WHERE s.id = (NEW.args ->> 'source_id')::uuid FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF NEW.state = 'cancelled' THEN
        UPDATE public.knowledge_sources AS s
        SET status = CASE WHEN s.last_synced_at IS NULL THEN 'failed' ELSE 'completed' END,
            progress = NULL, error_message = CASE WHEN s.last_synced_at IS NULL THEN said END
        WHERE s.id = source.id AND s.status = 'processing';
        RETURN NULL;
    END IF;

    INSERT INTO worker.source_syncs AS y (source_id, failures, refusals, failing_since)
    VALUES (source.id, 1, refused, now())
    ON CONFLICT ON CONSTRAINT source_syncs_pkey DO UPDATE
    SET failures = y.failures + 1, refusals = (y.refusals + 1) * refused,
        failing_since = coalesce(y.failing_since, now())
    RETURNING y.* INTO sync;
    pauses := source.auto_sync AND (sync.failures >= failures_max OR sync.refusals >= refusals_max);
    UPDATE worker.source_syncs AS y
    SET paused_at = CASE WHEN pauses THEN coalesce(y.paused_at, now()) END,
        due_at = CASE WHEN NOT pauses AND y.due_at IS NOT NULL THEN least(
            now() + least(back_off_first * 2 ^ (sync.failures - 1), back_off_max),
            worker.next_sync(source.id, source.sync_frequency, now())) END
    WHERE y.source_id = source.id;

    IF source.last_synced_at IS NOT NULL THEN
        said := format('Could not be refreshed since %s UTC: %s',
                       to_char(source.last_synced_at AT TIME ZONE 'UTC',
                               'FMDD FMMonth YYYY HH24:MI'), said);
    END IF;
    IF pauses THEN
        said := format('%s Automatic refreshing is paused after %s failed tries in a row: check '
                       'the source, then set auto_sync again or retry it.',
                       rtrim(said, '. ') || '.', sync.failures);
    END IF;
    UPDATE public.knowledge_sources AS s
    SET error_message = said,
        status = CASE WHEN s.status = 'pending' THEN s.status
                      WHEN s.last_synced_at IS NULL THEN 'failed' ELSE 'completed' END,
        progress = CASE WHEN s.status <> 'processing' THEN s.progress END
    WHERE s.id = source.id;
    IF pauses AND sync.paused_at IS NULL THEN
        INSERT INTO public.notifications
            (user_id, agent_id, type, title, message, priority, action_url, action_label)
        SELECT a.user_id, a.id, 'knowledge_sync_paused', 'A source is not refreshed any more',
               format('%s of %s: %s', left(source.name, 80), a.name, said), 'high',
               '/knowledge', 'Open knowledge'
        FROM public.agents AS a WHERE a.id = source.agent_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fail_resync AFTER UPDATE OF state ON worker.jobs
    FOR EACH ROW WHEN ((NEW.kind = 'resync_source' OR NEW.kind = 'crawl_site' AND NEW.priority > 0)
                       AND OLD.state <> NEW.state AND NEW.state IN ('discarded', 'cancelled'))
    EXECUTE FUNCTION worker.fail_resync();

-- A source that goes back to what it had is no news: nothing was completed.
CREATE OR REPLACE TRIGGER emit_knowledge_result AFTER UPDATE OF status ON public.knowledge_sources
    FOR EACH ROW WHEN (NEW.status IN ('completed', 'failed') AND OLD.status <> NEW.status
                       AND (NEW.status = 'failed' OR NEW.error_message IS NULL
                            OR NEW.last_synced_at IS DISTINCT FROM OLD.last_synced_at))
    EXECUTE FUNCTION private.emit_knowledge_result();

-- The public functions run as their caller; the private ones first look whose the source is.
CREATE FUNCTION private.owned_source(source_id uuid) RETURNS uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.knowledge_sources AS s JOIN public.agents AS a ON a.id = s.agent_id
        WHERE s.id = owned_source.source_id
          AND (a.user_id = (SELECT auth.uid()) OR (SELECT auth.role()) = 'service_role'))
    THEN
        RAISE EXCEPTION 'no knowledge source %', source_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN source_id;
END $$;

CREATE FUNCTION private.read_sync_history(source_id uuid, row_limit int) RETURNS TABLE (
    id bigint, kind text, status text, started_at timestamptz, finished_at timestamptz,
    error_message text, documents int, chunks_added int, chunks_kept int, chunks_removed int,
    tokens_embedded bigint, cost_usd numeric, report jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT r.id, r.kind, r.status, r.started_at, r.finished_at, r.error_message,
           coalesce((r.report ->> 'documents')::int, 0),
           coalesce((r.report ->> 'chunks_added')::int, 0),
           coalesce((r.report ->> 'chunks_kept')::int, 0),
           coalesce((r.report ->> 'chunks_removed')::int, 0),
           coalesce((r.report ->> 'tokens_embedded')::bigint, 0),
           coalesce((r.report ->> 'cost_usd')::numeric, 0), r.report
    FROM worker.sync_runs AS r
    WHERE r.source_id = private.owned_source(read_sync_history.source_id)
    ORDER BY r.finished_at DESC, r.id DESC LIMIT least(greatest(row_limit, 0), 1000)
$$;

CREATE FUNCTION public.get_sync_history(source_id uuid, row_limit int DEFAULT 20) RETURNS TABLE (
    id bigint, kind text, status text, started_at timestamptz, finished_at timestamptz,
    error_message text, documents int, chunks_added int, chunks_kept int, chunks_removed int,
    tokens_embedded bigint, cost_usd numeric, report jsonb)
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
    SELECT * FROM private.read_sync_history(source_id, row_limit)
$$;
COMMENT ON FUNCTION public.get_sync_history IS
    'Runs that changed the source or failed, newest first. One that found nothing new is not here.';

CREATE FUNCTION private.read_sync_state(source_id uuid) RETURNS TABLE (
    next_sync_at timestamptz, failures int, failing_since timestamptz, paused_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT y.due_at, coalesce(y.failures, 0), y.failing_since, y.paused_at
    FROM (SELECT private.owned_source(read_sync_state.source_id) AS id) AS s
    LEFT JOIN worker.source_syncs AS y ON y.source_id = s.id
$$;

CREATE FUNCTION public.get_sync_state(source_id uuid) RETURNS TABLE (
    next_sync_at timestamptz, failures int, failing_since timestamptz, paused_at timestamptz)
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
    SELECT * FROM private.read_sync_state(source_id)
$$;
COMMENT ON FUNCTION public.get_sync_state IS
    'When a source refreshes itself next; how often in a row it failed, and since when it paused.';

REVOKE EXECUTE ON FUNCTION worker.customer_error, worker.record_failed_run,
    worker.forget_surplus_runs, worker.fail_resync,
    private.owned_source, private.read_sync_history, private.read_sync_state FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION public.get_sync_history, public.get_sync_state FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION private.owned_source, private.read_sync_history,
    private.read_sync_state, public.get_sync_history, public.get_sync_state
    TO authenticated, service_role;
