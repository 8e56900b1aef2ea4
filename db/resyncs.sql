-- Sources that refresh themselves: what is due, and what a refresh that found nothing new writes.

-- name: is_being_indexed
-- By a job that reads everything anyway, and now or very soon.
SELECT EXISTS (
    SELECT FROM worker.jobs AS j
    WHERE j.kind = 'index_source' AND j.unique_key = %(source_id)s::uuid::text
      AND j.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable'))

-- name: find_reading_kind
SELECT worker.reading_kind(s) FROM public.knowledge_sources AS s WHERE s.id = %(source_id)s

-- name: touch_source
-- Nothing but the time, where there is nothing else to say.
UPDATE public.knowledge_sources SET last_synced_at = now()
WHERE id = %(source_id)s AND status = 'completed' AND error_message IS NULL

-- name: recover_source
-- What failed is as it was when it was stored: good again.
UPDATE public.knowledge_sources AS s
SET last_synced_at = now(), status = 'completed', progress = NULL,
    error_message = CASE WHEN s.auto_sync THEN worker.sync_problem(s.sync_frequency) END
WHERE s.id = %(source_id)s AND s.status <> 'pending' AND NOT EXISTS (
    SELECT FROM worker.jobs AS j
    WHERE j.kind = 'index_source' AND j.unique_key = s.id::text
      AND j.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable'))

-- name: enqueue_due_resyncs
SELECT worker.enqueue_due_resyncs(%(rows_max)s, %(priority)s)

-- name: list_sources
SELECT s.id, s.name, s.type, s.status, s.error_message, s.progress, s.chunks_count, s.tokens_count,
       s.auto_sync, s.sync_frequency, s.last_synced_at, y.due_at AS next_sync_at,
       coalesce(y.failures, 0) AS failures, y.paused_at
FROM public.knowledge_sources AS s LEFT JOIN worker.source_syncs AS y ON y.source_id = s.id
WHERE s.agent_id = %(agent_id)s ORDER BY s.created_at, s.id LIMIT %(rows_max)s

-- name: list_runs
SELECT r.id, r.kind, r.status, r.started_at, r.finished_at, r.error_message, r.report
FROM worker.sync_runs AS r WHERE r.source_id = %(source_id)s
ORDER BY r.finished_at DESC, r.id DESC LIMIT %(rows_max)s
