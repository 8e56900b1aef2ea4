-- Who sets credentials on a source that failed, or is about to for want of them, means: try again.

CREATE FUNCTION worker.retry_with_credentials() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.knowledge_sources AS s SET status = 'pending'
    WHERE s.id = NEW.source_id AND s.status IN ('failed', 'processing');
    RETURN NULL;
END $$;
-- Sealing empties the column: that is no news.
CREATE TRIGGER retry_with_credentials
    AFTER INSERT OR UPDATE OF credentials ON worker.source_credentials
    FOR EACH ROW WHEN (NEW.credentials IS NOT NULL)
    EXECUTE FUNCTION worker.retry_with_credentials();

REVOKE EXECUTE ON FUNCTION worker.retry_with_credentials FROM PUBLIC;
