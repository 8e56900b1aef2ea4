-- The knowledge base: sources as the customer entered them, chunks as they are searched.

CREATE TABLE public.knowledge_sources (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id uuid NOT NULL REFERENCES public.agents (id) ON DELETE CASCADE,
    name text NOT NULL,
    type text NOT NULL,
    content text,
    url text,
    file_url text,
    file_name text,
    file_size bigint,
    file_type text,
    settings jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'pending',
    error_message text,
    progress jsonb,
    chunks_count int NOT NULL DEFAULT 0,
    tokens_count int NOT NULL DEFAULT 0,
    auto_sync boolean NOT NULL DEFAULT false,
    sync_frequency text,
    last_synced_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT knowledge_sources_type_check
        CHECK (type IN ('file', 'url', 'text', 'api', 'notion', 'google_drive')),
    CONSTRAINT knowledge_sources_status_check
        CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    CONSTRAINT knowledge_sources_counters_check CHECK (chunks_count >= 0 AND tokens_count >= 0),
    CONSTRAINT knowledge_sources_file_size_check CHECK (file_size >= 0)
);
COMMENT ON COLUMN public.knowledge_sources.progress IS
    'While it is processed: {"done": n, "total": n, "note": text}.';
COMMENT ON COLUMN public.knowledge_sources.sync_frequency IS
    'hourly, daily, weekly, monthly, or a cron expression.';
CREATE INDEX knowledge_sources_agent_id_idx ON public.knowledge_sources (agent_id);
CREATE INDEX knowledge_sources_auto_sync_idx ON public.knowledge_sources (last_synced_at)
    WHERE auto_sync;

CREATE TABLE public.knowledge_chunks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source_id uuid NOT NULL REFERENCES public.knowledge_sources (id) ON DELETE CASCADE,
    agent_id uuid NOT NULL REFERENCES public.agents (id) ON DELETE CASCADE,
    content text NOT NULL,
    tokens int NOT NULL DEFAULT 0,
    embedding extensions.vector(1536),
    embedding_model text,
    content_hash text,
    chunk_index int NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT knowledge_chunks_tokens_check CHECK (tokens >= 0),
    CONSTRAINT knowledge_chunks_chunk_index_check CHECK (chunk_index >= 0),
    -- A new edition of a source renumbers its chunks within one transaction: only the end counts.
    CONSTRAINT knowledge_chunks_source_id_chunk_index_key UNIQUE (source_id, chunk_index)
        DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON COLUMN public.knowledge_chunks.embedding_model IS
    'The model of its vector; null counts as the agent''s current one.';
COMMENT ON COLUMN public.knowledge_chunks.content IS 'The document''s own span, nothing added.';
-- A vector fits its page beside the row. Out of line, every search would fetch four pieces a chunk,
-- and the planner, who does not count them, would sort a big agent's rows instead of using HNSW.
ALTER TABLE public.knowledge_chunks ALTER COLUMN embedding SET STORAGE PLAIN;
ALTER TABLE public.knowledge_chunks SET (toast_tuple_target = 8160);
-- A small agent is served from this one, by an exact sort; HNSW is for the big ones.
CREATE INDEX knowledge_chunks_agent_id_idx ON public.knowledge_chunks (agent_id);
CREATE INDEX knowledge_chunks_embedding_idx ON public.knowledge_chunks
    USING hnsw (embedding extensions.vector_cosine_ops);

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.knowledge_sources
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.knowledge_chunks
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();

-- For a web tier that stores chunks by itself and does not number them.
CREATE FUNCTION private.number_chunk() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    NEW.chunk_index := coalesce(
        (SELECT max(c.chunk_index) + 1 FROM public.knowledge_chunks AS c
         WHERE c.source_id = NEW.source_id), 0);
    RETURN NEW;
END $$;
REVOKE EXECUTE ON FUNCTION private.number_chunk FROM PUBLIC;

CREATE TRIGGER number_chunk BEFORE INSERT ON public.knowledge_chunks
    FOR EACH ROW WHEN (NEW.chunk_index IS NULL) EXECUTE FUNCTION private.number_chunk();

CREATE FUNCTION private.source_agent(source_id uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT agent_id FROM public.knowledge_sources WHERE id = source_agent.source_id
$$;
REVOKE EXECUTE ON FUNCTION private.source_agent FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.source_agent TO authenticated, service_role;

ALTER TABLE public.knowledge_sources ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.knowledge_chunks ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.knowledge_sources, public.knowledge_chunks FROM anon, authenticated;
GRANT ALL ON public.knowledge_sources, public.knowledge_chunks TO service_role;
-- Counts and messages are the workers' to write; a source set back to pending is read again.
GRANT SELECT, DELETE,
    INSERT (id, agent_id, name, type, content, url, file_url, file_name, file_size, file_type,
        settings, status, auto_sync, sync_frequency),
    UPDATE (agent_id, name, type, content, url, file_url, file_name, file_size, file_type,
        settings, status, auto_sync, sync_frequency)
    ON public.knowledge_sources TO authenticated;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.knowledge_chunks TO authenticated;

CREATE POLICY "owners read sources" ON public.knowledge_sources
    FOR SELECT TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "owners add sources" ON public.knowledge_sources
    FOR INSERT TO authenticated
    WITH CHECK (status = 'pending' AND agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "owners edit sources" ON public.knowledge_sources
    FOR UPDATE TO authenticated
    USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())))
    WITH CHECK (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "owners delete sources" ON public.knowledge_sources
    FOR DELETE TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));

CREATE POLICY "owners read chunks" ON public.knowledge_chunks
    FOR SELECT TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
-- A chunk belongs to the agent of its source, or one tenant could write into another's source.
CREATE POLICY "owners add chunks" ON public.knowledge_chunks
    FOR INSERT TO authenticated WITH CHECK (
        agent_id = ANY (ARRAY(SELECT private.own_agent_ids()))
        AND private.source_agent(source_id) = agent_id);
CREATE POLICY "owners edit chunks" ON public.knowledge_chunks
    FOR UPDATE TO authenticated
    USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())))
    WITH CHECK (
        agent_id = ANY (ARRAY(SELECT private.own_agent_ids()))
        AND private.source_agent(source_id) = agent_id);
CREATE POLICY "owners delete chunks" ON public.knowledge_chunks
    FOR DELETE TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
