-- Search by vector, by words, or by both ranks fused.

-- The library must be loaded before a role that is no superuser may put `hnsw.` settings on a
-- function.
SELECT '[0]'::extensions.vector;

-- Whether row-level security would show the caller this agent's chunks. `role` keeps what the
-- caller became by SET ROLE, also inside a function of ours.
CREATE FUNCTION private.sees_agent(agent_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT agent_id = ANY (ARRAY(SELECT private.own_agent_ids())) OR EXISTS (
        SELECT FROM pg_catalog.pg_roles AS r
        WHERE r.rolname = coalesce(nullif(current_setting('role'), 'none'), session_user)
          AND (r.rolsuper OR r.rolbypassrls OR r.rolname = current_user))
$$;

-- BM25 (k1 1.2, b 0.75, Lucene's idf) over the agent's chunks of its current model. Rarity and
-- lengths are counted as they are now, over the whole agent: a filter changes no chunk's score.
CREATE FUNCTION private.rank_chunks(
    agent_id uuid, query_text text, source_ids uuid[], metadata_filter jsonb, wanted int
) RETURNS TABLE (chunk_id uuid, score double precision, words text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = ''
SET plan_cache_mode = force_custom_plan
SET work_mem = '32MB'
AS $$
#variable_conflict use_column
DECLARE
    k1 constant float8 := 1.2::float8;
    b constant float8 := 0.75::float8;
    model text := (SELECT a.embedding_model FROM public.agents AS a
                   WHERE a.id = rank_chunks.agent_id);
    asked_words text[] := (private.words_of(left(query_text, 10000)))[1:500];
    languages text[];
    total bigint;
    average float8;
    asked_keys bigint[];
    asked_terms int[];
    has_twins boolean;
BEGIN
    IF NOT private.sees_agent(rank_chunks.agent_id) THEN
        RETURN;
    END IF;
    SELECT array_agg(g.language), sum(g.chunks)::bigint, (sum(g.length) / sum(g.chunks))::float8
    INTO languages, total, average
    FROM (SELECT t.language, count(*) AS chunks, sum(t.length) AS length
          FROM worker.chunk_terms AS t
          WHERE t.agent_id = rank_chunks.agent_id
            AND (t.embedding_model IS NULL OR t.embedding_model = model)
          GROUP BY t.language) AS g;
    -- A word asked for is one term, whatever forms the agent's languages give it.
    SELECT array_agg(f.key), array_agg(f.place)
    INTO asked_keys, asked_terms
    FROM (SELECT private.term_key(rank_chunks.agent_id, s.stem) AS key, min(s.place)::int AS place
          FROM unnest(languages) AS language
          CROSS JOIN LATERAL private.stems_of(asked_words, language) AS s
          GROUP BY s.stem) AS f;
    has_twins := cardinality(asked_keys)
        > (SELECT count(DISTINCT term) FROM unnest(asked_terms) AS term);
    RETURN QUERY
    WITH found AS MATERIALIZED (
        -- The fence keeps the wide rows on the outer side: they are read once and never sorted.
        SELECT t.chunk_id, met.term, met.occurs,
               k1 * (1 - b + b * t.length / average) AS half,
               source_ids IS NULL OR t.source_id = ANY (source_ids) AS is_wanted
        FROM worker.chunk_terms AS t
        CROSS JOIN LATERAL (
            SELECT a.term, t.counts[width_bucket(a.key, t.keys)]::float8 AS occurs
            FROM unnest(asked_keys, asked_terms) AS a (key, term)
            WHERE t.keys[width_bucket(a.key, t.keys)] = a.key
            OFFSET 0
        ) AS met
        WHERE t.keys && asked_keys
          AND t.agent_id = rank_chunks.agent_id
          AND (t.embedding_model IS NULL OR t.embedding_model = model)
    ), hits AS (
        -- Two forms of one word in a chunk are one hit; most questions have no such word.
        SELECT f.chunk_id, f.term, f.occurs, f.half, f.is_wanted FROM found AS f WHERE NOT has_twins
        UNION ALL
        SELECT f.chunk_id, f.term, max(f.occurs), min(f.half), bool_and(f.is_wanted)
        FROM found AS f WHERE has_twins GROUP BY f.chunk_id, f.term
    ), weights AS MATERIALIZED (
        SELECT h.term, ln(1 + (total - count(*) + 0.5) / (count(*) + 0.5))::float8 AS idf
        FROM hits AS h GROUP BY h.term
    ), best AS MATERIALIZED (
        SELECT h.chunk_id, sum(w.idf * (k1 + 1) * h.occurs / (h.occurs + h.half)) AS score
        FROM hits AS h JOIN weights AS w ON w.term = h.term
        WHERE h.is_wanted
        GROUP BY h.chunk_id
        HAVING metadata_filter IS NULL OR EXISTS (
            SELECT FROM public.knowledge_chunks AS c
            WHERE c.id = h.chunk_id AND c.metadata @> metadata_filter)
        ORDER BY score DESC, h.chunk_id
        LIMIT greatest(wanted, 0)
    )
    SELECT best.chunk_id, best.score, (
        SELECT array_agg(asked_words[m.term] ORDER BY m.term)
        FROM worker.chunk_terms AS t
        CROSS JOIN LATERAL (
            SELECT DISTINCT a.term FROM unnest(asked_keys, asked_terms) AS a (key, term)
            WHERE t.keys[width_bucket(a.key, t.keys)] = a.key) AS m
        WHERE t.chunk_id = best.chunk_id)
    FROM best
    ORDER BY best.score DESC, best.chunk_id;
END $$;

-- The nearest chunks: by HNSW, or all compared where a filter leaves few of them, or where HNSW
-- gave too few. It stops after some rows or memory, and those may be other agents' or dead ones.
CREATE FUNCTION private.nearest_chunks(
    agent_id uuid, query_embedding extensions.vector(1536), match_threshold double precision,
    source_ids uuid[], metadata_filter jsonb, wanted int
) RETURNS TABLE (chunk_id uuid, similarity double precision)
LANGUAGE plpgsql STABLE SECURITY INVOKER
SET search_path = ''
SET plan_cache_mode = force_custom_plan
SET hnsw.iterative_scan = relaxed_order
SET hnsw.ef_search = 200
AS $$
#variable_conflict use_column
DECLARE
    exact_max constant int := 10000;
    is_filtered constant boolean := source_ids IS NOT NULL OR metadata_filter IS NOT NULL;
    model text := (SELECT a.embedding_model FROM public.agents AS a
                   WHERE a.id = nearest_chunks.agent_id);
    ids uuid[];
    distances float8[];
BEGIN
    IF NOT is_filtered OR EXISTS (
        SELECT FROM public.knowledge_chunks AS c
        WHERE c.agent_id = nearest_chunks.agent_id
          AND (source_ids IS NULL OR c.source_id = ANY (source_ids))
          AND (metadata_filter IS NULL OR c.metadata @> metadata_filter)
        OFFSET exact_max)
    THEN
        SELECT array_agg(n.id), array_agg(n.distance)
        INTO ids, distances
        FROM (SELECT c.id, c.embedding OPERATOR(extensions.<=>) query_embedding AS distance
              FROM public.knowledge_chunks AS c
              WHERE c.agent_id = nearest_chunks.agent_id
                AND (c.embedding_model IS NULL OR c.embedding_model = model)
                AND c.embedding IS NOT NULL
                AND (source_ids IS NULL OR c.source_id = ANY (source_ids))
                AND (metadata_filter IS NULL OR c.metadata @> metadata_filter)
              ORDER BY c.embedding OPERATOR(extensions.<=>) query_embedding
              LIMIT greatest(wanted, 0)) AS n;
    END IF;
    IF coalesce(cardinality(ids), 0) < wanted THEN
        SELECT array_agg(n.id), array_agg(n.distance)
        INTO ids, distances
        FROM (SELECT near.id, near.distance
              -- The fence keeps the order from being read off the index.
              FROM (SELECT c.id, c.embedding OPERATOR(extensions.<=>) query_embedding AS distance
                    FROM public.knowledge_chunks AS c
                    WHERE c.agent_id = nearest_chunks.agent_id
                      AND (c.embedding_model IS NULL OR c.embedding_model = model)
                      AND c.embedding IS NOT NULL
                      AND (source_ids IS NULL OR c.source_id = ANY (source_ids))
                      AND (metadata_filter IS NULL OR c.metadata @> metadata_filter)
                    OFFSET 0) AS near
              ORDER BY near.distance, near.id
              LIMIT greatest(wanted, 0)) AS n;
    END IF;
    RETURN QUERY
    SELECT n.id, 1 - n.distance
    FROM unnest(ids, distances) AS n (id, distance)
    WHERE 1 - n.distance >= match_threshold
    ORDER BY n.distance, n.id;
END $$;

-- The same answer as before, also right after a mass of other chunks has changed.
CREATE OR REPLACE FUNCTION public.match_knowledge_chunks(
    query_embedding extensions.vector(1536),
    agent_id uuid,
    match_threshold double precision DEFAULT 0,
    match_count int DEFAULT 5
) RETURNS TABLE (id uuid, source_id uuid, content text, metadata jsonb, similarity double precision)
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.id, c.source_id, c.content, c.metadata, n.similarity
    FROM private.nearest_chunks(
        match_knowledge_chunks.agent_id, query_embedding, match_threshold, NULL, NULL,
        match_count) AS n
    JOIN public.knowledge_chunks AS c ON c.id = n.chunk_id
    ORDER BY n.similarity DESC, c.id;
END $$;

CREATE FUNCTION public.search_knowledge(
    agent_id uuid,
    query_text text DEFAULT NULL,
    query_embedding extensions.vector(1536) DEFAULT NULL,
    match_count int DEFAULT 5,
    match_threshold double precision DEFAULT 0,
    source_ids uuid[] DEFAULT NULL,
    metadata_filter jsonb DEFAULT NULL,
    lexical_weight double precision DEFAULT NULL,
    rrf_k double precision DEFAULT 60
) RETURNS TABLE (
    id uuid, source_id uuid, content text, metadata jsonb, score double precision,
    vector_rank int, similarity double precision,
    lexical_rank int, lexical_score double precision, matched_words text[])
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    candidates int := greatest(100, 2 * match_count);
    -- The small model in the wheel is the weaker judge of the two.
    word_weight double precision := coalesce(lexical_weight, CASE WHEN EXISTS (
        SELECT FROM public.agents AS a
        WHERE a.id = search_knowledge.agent_id AND a.embedding_model LIKE 'wordllama%')
        THEN 2 ELSE 1 END);
BEGIN
    RETURN QUERY
    WITH by_vector AS MATERIALIZED (
        SELECT n.chunk_id, n.similarity,
               row_number() OVER (ORDER BY n.similarity DESC, n.chunk_id)::int AS place
        FROM private.nearest_chunks(
            search_knowledge.agent_id, query_embedding, match_threshold, source_ids,
            metadata_filter, candidates) AS n
        WHERE query_embedding IS NOT NULL
    ), by_words AS MATERIALIZED (
        SELECT r.chunk_id, r.score, r.words,
               row_number() OVER (ORDER BY r.score DESC, r.chunk_id)::int AS place
        FROM private.rank_chunks(
            search_knowledge.agent_id, query_text, source_ids, metadata_filter, candidates) AS r
        WHERE query_text IS NOT NULL
    ), fused AS (
        SELECT coalesce(v.chunk_id, w.chunk_id) AS chunk_id, v.place AS vector_place,
               w.place AS word_place, w.score AS word_score, w.words,
               CASE WHEN query_text IS NULL THEN v.similarity
                    WHEN query_embedding IS NULL THEN w.score
                    ELSE coalesce(1 / (rrf_k + v.place), 0)
                         + coalesce(word_weight / (rrf_k + w.place), 0) END AS score
        FROM by_vector AS v FULL JOIN by_words AS w ON w.chunk_id = v.chunk_id
    ), best AS MATERIALIZED (
        SELECT * FROM fused AS f
        ORDER BY f.score DESC, f.vector_place, f.chunk_id
        LIMIT greatest(match_count, 0)
    )
    SELECT c.id, c.source_id, c.content, c.metadata, b.score, b.vector_place,
           1 - (c.embedding OPERATOR(extensions.<=>) query_embedding),
           b.word_place, b.word_score, b.words
    FROM best AS b JOIN public.knowledge_chunks AS c ON c.id = b.chunk_id
    WHERE c.agent_id = search_knowledge.agent_id
    ORDER BY b.score DESC, b.vector_place, c.id;
END $$;
COMMENT ON FUNCTION public.search_knowledge IS
    'Give a text, its embedding, or both. Both: score is the weighted reciprocal rank fusion; one '
    'alone: BM25 or the cosine similarity. source_ids and metadata_filter (contained in metadata) '
    'narrow the search and lose nothing.';

-- What stands before and after a chunk in its source, `distance` negative before it.
CREATE FUNCTION public.knowledge_chunk_neighbours(
    chunk_id uuid, before int DEFAULT 1, after int DEFAULT 1
) RETURNS TABLE (
    id uuid, source_id uuid, content text, metadata jsonb, chunk_index int, distance int)
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    middle public.knowledge_chunks;
    model text;
BEGIN
    SELECT c.* INTO middle FROM public.knowledge_chunks AS c WHERE c.id = chunk_id;
    model := (SELECT a.embedding_model FROM public.agents AS a WHERE a.id = middle.agent_id);
    RETURN QUERY
    SELECT c.id, c.source_id, c.content, c.metadata, c.chunk_index, near.distance
    FROM (
        SELECT n.id, -row_number() OVER (ORDER BY n.chunk_index DESC)::int AS distance
        FROM public.knowledge_chunks AS n
        WHERE n.source_id = middle.source_id AND n.chunk_index < middle.chunk_index
          AND coalesce(n.embedding_model, model)
              IS NOT DISTINCT FROM coalesce(middle.embedding_model, model)
        ORDER BY n.chunk_index DESC LIMIT greatest(before, 0)
    ) AS near JOIN public.knowledge_chunks AS c ON c.id = near.id
    UNION ALL
    SELECT c.id, c.source_id, c.content, c.metadata, c.chunk_index, near.distance
    FROM (
        SELECT n.id, row_number() OVER (ORDER BY n.chunk_index)::int AS distance
        FROM public.knowledge_chunks AS n
        WHERE n.source_id = middle.source_id AND n.chunk_index > middle.chunk_index
          AND coalesce(n.embedding_model, model)
              IS NOT DISTINCT FROM coalesce(middle.embedding_model, model)
        ORDER BY n.chunk_index LIMIT greatest(after, 0)
    ) AS near JOIN public.knowledge_chunks AS c ON c.id = near.id
    ORDER BY 6;
END $$;

REVOKE EXECUTE ON FUNCTION private.sees_agent, private.rank_chunks, private.nearest_chunks
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.rank_chunks, private.nearest_chunks
    TO authenticated, service_role;
REVOKE EXECUTE ON FUNCTION public.search_knowledge, public.knowledge_chunk_neighbours
    FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION public.search_knowledge, public.knowledge_chunk_neighbours
    TO authenticated, service_role;
