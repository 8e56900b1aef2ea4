-- Knowledge sources as operators watch them: what does not index, what takes or costs more than
-- usual. Every count and every list is bounded. No statement reads contents or credentials.

-- name: count
-- Failing: failed, or so many refreshes in a row that failed although what was stored serves on.
SELECT
    (SELECT count(*) FROM (SELECT FROM public.knowledge_sources AS s ORDER BY s.created_at
                           LIMIT %(total_max)s + 1) AS t)::int AS total,
    (SELECT count(*) FROM (SELECT FROM public.knowledge_sources AS s
                           WHERE s.status = 'pending' LIMIT %(count_max)s + 1) AS t
    )::int AS pending,
    (SELECT count(*) FROM (SELECT FROM public.knowledge_sources AS s
                           WHERE s.status = 'processing' LIMIT %(count_max)s + 1) AS t
    )::int AS processing,
    (SELECT count(*) FROM (SELECT FROM public.knowledge_sources AS s
                           WHERE s.status = 'failed' LIMIT %(count_max)s + 1) AS t)::int AS failed,
    (SELECT count(*) FROM (
        (SELECT s.id FROM public.knowledge_sources AS s
         WHERE s.status = 'failed' LIMIT %(count_max)s + 1)
        UNION
        (SELECT y.source_id FROM worker.source_syncs AS y
         WHERE y.failures >= %(failures_min)s LIMIT %(count_max)s + 1)) AS t)::int AS failing,
    (SELECT count(*) FROM (SELECT FROM worker.source_syncs AS y
                           WHERE y.due_at < now() - make_interval(secs => %(stale_s)s)
                           LIMIT %(count_max)s + 1) AS t)::int AS stale,
    (SELECT count(*) FROM (SELECT FROM worker.source_syncs AS y
                           WHERE y.paused_at IS NOT NULL LIMIT %(count_max)s + 1) AS t
    )::int AS paused,
    (SELECT extract(epoch FROM now() - min(w.run_at))::float8 FROM (
        SELECT j.run_at FROM worker.jobs AS j
        WHERE j.queue = 'knowledge' AND j.state = 'available' LIMIT %(count_max)s) AS w) AS waited_s

-- name: list_failing
-- Worst first: those that failed most often in a row.
WITH chosen AS MATERIALIZED (
    (SELECT y.source_id AS id FROM worker.source_syncs AS y
     WHERE y.failures >= %(failures_min)s
     ORDER BY y.failures DESC, y.failing_since LIMIT %(rows_max)s)
    UNION
    (SELECT s.id FROM public.knowledge_sources AS s
     WHERE s.status = 'failed' ORDER BY s.created_at DESC, s.id DESC LIMIT %(rows_max)s)
)
SELECT s.id, s.name, s.type, s.status, p.id AS tenant, p.email AS owner,
       left(s.error_message, 600) AS error, coalesce(y.failures, 0) AS failures,
       coalesce(y.failing_since, failed.at, s.updated_at) AS since_at, y.paused_at,
       coalesce(paid.tokens, 0)::bigint AS tokens, coalesce(paid.usd, 0) AS usd
FROM chosen JOIN public.knowledge_sources AS s ON s.id = chosen.id
JOIN public.agents AS a ON a.id = s.agent_id
JOIN public.user_profiles AS p ON p.id = a.user_id
LEFT JOIN worker.source_syncs AS y ON y.source_id = s.id
CROSS JOIN LATERAL (
    SELECT max(r.finished_at) AS at FROM (
        SELECT f.finished_at FROM worker.sync_runs AS f
        WHERE f.source_id = s.id AND f.status = 'failed'
        ORDER BY f.finished_at DESC LIMIT 1) AS r) AS failed
CROSS JOIN LATERAL (
    SELECT sum((r.report ->> 'tokens_embedded')::bigint) AS tokens,
           sum((r.report ->> 'cost_usd')::numeric) AS usd
    FROM worker.sync_runs AS r
    WHERE r.source_id = s.id AND r.finished_at > now() - interval '24 hours') AS paid
