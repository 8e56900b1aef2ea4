-- The chunks of a source and the vectors that were paid for.

-- name: load_known
-- Metadata that is not of the form we store was edited by hand: such a chunk is made anew.
SELECT c.id, c.content, c.content_hash, c.chunk_index, c.metadata, p.span_start, p.span_end
FROM public.knowledge_chunks AS c LEFT JOIN worker.chunk_spans AS p ON p.chunk_id = c.id
WHERE c.source_id = %(source_id)s AND c.embedding_model = %(model)s
  AND c.content_hash IS NOT NULL AND jsonb_typeof(c.metadata) = 'object'
  AND coalesce(jsonb_typeof(c.metadata -> 'document'), 'object') = 'object'
ORDER BY c.chunk_index

-- name: delete_others
-- Everything of the source that the new set does not keep, of whatever model but the one that its
-- agent is being moved to.
DELETE FROM public.knowledge_chunks AS c
WHERE c.source_id = %(source_id)s AND NOT (c.id = ANY(%(kept)s::uuid[]))
  AND (c.embedding_model IS NULL OR c.embedding_model = %(model)s OR NOT EXISTS (
      SELECT FROM worker.model_changes AS m
      WHERE m.agent_id = c.agent_id AND m.model = c.embedding_model))

-- name: move_chunks
-- Kept chunks whose place, section or white space changed; their vectors stay.
UPDATE public.knowledge_chunks AS c
SET chunk_index = u.chunk_index, content = u.content, metadata = u.metadata
FROM unnest(%(ids)s::uuid[], %(indexes)s::int[], %(contents)s::text[], %(metadata)s::jsonb[])
    AS u(id, chunk_index, content, metadata)
WHERE c.id = u.id

-- name: place_chunks
INSERT INTO worker.chunk_spans AS p (chunk_id, span_start, span_end, context)
SELECT * FROM unnest(%(ids)s::uuid[], %(starts)s::int[], %(ends)s::int[], %(contexts)s::text[])
ON CONFLICT (chunk_id) DO UPDATE
SET span_start = excluded.span_start, span_end = excluded.span_end,
    context = coalesce(excluded.context, p.context)

-- name: copy_chunks
COPY public.knowledge_chunks
    (id, source_id, agent_id, content, tokens, embedding, chunk_index, metadata, embedding_model,
     content_hash)
FROM STDIN (FORMAT BINARY)

-- name: recall_vectors
-- What was paid for already, by the hash of what was embedded. Noted once a day, and only where
-- nobody else is noting it: two runs with the same texts must not wait for each other crosswise.
WITH stale AS MATERIALIZED (
    SELECT model, text_hash FROM worker.embedding_cache
    WHERE model = %(model)s AND text_hash = ANY(%(hashes)s::bytea[])
      AND used_at < now() - interval '1 day'
    FOR UPDATE SKIP LOCKED
), noted AS (
    UPDATE worker.embedding_cache AS c SET used_at = now()
    FROM stale WHERE c.model = stale.model AND c.text_hash = stale.text_hash
)
SELECT text_hash, embedding FROM worker.embedding_cache
WHERE model = %(model)s AND text_hash = ANY(%(hashes)s::bytea[])

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
