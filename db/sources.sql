-- Knowledge sources, as the pipeline reads and reports them.

-- name: begin_indexing
-- The owner sees "processing" from the first attempt to the end of the last one.
UPDATE public.knowledge_sources AS s
SET status = 'processing', progress = '{"stage": "reading"}'
FROM public.agents AS a
WHERE s.id = %(source_id)s AND a.id = s.agent_id
RETURNING s.id, s.agent_id, a.user_id, s.name, s.type, s.content, s.url, s.file_url, s.file_name,
          s.file_type, s.settings, a.embedding_model

-- name: load_source
SELECT s.id, s.agent_id, a.user_id, s.name, s.type, s.content, s.url, s.file_url, s.file_name,
       s.file_type, s.settings, a.embedding_model
FROM public.knowledge_sources AS s JOIN public.agents AS a ON a.id = s.agent_id
WHERE s.id = %(source_id)s

-- name: load_state
SELECT asked, seen, sizes, updated_at AS saved_at FROM worker.source_states WHERE source_id = %(source_id)s

-- name: save_state
INSERT INTO worker.source_states AS s (source_id, asked, seen, sizes)
VALUES (%(source_id)s, %(asked)s, %(seen)s, %(sizes)s)
ON CONFLICT (source_id) DO UPDATE
SET asked = excluded.asked, seen = excluded.seen, sizes = excluded.sizes, updated_at = now()

-- name: record_run
INSERT INTO worker.sync_runs (source_id, job_id, kind, status, started_at, report)
SELECT %(source_id)s, j.id, j.kind, 'completed', j.started_at, %(report)s
FROM worker.jobs AS j WHERE j.id = %(job_id)s

-- name: report_progress
UPDATE public.knowledge_sources SET progress = %(progress)s WHERE id = %(source_id)s

-- name: lock_source
-- Before its chunks change: one writer per source, and none for a source that is gone.
SELECT 1 FROM public.knowledge_sources WHERE id = %(source_id)s FOR UPDATE

-- name: share_model
-- Against a change of the agent's model in mid-air, and after lock_source: until we commit nobody
-- switches it, and where somebody just did, we see it. An advisory lock, for a locked row of
-- agents would hold up visitors.
SELECT pg_advisory_xact_lock_shared(hashtextextended('model:' || s.agent_id, 0))
FROM public.knowledge_sources AS s WHERE s.id = %(source_id)s

-- name: read_model
-- A statement of its own: it has to see what was committed while we waited for the lock.
SELECT a.embedding_model
FROM public.knowledge_sources AS s JOIN public.agents AS a ON a.id = s.agent_id
WHERE s.id = %(source_id)s

-- name: complete_indexing
-- Unless the owner changed the source meanwhile: then it is pending, and its job runs again.
UPDATE public.knowledge_sources AS s
SET status = CASE WHEN s.status = 'processing' THEN 'completed' ELSE s.status END,
    error_message = CASE WHEN s.auto_sync THEN worker.sync_problem(s.sync_frequency) END,
    progress = %(report)s, last_synced_at = now(),
    chunks_count = counted.chunks, tokens_count = counted.tokens
FROM (SELECT count(*)::int AS chunks, coalesce(sum(c.tokens), 0)::int AS tokens
      FROM public.knowledge_chunks AS c JOIN public.agents AS a ON a.id = c.agent_id
      WHERE c.source_id = %(source_id)s
        AND (c.embedding_model IS NULL OR c.embedding_model = a.embedding_model)) AS counted
WHERE s.id = %(source_id)s

-- name: claim_model
-- The first indexed source decides which model the agent's questions are embedded with.
UPDATE public.agents SET embedding_model = %(model)s
WHERE id = %(agent_id)s AND embedding_model IS NULL

-- name: log_embedding
-- By the price table, as all usage; what it does not know costs what the caller reckons.
INSERT INTO public.usage_logs
    (user_id, agent_id, usage_type, ai_model, prompt_tokens, total_tokens, unit_cost, total_cost)
SELECT %(user_id)s, %(agent_id)s, 'embedding', %(model)s, %(tokens)s::int, %(tokens)s::int,
       paid.usd / %(tokens)s::int, paid.usd
FROM (SELECT coalesce(worker.usage_cost_usd(%(model)s, 'embedding', %(tokens)s::int, 0, now()),
                      %(total_cost)s::numeric) AS usd) AS paid

-- name: create_source
INSERT INTO public.knowledge_sources (agent_id, name, type, content, url, file_url, file_name)
VALUES (%(agent_id)s, %(name)s, %(type)s, %(content)s, %(url)s, %(file_url)s, %(file_name)s)
RETURNING id

-- name: list_progress
SELECT id, name, status, error_message, progress, chunks_count, tokens_count
FROM public.knowledge_sources WHERE id = ANY(%(ids)s::uuid[]) ORDER BY created_at, id

-- name: list_source_ids
-- A crawled site has no text of its own: its pages do.
SELECT id FROM public.knowledge_sources
WHERE agent_id = %(agent_id)s AND NOT worker.is_crawl(type, settings, parent_id)
ORDER BY created_at, id LIMIT %(rows_max)s

-- name: find_agent
SELECT a.id, a.name, a.user_id, a.embedding_model FROM public.agents AS a WHERE a.id = %(agent_id)s