ORDER BY failures DESC, since_at, s.id LIMIT %(rows_max)s

-- name: list_working
-- What is being indexed, since when, and how long it usually takes: the middle of its last runs.
SELECT s.id, s.name, s.type, p.id AS tenant, p.email AS owner, s.progress,
       j.id AS job_id, j.state AS job_state,
       extract(epoch FROM now() - coalesce(
           CASE WHEN c.stage <> 'done' THEN c.started_at END, j.started_at, j.created_at,
           s.updated_at))::float8 AS took_s,
       usual.runs::int AS usual_runs, usual.took_s AS usual_s,
       coalesce(paid.tokens, 0)::bigint AS tokens, coalesce(paid.usd, 0) AS usd
FROM (SELECT * FROM public.knowledge_sources AS w WHERE w.status = 'processing'
      ORDER BY w.created_at, w.id LIMIT %(rows_max)s) AS s
JOIN public.agents AS a ON a.id = s.agent_id
JOIN public.user_profiles AS p ON p.id = a.user_id
LEFT JOIN worker.crawls AS c ON c.source_id = s.id
LEFT JOIN LATERAL (
    SELECT i.id, i.state, i.started_at, i.created_at FROM worker.jobs AS i
    WHERE i.kind = ANY ('{index_source,crawl_site,resync_source}'::text[])
      AND i.unique_key = s.id::text
      AND i.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable')
    ORDER BY i.state = 'running' DESC, i.id LIMIT 1) AS j ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS runs, percentile_cont(0.5) WITHIN GROUP (
               ORDER BY extract(epoch FROM r.finished_at - r.started_at))::float8 AS took_s
    FROM (SELECT d.started_at, d.finished_at FROM worker.sync_runs AS d
          WHERE d.source_id = s.id AND d.status = 'completed'
          ORDER BY d.finished_at DESC LIMIT 20) AS r) AS usual
CROSS JOIN LATERAL (
    SELECT sum((r.report ->> 'tokens_embedded')::bigint) AS tokens,
           sum((r.report ->> 'cost_usd')::numeric) AS usd
    FROM worker.sync_runs AS r
    WHERE r.source_id = s.id AND r.finished_at > now() - interval '24 hours') AS paid
ORDER BY took_s DESC, s.id

-- name: list_stale
-- Past the time of their next look, the longest first.
SELECT s.id, s.name, s.type, p.id AS tenant, p.email AS owner, y.due_at, s.sync_frequency,
       s.last_synced_at
FROM (SELECT l.source_id, l.due_at FROM worker.source_syncs AS l
      WHERE l.due_at < now() - make_interval(secs => %(stale_s)s)
      ORDER BY l.due_at LIMIT %(rows_max)s) AS y
JOIN public.knowledge_sources AS s ON s.id = y.source_id
JOIN public.agents AS a ON a.id = s.agent_id
JOIN public.user_profiles AS p ON p.id = a.user_id
ORDER BY y.due_at, s.id

-- name: list_troubled_ids
-- Of one kind of trouble; what the list is then filtered by.
SELECT t.id FROM (
    (SELECT s.id FROM public.knowledge_sources AS s
     WHERE %(trouble)s = 'failing' AND s.status = 'failed'
     ORDER BY s.created_at DESC LIMIT %(rows_max)s)
    UNION
    (SELECT y.source_id FROM worker.source_syncs AS y
     WHERE %(trouble)s = 'failing' AND y.failures >= %(failures_min)s
     ORDER BY y.failures DESC LIMIT %(rows_max)s)
    UNION
    (SELECT y.source_id FROM worker.source_syncs AS y
     WHERE %(trouble)s = 'stale' AND y.due_at < now() - make_interval(secs => %(stale_s)s)
     ORDER BY y.due_at LIMIT %(rows_max)s)
    UNION
    (SELECT y.source_id FROM worker.source_syncs AS y
     WHERE %(trouble)s = 'paused' AND y.paused_at IS NOT NULL
     ORDER BY y.paused_at DESC LIMIT %(rows_max)s)) AS t
LIMIT %(rows_max)s

