-- Functions and views of the web tier. The first statement only loads pgvector's library: without
-- it a role that is no superuser may not put `hnsw.` settings on a function.
SELECT '[0]'::extensions.vector;

-- Planned for each call: for a small agent an exact sort of its rows is both fastest and complete,
-- for a big one the HNSW index is, scanned on until enough of this agent's rows were met.
CREATE FUNCTION public.match_knowledge_chunks(
    query_embedding extensions.vector(1536),
    agent_id uuid,
    match_threshold double precision DEFAULT 0,
    match_count int DEFAULT 5
) RETURNS TABLE (id uuid, source_id uuid, content text, metadata jsonb, similarity double precision)
LANGUAGE plpgsql STABLE SECURITY INVOKER
SET search_path = ''
SET plan_cache_mode = force_custom_plan
SET hnsw.iterative_scan = relaxed_order
SET hnsw.ef_search = 200
AS $$
#variable_conflict use_column
DECLARE
    model text := (SELECT a.embedding_model FROM public.agents AS a
                   WHERE a.id = match_knowledge_chunks.agent_id);
BEGIN
    RETURN QUERY
    WITH nearest AS MATERIALIZED (
        SELECT c.id, c.source_id, c.content, c.metadata,
               c.embedding OPERATOR(extensions.<=>) query_embedding AS distance
        FROM public.knowledge_chunks AS c
        WHERE c.agent_id = match_knowledge_chunks.agent_id
          AND (c.embedding_model IS NULL OR c.embedding_model = model)
          AND c.embedding IS NOT NULL
        ORDER BY c.embedding OPERATOR(extensions.<=>) query_embedding
        LIMIT greatest(match_count, 0)
    )
    SELECT n.id, n.source_id, n.content, n.metadata, 1 - n.distance
    FROM nearest AS n
    WHERE 1 - n.distance >= match_threshold
    ORDER BY n.distance, n.id;
END $$;
REVOKE EXECUTE ON FUNCTION public.match_knowledge_chunks FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION public.match_knowledge_chunks TO authenticated, service_role;
