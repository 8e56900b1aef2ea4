-- Changing the embedding model of an agent. Twins are the chunks of the model it moves to: one
-- beside each chunk that serves, with the same place, words and metadata.

-- name: estimate_reindex
SELECT * FROM private.estimate_reindex(%(agent_id)s, %(model)s)

-- name: begin_change
INSERT INTO worker.model_changes AS m (agent_id, model) VALUES (%(agent_id)s, %(model)s)
ON CONFLICT (agent_id) DO UPDATE SET model = excluded.model, started_at = now()
WHERE m.model <> excluded.model

-- name: find_change
SELECT m.agent_id, m.model, m.started_at FROM worker.model_changes AS m
WHERE m.agent_id = %(agent_id)s

-- name: hold_change
-- Nobody switches or cancels it until we commit.
SELECT m.model FROM worker.model_changes AS m WHERE m.agent_id = %(agent_id)s FOR SHARE

-- name: end_change
DELETE FROM worker.model_changes WHERE agent_id = %(agent_id)s

-- name: lock_model
-- Waits for those that store chunks of the agent, and keeps others from it: see share_model.
SELECT pg_advisory_xact_lock(hashtextextended('model:' || %(agent_id)s::uuid, 0))

-- name: name_chunks
-- Chunks without a model count as the current one's. They are named while that is still true.
UPDATE public.knowledge_chunks AS c SET embedding_model = %(model)s
WHERE c.id = ANY (ARRAY(
    SELECT k.id FROM public.knowledge_chunks AS k
    WHERE k.agent_id = %(agent_id)s AND k.embedding_model IS NULL LIMIT %(rows_max)s))

-- name: list_incomplete
-- Sources in which a chunk has no twin, or a twin no chunk.
WITH old AS (
    SELECT c.source_id, c.chunk_index, c.content, c.content_hash, c.metadata
    FROM public.knowledge_chunks AS c JOIN public.agents AS a ON a.id = c.agent_id
    WHERE c.agent_id = %(agent_id)s
      AND (c.embedding_model IS NULL OR c.embedding_model = a.embedding_model)
), new AS (
    SELECT c.source_id, c.chunk_index, c.content, c.content_hash, c.metadata
    FROM public.knowledge_chunks AS c
    WHERE c.agent_id = %(agent_id)s AND c.embedding_model = %(model)s
)
SELECT DISTINCT coalesce(old.source_id, new.source_id)
FROM old FULL JOIN new ON new.source_id = old.source_id AND new.chunk_index = old.chunk_index
WHERE (old.content = new.content AND old.metadata = new.metadata
       AND coalesce(old.content_hash, new.content_hash) = new.content_hash) IS NOT TRUE
LIMIT %(rows_max)s

-- name: list_originals
SELECT c.id, c.chunk_index, c.content, c.content_hash, c.metadata, p.span_start, p.span_end,
       p.context
FROM public.knowledge_chunks AS c JOIN public.agents AS a ON a.id = c.agent_id
LEFT JOIN worker.chunk_spans AS p ON p.chunk_id = c.id
WHERE c.source_id = %(source_id)s
  AND (c.embedding_model IS NULL OR c.embedding_model = a.embedding_model)
ORDER BY c.chunk_index

-- name: list_twins
SELECT c.id, c.chunk_index, c.content, c.content_hash, c.metadata, NULL::int AS span_start,
       NULL::int AS span_end, NULL::text AS context
FROM public.knowledge_chunks AS c
WHERE c.source_id = %(source_id)s AND c.embedding_model = %(model)s
ORDER BY c.chunk_index

-- name: delete_twins
DELETE FROM public.knowledge_chunks AS c WHERE c.id = ANY(%(ids)s::uuid[])

-- name: switch_model
UPDATE public.agents SET embedding_model = %(model)s WHERE id = %(agent_id)s

-- name: recount_sources
-- Another model counts tokens in another way.
UPDATE public.knowledge_sources AS s
SET chunks_count = counted.chunks, tokens_count = counted.tokens
FROM (SELECT c.source_id, count(*)::int AS chunks, sum(c.tokens)::int AS tokens
      FROM public.knowledge_chunks AS c
      WHERE c.agent_id = %(agent_id)s AND c.embedding_model = %(model)s
      GROUP BY c.source_id) AS counted
WHERE s.id = counted.source_id
  AND (s.chunks_count, s.tokens_count) <> (counted.chunks, counted.tokens)

-- name: delete_retired
-- Chunks of models that the agent neither has nor is being moved to.
DELETE FROM public.knowledge_chunks AS c
WHERE c.id = ANY (ARRAY(
    SELECT k.id FROM public.knowledge_chunks AS k JOIN public.agents AS a ON a.id = k.agent_id
    WHERE k.agent_id = %(agent_id)s AND k.embedding_model IS NOT NULL
      AND k.embedding_model IS DISTINCT FROM a.embedding_model
      AND NOT EXISTS (SELECT FROM worker.model_changes AS m
                      WHERE m.agent_id = a.id AND m.model = k.embedding_model)
    LIMIT %(rows_max)s))

-- name: count_twins
SELECT count(*) FILTER (WHERE c.embedding_model IS DISTINCT FROM m.model) AS chunks,
       count(*) FILTER (WHERE c.embedding_model = m.model) AS done
FROM worker.model_changes AS m LEFT JOIN public.knowledge_chunks AS c ON c.agent_id = m.agent_id
WHERE m.agent_id = %(agent_id)s