-- name: list_agents
SELECT a.id FROM public.agents AS a WHERE a.user_id = %(tenant)s ORDER BY a.id LIMIT %(rows_max)s

-- name: find_matching
-- The newest first, older than `before`. At most scan_max rows are looked through for a type or
-- a text; `scanned` says whether there may be more.
WITH looked AS MATERIALIZED (
    SELECT s.id, s.created_at, s.status, s.type, s.name, s.url, s.file_name
    FROM public.knowledge_sources AS s
    WHERE (%(status)s::text IS NULL OR s.status = %(status)s)
      AND (%(agent_ids)s::uuid[] IS NULL OR s.agent_id = ANY (%(agent_ids)s::uuid[]))
      AND (%(ids)s::uuid[] IS NULL OR s.id = ANY (%(ids)s::uuid[]))
      AND (%(before_at)s::timestamptz IS NULL
           OR (s.created_at, s.id) < (%(before_at)s, %(before_id)s::uuid))
    ORDER BY s.created_at DESC, s.id DESC LIMIT %(scan_max)s
), found AS (
    SELECT l.id, l.created_at FROM looked AS l
    WHERE (%(type)s::text IS NULL OR l.type = %(type)s)
      AND (%(pattern)s::text IS NULL OR l.name ILIKE %(pattern)s OR l.url ILIKE %(pattern)s
           OR l.file_name ILIKE %(pattern)s OR l.id::text = %(text)s)
    ORDER BY l.created_at DESC, l.id DESC LIMIT %(rows_max)s
)
SELECT s.id, s.created_at, left(s.name, 300) AS name, s.type, s.status, p.id AS tenant,
       p.email AS owner, left(coalesce(s.url, s.file_name), 600) AS place,
       left(s.error_message, 600) AS error, s.chunks_count AS chunks, s.tokens_count AS tokens,
       s.auto_sync, s.last_synced_at, y.due_at, coalesce(y.failures, 0) AS failures, y.paused_at,
       s.parent_id
FROM found JOIN public.knowledge_sources AS s ON s.id = found.id
JOIN public.agents AS a ON a.id = s.agent_id
JOIN public.user_profiles AS p ON p.id = a.user_id
LEFT JOIN worker.source_syncs AS y ON y.source_id = s.id
ORDER BY s.created_at DESC, s.id DESC

-- name: reckon_matching
-- What indexing all of them again would do: those that wait or run already are left out. Tokens
-- and cost are of all their chunks; what did not change costs nothing.
WITH looked AS MATERIALIZED (
    SELECT s.id, s.created_at, s.status, s.type, s.name, s.url, s.file_name, s.agent_id,
           s.tokens_count
    FROM public.knowledge_sources AS s
    WHERE (%(status)s::text IS NULL OR s.status = %(status)s)
      AND (%(agent_ids)s::uuid[] IS NULL OR s.agent_id = ANY (%(agent_ids)s::uuid[]))
      AND (%(ids)s::uuid[] IS NULL OR s.id = ANY (%(ids)s::uuid[]))
    ORDER BY s.created_at DESC, s.id DESC LIMIT %(scan_max)s
), found AS MATERIALIZED (
    SELECT l.*, l.status IN ('pending', 'processing') AS is_busy FROM looked AS l
    WHERE (%(type)s::text IS NULL OR l.type = %(type)s)
      AND (%(pattern)s::text IS NULL OR l.name ILIKE %(pattern)s OR l.url ILIKE %(pattern)s
           OR l.file_name ILIKE %(pattern)s OR l.id::text = %(text)s)
), taken AS (
    SELECT f.id, f.created_at, f.tokens_count, f.agent_id FROM found AS f WHERE NOT f.is_busy
    ORDER BY f.created_at DESC, f.id DESC LIMIT %(rows_max)s
)
SELECT array_agg(t.id ORDER BY t.created_at DESC, t.id DESC) AS ids,
       count(DISTINCT a.user_id)::int AS tenants,
       coalesce(sum(t.tokens_count), 0)::bigint AS tokens,
       coalesce(sum(t.tokens_count * p.usd_per_million / 1000000), 0) AS usd_max,
       count(*) FILTER (WHERE p.model IS NULL AND t.tokens_count > 0)::int AS unpriced,
       count(*) FILTER (WHERE t.tokens_count = 0)::int AS unread,
       (SELECT count(*) FROM found AS f WHERE f.is_busy)::int AS busy,
       (SELECT count(*) FROM found AS f WHERE NOT f.is_busy)::int AS matching,
       (SELECT count(*) FROM looked)::int AS scanned
