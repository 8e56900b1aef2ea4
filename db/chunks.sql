-- The chunks of a source and the vectors that were paid for.

-- name: load_known
SELECT id, content_hash, chunk_index, start_at, end_at, heading_path FROM (
    SELECT c.id, c.content_hash, c.chunk_index, (c.metadata ->> 'start')::int AS start_at,
           (c.metadata ->> 'end')::int AS end_at, c.metadata -> 'heading_path' AS heading_path
    FROM public.knowledge_chunks AS c
    WHERE c.source_id = %(source_id)s AND c.embedding_model = %(model)s) AS known
ORDER BY chunk_index

-- name: delete_others
-- Everything of the source that the new set does not keep, whatever model it is of.
DELETE FROM public.knowledge_chunks
WHERE source_id = %(source_id)s AND NOT (id = ANY(%(kept)s::uuid[]))

-- name: move_chunks
-- Kept chunks whose place or section changed; their vectors stay.
UPDATE public.knowledge_chunks AS c
SET chunk_index = u.chunk_index, metadata = u.metadata
FROM unnest(%(ids)s::uuid[], %(indexes)s::int[], %(metadata)s::jsonb[])
    AS u(id, chunk_index, metadata)
WHERE c.id = u.id

-- name: copy_chunks
COPY public.knowledge_chunks
    (source_id, agent_id, content, tokens, embedding, chunk_index, metadata, embedding_model,
     content_hash)
FROM STDIN (FORMAT BINARY)

-- name: recall_vectors
-- What was paid for already, by the hash of what was embedded.
UPDATE worker.embedding_cache SET used_at = now()
WHERE model = %(model)s AND text_hash = ANY(%(hashes)s::bytea[])
RETURNING text_hash, embedding

-- name: remember_vectors
INSERT INTO worker.embedding_cache (model, text_hash, embedding, tokens)
SELECT %(model)s, u.text_hash, u.embedding, u.tokens
FROM unnest(%(hashes)s::bytea[], %(vectors)s::extensions.vector[], %(tokens)s::int[])
    AS u(text_hash, embedding, tokens)
ON CONFLICT (model, text_hash) DO NOTHING

-- name: search
SELECT m.id AS chunk_id, m.source_id, s.name AS source_name, s.url, m.content, m.metadata,
       m.similarity AS score
FROM public.match_knowledge_chunks(%(embedding)s, %(agent_id)s, %(threshold)s, %(limit)s) AS m
JOIN public.knowledge_sources AS s ON s.id = m.source_id
ORDER BY m.similarity DESC, m.id
