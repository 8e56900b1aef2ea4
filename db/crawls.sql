-- Crawls: the sites that sources stand for, their pages, and the sources made of those.

-- name: begin_crawl
-- The owner sees "processing" from the first slice to the report; `status` is what it was before.
WITH begun AS (
    UPDATE public.knowledge_sources SET status = 'processing', error_message = NULL
    WHERE id = %(source_id)s AND status <> 'processing'
)
SELECT s.id, s.agent_id, a.user_id, s.type, s.url, s.settings,
       s.status, worker.is_crawl(s.type, s.settings, s.parent_id) AS is_crawl
FROM public.knowledge_sources AS s JOIN public.agents AS a ON a.id = s.agent_id
WHERE s.id = %(source_id)s

-- name: create_site
INSERT INTO public.knowledge_sources (agent_id, name, type, url, settings)
VALUES (%(agent_id)s, %(name)s, 'url', %(url)s, %(settings)s)
RETURNING id

-- name: load_crawl
SELECT number, job_id, asked, stage, site, visits, kept, failures_in_row, complete, limits_hit,
       removed
FROM worker.crawls WHERE source_id = %(source_id)s

-- name: start_crawl
INSERT INTO worker.crawls AS c (source_id, number, job_id, asked, stage, site)
VALUES (%(source_id)s, 1, %(job_id)s, %(asked)s, 'crawling', %(site)s)
ON CONFLICT (source_id) DO UPDATE
SET number = c.number + 1, job_id = excluded.job_id, asked = excluded.asked, stage = 'crawling',
    site = excluded.site, started_at = now(), visits = 0, kept = 0, failures_in_row = 0,
    complete = true, limits_hit = '{}', removed = 0
RETURNING number, job_id, asked, stage, site, visits, kept, failures_in_row, complete,
          limits_hit, removed

-- name: save_crawl
UPDATE worker.crawls
SET stage = %(stage)s, site = %(site)s, visits = %(visits)s, kept = %(kept)s,
    failures_in_row = %(failures_in_row)s, complete = %(complete)s,
    limits_hit = %(limits_hit)s, removed = %(removed)s
WHERE source_id = %(source_id)s

-- name: end_crawl
UPDATE worker.crawls SET stage = 'done'
WHERE source_id = %(source_id)s AND number = %(number)s AND stage = 'indexing'

-- name: next_page
-- Sitemaps first, then by depth; what failed comes again after everything else. By an index in this
-- order: the frontier may be long.
SELECT p.url, p.role, p.depth, p.tries, p.text_hash, p.links, p.seen, p.offered_at, p.lastmod,
       p.fetched_at, p.address, p.child_id,
       greatest(0, extract(epoch FROM p.due_at - clock_timestamp()))::float8 AS wait_s,
       s.status = 'completed' AND t.source_id IS NOT NULL
           AND s.settings = %(settings)s AND s.agent_id = %(agent_id)s
           AND s.url IS NOT DISTINCT FROM p.address AS child_is_whole
FROM worker.crawl_pages AS p
LEFT JOIN public.knowledge_sources AS s ON s.id = p.child_id
LEFT JOIN worker.source_states AS t ON t.source_id = s.id
WHERE p.source_id = %(source_id)s AND p.crawl = %(crawl)s AND p.state = 'queued'
ORDER BY p.role DESC, p.tries, p.depth, p.id LIMIT 1

-- name: count_queued
SELECT count(*)::int FROM worker.crawl_pages
WHERE source_id = %(source_id)s AND crawl = %(crawl)s AND state = 'queued'

-- name: count_patterns
SELECT pattern, count(*)::int FROM worker.crawl_pages
WHERE source_id = %(source_id)s AND crawl = %(crawl)s AND pattern = ANY(%(patterns)s::text[])
GROUP BY pattern

-- name: list_known
SELECT url FROM worker.crawl_pages
WHERE source_id = %(source_id)s AND crawl = %(crawl)s AND url = ANY(%(urls)s::text[])

-- name: add_pages
-- What this crawl has met already keeps its place; what an earlier one met is queued again.
INSERT INTO worker.crawl_pages AS p
    (source_id, url, role, crawl, depth, pattern, offered_at)
SELECT %(source_id)s, u.url, %(role)s, %(crawl)s, %(depth)s, u.pattern, u.offered_at
FROM unnest(%(urls)s::text[], %(patterns)s::text[], %(offered_at)s::text[])
    WITH ORDINALITY AS u (url, pattern, offered_at, place)
ORDER BY u.place
ON CONFLICT (source_id, url) DO UPDATE
SET role = excluded.role, crawl = excluded.crawl, depth = excluded.depth, state = 'queued',
    tries = 0, due_at = now(), pattern = excluded.pattern, offered_at = excluded.offered_at,
    indexed = false, reason = NULL
WHERE p.crawl < excluded.crawl

-- name: settle_page
UPDATE worker.crawl_pages
SET state = %(state)s, child_id = %(child_id)s, address = %(address)s,
    text_hash = %(text_hash)s, links = %(links)s, seen = %(seen)s, lastmod = offered_at,
    fetched_at = CASE WHEN %(fetched)s THEN now() ELSE fetched_at END,
    indexed = %(indexed)s, reason = %(reason)s
