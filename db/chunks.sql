-- The chunks of a source and the vectors that were paid for.

-- name: load_known
SELECT id, content, content_hash, chunk_index, metadata FROM public.knowledge_chunks
WHERE source_id = %(source_id)s AND embedding_model = %(model)s AND content_hash IS NOT NULL
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

-- name: create_paid
CREATE TEMPORARY TABLE paid (
    text_hash bytea NOT NULL, embedding extensions.vector(1536) NOT NULL, tokens int NOT NULL
) ON COMMIT DROP

-- name: copy_paid
COPY paid (text_hash, embedding, tokens) FROM STDIN (FORMAT BINARY)

-- name: remember_paid
INSERT INTO worker.embedding_cache (model, text_hash, embedding, tokens)
SELECT DISTINCT ON (text_hash) %(model)s, text_hash, embedding, tokens FROM paid
ON CONFLICT (model, text_hash) DO NOTHING

-- name: search
SELECT m.id AS chunk_id, m.source_id, s.name AS source_name, s.url, m.content, m.metadata,
       m.similarity AS score
FROM public.match_knowledge_chunks(%(embedding)s::extensions.vector, %(agent_id)s, %(threshold)s,
                                   %(limit)s) AS m
JOIN public.knowledge_sources AS s ON s.id = m.source_id
ORDER BY m.similarity DESC, m.id
