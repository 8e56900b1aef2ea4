-- A knowledge source is its own job request: writing what it is made of queues the work in
-- the same transaction, and a job that is given up tells the row its customer looks at.

CREATE FUNCTION worker.mark_source_pending() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    NEW.status := 'pending';
    NEW.error_message := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER mark_source_pending
    BEFORE UPDATE OF type, content, url, file_url, settings, agent_id ON public.knowledge_sources
    FOR EACH ROW WHEN (
        (OLD.type, OLD.content, OLD.url, OLD.file_url, OLD.settings, OLD.agent_id)
        IS DISTINCT FROM
        (NEW.type, NEW.content, NEW.url, NEW.file_url, NEW.settings, NEW.agent_id))
    EXECUTE FUNCTION worker.mark_source_pending();

CREATE FUNCTION worker.enqueue_index_source() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM worker.enqueue(
        'index_source',
        jsonb_build_object('source_id', NEW.id),
        tenant => (SELECT a.user_id FROM public.agents AS a WHERE a.id = NEW.agent_id),
        unique_key => NEW.id::text,
        on_conflict => 'replace');
    RETURN NULL;
END $$;
CREATE TRIGGER enqueue_index_source_on_insert AFTER INSERT ON public.knowledge_sources
    FOR EACH ROW WHEN (NEW.status = 'pending')
    EXECUTE FUNCTION worker.enqueue_index_source();
-- Also when only `status` is set back to pending: that is how a customer asks for a retry.
CREATE TRIGGER enqueue_index_source_on_update AFTER UPDATE ON public.knowledge_sources
    FOR EACH ROW WHEN (NEW.status = 'pending' AND (
        OLD.status <> 'pending' OR
        (OLD.type, OLD.content, OLD.url, OLD.file_url, OLD.settings, OLD.agent_id)
        IS DISTINCT FROM
        (NEW.type, NEW.content, NEW.url, NEW.file_url, NEW.settings, NEW.agent_id)))
    EXECUTE FUNCTION worker.enqueue_index_source();

-- Whoever gives the job up (its worker, the rescuer, an operator), no source stays in
-- "processing" for ever.
CREATE FUNCTION worker.fail_source() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.knowledge_sources AS s
    SET status = 'failed',
        progress = NULL,
        error_message = CASE
            WHEN NEW.state = 'cancelled' THEN 'Indexing was cancelled.'
            WHEN NEW.errors -> -1 ->> 'error' LIKE 'Internal error%' THEN
                'Indexing failed because of a fault on our side. Your previous content stays '
                'searchable; please try again or contact support.'
            ELSE coalesce(NEW.errors -> -1 ->> 'error', 'Indexing failed.') END
    WHERE s.id = (NEW.args ->> 'source_id')::uuid;
    RETURN NULL;
END $$;
CREATE TRIGGER fail_source AFTER UPDATE OF state ON worker.jobs
    FOR EACH ROW WHEN (NEW.kind = 'index_source' AND OLD.state <> NEW.state
                       AND NEW.state IN ('discarded', 'cancelled'))
    EXECUTE FUNCTION worker.fail_source();

REVOKE EXECUTE ON FUNCTION worker.mark_source_pending FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION worker.enqueue_index_source FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION worker.fail_source FROM PUBLIC;