WHERE source_id = %(source_id)s AND url = %(url)s

-- name: fail_page
-- What was known of it stays: it may be there again next time.
UPDATE worker.crawl_pages SET state = %(state)s, reason = %(reason)s
WHERE source_id = %(source_id)s AND url = %(url)s

-- name: report_progress
UPDATE public.knowledge_sources SET progress = %(progress)s WHERE id = %(source_id)s

-- name: put_page_off
UPDATE worker.crawl_pages
SET tries = tries + 1, due_at = now() + make_interval(secs => %(wait_s)s), reason = %(reason)s
WHERE source_id = %(source_id)s AND url = %(url)s

-- name: find_twin
-- Another page of this crawl that is, or was and may again become, the source of the same content.
SELECT p.url, p.child_id FROM worker.crawl_pages AS p
WHERE p.source_id = %(source_id)s AND p.text_hash = %(text_hash)s AND p.url <> %(url)s
  AND p.child_id IS NOT NULL AND p.crawl = %(crawl)s
  AND p.state IN ('kept', 'queued', 'failed')
ORDER BY p.state = 'kept' DESC, p.id LIMIT 1

-- name: find_owner
-- The source that an address has become, and whether a page of this crawl holds it already.
SELECT s.id, EXISTS (
    SELECT FROM worker.crawl_pages AS p
    WHERE p.child_id = s.id AND p.crawl = %(crawl)s AND p.state = 'kept' AND p.url <> %(url)s)
FROM public.knowledge_sources AS s
WHERE s.parent_id = %(source_id)s AND s.url = %(address)s
ORDER BY s.created_at, s.id LIMIT 1

-- name: requeue_orphans
-- Duplicates of a page that in the end is not there, or says something else now.
UPDATE worker.crawl_pages AS p
SET state = 'queued', seen = '{}', tries = 0, due_at = now()
WHERE p.source_id = %(source_id)s AND p.crawl = %(crawl)s AND p.state = 'duplicate'
  AND NOT EXISTS (
      SELECT FROM worker.crawl_pages AS twin
      WHERE twin.source_id = p.source_id AND twin.crawl = p.crawl
        AND twin.state IN ('kept', 'failed') AND twin.child_id IS NOT NULL
        AND (twin.text_hash = p.text_hash OR twin.address = p.address))

-- name: add_child
INSERT INTO public.knowledge_sources (agent_id, parent_id, name, type, url, settings)
VALUES (%(agent_id)s, %(parent_id)s, %(name)s, 'url', %(url)s, %(settings)s)
RETURNING id

-- name: renew_child
-- Its chunks serve until the new ones are there.
UPDATE public.knowledge_sources
SET agent_id = %(agent_id)s, name = %(name)s, url = %(url)s, settings = %(settings)s,
    status = 'pending', error_message = NULL
WHERE id = %(child_id)s

-- name: touch_child
UPDATE public.knowledge_sources SET last_synced_at = now() WHERE id = %(child_id)s

-- name: put_fetched
INSERT INTO worker.fetched_pages AS f (source_id, url, content_type, seen, body)
VALUES (%(source_id)s, %(url)s, %(content_type)s, %(seen)s, %(body)s)
ON CONFLICT (source_id) DO UPDATE
SET url = excluded.url, content_type = excluded.content_type, seen = excluded.seen,
    body = excluded.body, fetched_at = now()

-- name: load_fetched
SELECT f.url, f.content_type, f.seen, f.body
FROM worker.fetched_pages AS f
WHERE f.source_id = %(source_id)s AND f.url = %(url)s
  AND f.fetched_at > now() - make_interval(hours => %(hours)s)

-- name: list_leftovers
-- Children that no page of this crawl stands for. After one that could not see everything, only
-- those whose page says itself that it is no more.
SELECT s.id FROM public.knowledge_sources AS s
WHERE s.parent_id = %(source_id)s AND NOT EXISTS (
          SELECT FROM worker.crawl_pages AS p
          WHERE p.child_id = s.id AND p.crawl = %(crawl)s
            AND p.state IN ('kept', 'failed', 'queued'))
  AND (%(complete)s OR EXISTS (
          SELECT FROM worker.crawl_pages AS p
          WHERE p.child_id = s.id AND p.crawl = %(crawl)s
            AND p.state IN ('gone', 'noindex', 'disallowed')))
ORDER BY s.id LIMIT %(rows_max)s

-- name: list_children
SELECT id FROM public.knowledge_sources WHERE parent_id = %(source_id)s
ORDER BY id LIMIT %(rows_max)s

-- name: delete_sources
DELETE FROM public.knowledge_sources WHERE id = ANY(%(ids)s::uuid[])

-- name: forget_pages
-- Met by no crawl for a while, and no child of theirs is left.
DELETE FROM worker.crawl_pages
WHERE source_id = %(source_id)s AND crawl < %(crawl)s - 1 AND child_id IS NULL

-- name: forget_crawl
WITH pages AS (DELETE FROM worker.crawl_pages WHERE source_id = %(source_id)s)
DELETE FROM worker.crawls WHERE source_id = %(source_id)s
