-- The knowledge base, as owners fill and search it. Workers have sources.sql and chunks.sql.

-- name: create_source
-- A trigger queues its indexing in the same transaction.
INSERT INTO public.knowledge_sources (
    id, agent_id, name, type, content, url, file_url, file_name, file_size, file_type, settings,
    auto_sync, sync_frequency)
SELECT coalesce(n.id, gen_random_uuid()), n.agent_id, n.name, n.type, n.content, n.url,
       n.file_url, n.file_name, n.file_size, n.file_type, coalesce(n.settings, '{}'),
       coalesce(n.auto_sync, false), n.sync_frequency
FROM jsonb_populate_record(NULL::public.knowledge_sources, %(row)s) AS n
RETURNING *

-- name: get_source
SELECT * FROM public.knowledge_sources WHERE id = %(source_id)s

-- name: list_sources
SELECT * FROM public.knowledge_sources
WHERE agent_id = %(agent_id)s AND status = coalesce(%(status)s, status)
ORDER BY created_at DESC, id LIMIT %(limit)s OFFSET %(offset)s

-- name: update_source
-- New content is indexed again by itself. A column that is not given keeps its value.
UPDATE public.knowledge_sources AS s
SET (name, type, content, url, file_url, file_name, file_size, file_type, settings, auto_sync,
     sync_frequency) = (
    SELECT n.name, n.type, n.content, n.url, n.file_url, n.file_name, n.file_size, n.file_type,
           n.settings, n.auto_sync, n.sync_frequency
    FROM jsonb_populate_record(s, %(row)s) AS n)
WHERE s.id = %(source_id)s
RETURNING s.*

-- name: delete_source
DELETE FROM public.knowledge_sources WHERE id = %(source_id)s

-- name: search_chunks
SELECT * FROM public.match_knowledge_chunks(
    %(query_embedding)s::text::extensions.vector, %(agent_id)s, %(match_threshold)s,
    %(match_count)s)
