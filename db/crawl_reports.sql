-- What a crawl found and cost, for its owner.

-- name: sum_up
SELECT p.state, count(*)::int AS pages,
       count(*) FILTER (WHERE p.indexed AND s.status = 'completed')::int AS indexed,
       count(*) FILTER (WHERE p.indexed AND s.status = 'failed')::int AS not_indexed,
       count(*) FILTER (WHERE NOT p.indexed)::int AS unchanged
FROM worker.crawl_pages AS p LEFT JOIN public.knowledge_sources AS s ON s.id = p.child_id
WHERE p.source_id = %(source_id)s AND p.crawl = %(crawl)s AND p.role = 'page'
GROUP BY p.state

-- name: sum_children
-- What the children of this crawl cost, by their own reports.
SELECT coalesce(sum((s.progress ->> 'chunks_added')::int), 0)::int AS chunks_added,
       coalesce(sum((s.progress ->> 'chunks_kept')::int), 0)::int AS chunks_kept,
       coalesce(sum((s.progress ->> 'chunks_removed')::int), 0)::int AS chunks_removed,
       coalesce(sum((s.progress ->> 'tokens_embedded')::bigint), 0)::bigint AS tokens_embedded,
       coalesce(sum((s.progress ->> 'cost_usd')::numeric), 0) AS cost_usd
FROM worker.crawl_pages AS p JOIN public.knowledge_sources AS s ON s.id = p.child_id
WHERE p.source_id = %(source_id)s AND p.crawl = %(crawl)s AND p.state = 'kept' AND p.indexed
  AND s.status = 'completed'

-- name: list_failures
SELECT p.url, coalesce(p.reason, s.error_message, 'It could not be indexed.') AS reason
FROM worker.crawl_pages AS p LEFT JOIN public.knowledge_sources AS s ON s.id = p.child_id
WHERE p.source_id = %(source_id)s AND p.crawl = %(crawl)s
  AND (p.state = 'failed' OR p.state = 'gone' AND p.role = 'page' OR p.state = 'kept' AND p.indexed AND s.status = 'failed')
ORDER BY p.depth, p.id LIMIT %(rows_max)s

-- name: record_crawl
INSERT INTO worker.sync_runs
    (source_id, job_id, kind, status, started_at, error_message, report)
SELECT c.source_id, c.job_id, 'crawl_site', %(status)s, c.started_at, %(error)s, %(report)s
FROM worker.crawls AS c WHERE c.source_id = %(source_id)s

-- name: complete_crawl
-- Unless the owner changed the source meanwhile: then it is pending, and is crawled again.
UPDATE public.knowledge_sources AS s
SET status = CASE WHEN s.status = 'processing' THEN %(status)s ELSE s.status END,
    error_message = CASE WHEN s.status = 'processing' THEN %(error)s ELSE s.error_message END,
    progress = %(report)s,
    last_synced_at = CASE WHEN %(status)s = 'completed' THEN now() ELSE s.last_synced_at END,
    chunks_count = counted.chunks, tokens_count = counted.tokens
FROM (SELECT coalesce(sum(c.chunks_count), 0)::int AS chunks,
             coalesce(sum(c.tokens_count), 0)::int AS tokens
      FROM public.knowledge_sources AS c WHERE c.parent_id = %(source_id)s) AS counted
WHERE s.id = %(source_id)s

-- name: drop_own_chunks
-- From before the source stood for a whole site: its page is now one of its children.
WITH state AS (DELETE FROM worker.source_states WHERE source_id = %(source_id)s)
DELETE FROM public.knowledge_chunks WHERE source_id = %(source_id)s