FROM taken AS t JOIN public.agents AS a ON a.id = t.agent_id
LEFT JOIN worker.embedding_prices AS p ON p.model = a.embedding_model

-- name: lock_idle
-- In the order that was given; left out are those that a job works on, or will.
SELECT s.id FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS asked (id, place)
CROSS JOIN LATERAL (
    SELECT k.id, k.status FROM public.knowledge_sources AS k WHERE k.id = asked.id
    FOR NO KEY UPDATE) AS s
WHERE s.status NOT IN ('pending', 'processing') OR NOT EXISTS (
    SELECT FROM worker.jobs AS j
    WHERE j.kind = ANY ('{index_source,crawl_site,resync_source}'::text[])
      AND j.unique_key = s.id::text
      AND j.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable'))
ORDER BY asked.place

-- name: retry
-- As its owner asks for it.
SELECT public.retry_knowledge_source(asked.id)
FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS asked (id, place) ORDER BY asked.place

-- name: enqueue_missing
-- One that was pending before has no job of its change.
SELECT worker.enqueue(worker.reading_kind(s), jsonb_build_object('source_id', s.id))
FROM public.knowledge_sources AS s
WHERE s.id = ANY (%(ids)s::uuid[]) AND NOT EXISTS (
    SELECT FROM worker.jobs AS j
    WHERE j.kind = ANY ('{index_source,crawl_site}'::text[]) AND j.unique_key = s.id::text
      AND j.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable'))

-- name: spread
-- One after the other, so that a filter's sources do not stand before everybody else's.
UPDATE worker.jobs AS j
SET state = 'scheduled', run_at = now() + make_interval(secs => %(gap_s)s * (w.place - 1))
FROM (SELECT found.id, asked.place
      FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS asked (source_id, place)
      CROSS JOIN LATERAL (
          SELECT i.id FROM worker.jobs AS i
          WHERE i.kind = ANY ('{index_source,crawl_site}'::text[])
            AND i.unique_key = asked.source_id::text AND i.state = 'available'
          ORDER BY i.id LIMIT 1) AS found
      WHERE asked.place > 1) AS w
WHERE j.id = w.id AND j.state = 'available'

-- name: get
SELECT s.id, left(s.name, 600) AS name, s.type, s.status, s.agent_id, left(a.name, 200) AS agent,
       p.id AS tenant, p.email AS owner, left(s.url, 2000) AS url,
       left(s.file_name, 600) AS file_name, s.file_size, s.file_type,
       left(s.error_message, 4000) AS error, s.progress, s.settings,
       s.chunks_count AS chunks, s.tokens_count AS tokens, s.auto_sync, s.sync_frequency,
       s.last_synced_at, s.created_at, s.updated_at, s.parent_id, y.due_at,
       coalesce(y.failures, 0) AS failures, y.failing_since, y.paused_at,
       a.embedding_model AS model, worker.reading_kind(s) AS reading_kind,
       price.usd_per_million, EXISTS (
           SELECT FROM worker.source_credentials AS c WHERE c.source_id = s.id) AS has_credentials
FROM public.knowledge_sources AS s JOIN public.agents AS a ON a.id = s.agent_id
JOIN public.user_profiles AS p ON p.id = a.user_id
LEFT JOIN worker.source_syncs AS y ON y.source_id = s.id
LEFT JOIN worker.embedding_prices AS price ON price.model = a.embedding_model
WHERE s.id = %(source_id)s

-- name: list_jobs
-- Its unfinished ones.
SELECT j.id, j.kind, j.state, j.attempt, j.max_attempts, j.run_at, j.started_at, j.progress
FROM worker.jobs AS j
WHERE j.kind = ANY ('{index_source,crawl_site,resync_source}'::text[])
  AND j.unique_key = %(source_id)s::uuid::text
  AND j.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable')
ORDER BY j.id

-- name: sum_runs
-- Of the runs that are remembered.
SELECT count(*)::int AS runs, min(r.finished_at) AS first_at,
       coalesce(sum((r.report ->> 'tokens_embedded')::bigint), 0)::bigint AS tokens,
       coalesce(sum((r.report ->> 'cost_usd')::numeric), 0) AS usd,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(
           epoch FROM r.finished_at - r.started_at))
           FILTER (WHERE r.status = 'completed')::float8 AS usual_s
FROM worker.sync_runs AS r WHERE r.source_id = %(source_id)s

-- name: find_crawl
SELECT c.number, c.stage, c.site, c.started_at, c.visits, c.kept, c.failures_in_row, c.complete,
       c.limits_hit, c.removed
FROM worker.crawls AS c WHERE c.source_id = %(source_id)s

-- name: count_pages
SELECT g.state, count(*)::int AS pages FROM (
    SELECT p.state FROM worker.crawl_pages AS p WHERE p.source_id = %(source_id)s
    LIMIT %(rows_max)s) AS g
GROUP BY g.state ORDER BY pages DESC, g.state

-- name: list_children
-- Those in trouble first, of the first scan_max.
SELECT c.id, left(c.name, 300) AS name, left(c.url, 600) AS url, c.status,
       left(c.error_message, 300) AS error, c.chunks_count AS chunks
FROM (SELECT * FROM public.knowledge_sources AS s WHERE s.parent_id = %(source_id)s
      LIMIT %(scan_max)s) AS c
ORDER BY array_position('{failed,processing,pending}'::text[], c.status), c.name, c.id
LIMIT %(rows_max)s

-- name: sum_days
-- Days in UTC, those without cost too.
SELECT d.at AS day_at, coalesce(u.tokens, 0)::bigint AS tokens, coalesce(u.usd, 0) AS usd
FROM generate_series(
    date_trunc('day', now() AT TIME ZONE 'UTC') - make_interval(days => %(days)s - 1),
    date_trunc('day', now() AT TIME ZONE 'UTC'), '1 day') AS d (at)
LEFT JOIN (
    SELECT date_trunc('day', l.created_at AT TIME ZONE 'UTC') AS at,
           sum(l.total_tokens) AS tokens, sum(l.total_cost) AS usd
    FROM public.usage_logs AS l
    WHERE l.usage_type = 'embedding'
      AND l.created_at >= (date_trunc('day', now() AT TIME ZONE 'UTC')
                           - make_interval(days => %(days)s - 1)) AT TIME ZONE 'UTC'
    GROUP BY 1) AS u ON u.at = d.at
ORDER BY d.at

-- name: sum_tenants
-- What tenants spent on embedding today, the most first; their cap is of the month.
WITH today AS (
    SELECT l.user_id, sum(l.total_tokens)::bigint AS tokens, sum(l.total_cost) AS usd
    FROM public.usage_logs AS l
    WHERE l.usage_type = 'embedding'
      AND l.created_at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
    GROUP BY l.user_id
)
SELECT s.user_id AS tenant, p.email AS owner, s.tokens, s.usd, s.tenants, s.all_usd,
       t.embedding_cap_usd AS cap_usd,
       CASE WHEN t.embedding_cap_usd IS NOT NULL
            THEN worker.embedding_spent_usd(s.user_id) END AS month_usd
FROM (SELECT d.*, count(*) OVER ()::int AS tenants, sum(d.usd) OVER () AS all_usd FROM today AS d
      ORDER BY d.usd DESC, d.user_id LIMIT %(rows_max)s) AS s
LEFT JOIN public.user_profiles AS p ON p.id = s.user_id
LEFT JOIN worker.tenants AS t ON t.tenant = s.user_id
ORDER BY s.usd DESC, s.user_id
