-- Webhooks as operators watch them: who is cut off, when the next trial is, what was delivered.
-- No statement reads a secret or the value of a header.

-- name: count
-- The states are those of worker.webhook_health, but that one that an owner switched off is `off`.
SELECT g.state, count(*)::int AS webhooks FROM (
    SELECT CASE WHEN NOT w.is_active AND e.disabled_reason IS NOT NULL THEN 'disabled'
                WHEN NOT w.is_active THEN 'off'
                WHEN e.open_until > now() THEN 'open'
                WHEN e.open_until IS NOT NULL THEN 'half_open'
                WHEN e.quick_needed > 0 THEN 'slow'
                WHEN e.consecutive_failures > 0 THEN 'failing'
                ELSE 'closed' END AS state
    FROM (SELECT h.id, h.is_active FROM public.webhooks AS h LIMIT %(count_max)s) AS w
    LEFT JOIN worker.endpoints AS e ON e.webhook_id = w.id) AS g
GROUP BY g.state

-- name: find_matching
-- The worst first; of each what its last deliveries say.
WITH judged AS MATERIALIZED (
    SELECT w.id, w.created_at, e.failing_since, e.consecutive_failures, e.open_until,
           e.disabled_reason, e.ramp,
           CASE WHEN NOT w.is_active AND e.disabled_reason IS NOT NULL THEN 'disabled'
                WHEN NOT w.is_active THEN 'off'
                WHEN e.open_until > now() THEN 'open'
                WHEN e.open_until IS NOT NULL THEN 'half_open'
                WHEN e.quick_needed > 0 THEN 'slow'
                WHEN e.consecutive_failures > 0 THEN 'failing'
                ELSE 'closed' END AS state
    FROM public.webhooks AS w LEFT JOIN worker.endpoints AS e ON e.webhook_id = w.id
    WHERE (%(tenant)s::uuid IS NULL OR w.user_id = %(tenant)s)
      AND (%(pattern)s::text IS NULL OR w.name ILIKE %(pattern)s OR w.url ILIKE %(pattern)s
           OR w.id::text = %(text)s)
), ranked AS (
    SELECT j.*, array_position(%(order)s::text[], j.state) AS rank FROM judged AS j
    WHERE %(states)s::text[] IS NULL OR j.state = ANY (%(states)s::text[])
), found AS MATERIALIZED (
    SELECT r.* FROM ranked AS r
    WHERE %(after_rank)s::int IS NULL
       OR (r.rank, r.created_at, r.id)
          > (%(after_rank)s, %(after_at)s::timestamptz, %(after_id)s::uuid)
    ORDER BY r.rank, r.created_at, r.id LIMIT %(rows_max)s
)
SELECT f.id, left(w.name, 200) AS name, left(w.url, 1000) AS url, p.id AS tenant,
       p.email AS owner, f.state, f.rank, f.created_at, f.failing_since,
       coalesce(f.consecutive_failures, 0) AS failures, f.open_until, f.disabled_reason,
       w.events[:20] AS events, coalesce(last.statuses, '{}') AS statuses,
       coalesce(last.durations_ms, '{}') AS durations_ms, last.http_status, last.error,
       last.at AS last_at, coalesce(day.ended, 0)::int AS ended,
       coalesce(day.delivered, 0)::int AS delivered, day.p95_ms,
       (SELECT count(*) FROM (
            SELECT FROM public.webhook_deliveries AS d
            WHERE d.webhook_id = f.id AND d.status IN ('pending', 'retrying')
            LIMIT %(waiting_max)s + 1) AS q)::int AS waiting,
       (SELECT min(q.due_at) FROM (
            SELECT coalesce(d.next_retry_at, d.created_at) AS due_at
            FROM public.webhook_deliveries AS d
            WHERE d.webhook_id = f.id AND d.status IN ('pending', 'retrying')
            LIMIT %(waiting_max)s + 1) AS q) AS due_at
FROM found AS f JOIN public.webhooks AS w ON w.id = f.id
JOIN public.user_profiles AS p ON p.id = w.user_id
CROSS JOIN LATERAL (
    SELECT array_agg(d.status ORDER BY d.created_at, d.id) AS statuses,
           array_agg(coalesce(d.duration_ms, 0) ORDER BY d.created_at, d.id) AS durations_ms,
           (array_agg(d.http_status ORDER BY d.created_at DESC, d.id DESC)
               FILTER (WHERE d.attempt_count > 0))[1] AS http_status,
           (array_agg(left(d.error_message, 200) ORDER BY d.created_at DESC, d.id DESC)
               FILTER (WHERE d.attempt_count > 0))[1] AS error,
           max(d.created_at) AS at
    FROM (SELECT * FROM public.webhook_deliveries AS n WHERE n.webhook_id = f.id
          ORDER BY n.created_at DESC LIMIT %(strip_max)s) AS d) AS last
CROSS JOIN LATERAL (
    SELECT count(*) AS ended, count(*) FILTER (WHERE d.status = 'delivered') AS delivered,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY d.duration_ms)::int AS p95_ms
    FROM (SELECT n.status, n.duration_ms FROM public.webhook_deliveries AS n
          WHERE n.webhook_id = f.id AND n.created_at > now() - interval '24 hours'
          ORDER BY n.created_at DESC LIMIT %(sample_max)s) AS d
    WHERE d.status IN ('delivered', 'failed', 'blocked', 'retrying')) AS day
ORDER BY f.rank, f.created_at, f.id

-- name: get
SELECT w.id, left(w.name, 300) AS name, left(w.url, 2000) AS url, p.id AS tenant,
       p.email AS owner, w.agent_id, w.is_active, w.retry_failed, w.max_retries,
       w.events[:50] AS events, cardinality(w.events) AS events_count,
       ARRAY(SELECT left(k, 100) FROM jsonb_object_keys(w.custom_headers) AS k
             ORDER BY k LIMIT 30) AS header_names,
       w.total_deliveries, w.successful_deliveries, w.failed_deliveries, w.created_at,
       w.updated_at, h.state, h.failing_since, h.consecutive_failures AS failures,
       h.next_attempt_at, h.reason, e.open_until, e.disabled_reason, e.succeeded_at,
       coalesce(e.opened_times, 0) AS opened_times, coalesce(e.ramp, 0) AS ramp,
       l.cap AS lane_cap, l.until_at AS lane_until_at,
       (SELECT count(*) FROM (
            SELECT FROM public.webhook_deliveries AS d
            WHERE d.webhook_id = w.id AND d.status IN ('pending', 'retrying')
            LIMIT %(waiting_max)s + 1) AS q)::int AS waiting,
       (SELECT count(*) FROM worker.retired_secrets AS r
        WHERE r.webhook_id = w.id AND r.until_at > now())::int AS old_secrets
FROM public.webhooks AS w JOIN public.user_profiles AS p ON p.id = w.user_id
LEFT JOIN worker.endpoints AS e ON e.webhook_id = w.id
LEFT JOIN worker.lane_holds AS l ON l.lane = 'deliver_webhook:' || w.id
CROSS JOIN LATERAL worker.webhook_health(w.id) AS h
WHERE w.id = %(webhook_id)s

-- name: sum_hours
-- By when they were created, hours without any too; of the newest sample_max of that time.
SELECT h.at AS hour_at, coalesce(d.delivered, 0)::int AS delivered,
       coalesce(d.failed, 0)::int AS failed
FROM generate_series(date_trunc('hour', now(), 'UTC') - make_interval(hours => %(hours)s - 1),
                     date_trunc('hour', now(), 'UTC'), '1 hour') AS h (at)
LEFT JOIN (
    SELECT date_trunc('hour', n.created_at, 'UTC') AS at,
           count(*) FILTER (WHERE n.status = 'delivered') AS delivered,
           count(*) FILTER (WHERE n.status IN ('failed', 'blocked', 'retrying')) AS failed
    FROM (SELECT l.created_at, l.status FROM public.webhook_deliveries AS l
          WHERE l.webhook_id = %(webhook_id)s
            AND l.created_at >= date_trunc('hour', now(), 'UTC')
                                - make_interval(hours => %(hours)s - 1)
          ORDER BY l.created_at DESC LIMIT %(sample_max)s) AS n
    GROUP BY 1) AS d ON d.at = h.at
ORDER BY h.at

-- name: list_deliveries
-- The newest first, older than `before`; scan_max are looked through for a status. `id` is that of
-- a delivery or of its event.
SELECT d.id, d.event_type, d.status, d.http_status, left(d.error_message, 300) AS error,
       d.attempt_count AS attempts, d.next_retry_at, d.delivered_at, d.duration_ms, d.created_at
FROM (SELECT * FROM public.webhook_deliveries AS n
      WHERE n.webhook_id = %(webhook_id)s
        AND (%(id)s::uuid IS NULL OR n.id = %(id)s OR n.event_id = %(id)s)
        AND (%(before_at)s::timestamptz IS NULL
             OR (n.created_at, n.id) < (%(before_at)s, %(before_id)s::uuid))
      ORDER BY n.created_at DESC, n.id DESC LIMIT %(scan_max)s) AS d
WHERE %(statuses)s::text[] IS NULL OR d.status = ANY (%(statuses)s::text[])
ORDER BY d.created_at DESC, d.id DESC LIMIT %(rows_max)s

-- name: list_lost
-- What was given up since then, the oldest first.
SELECT d.id FROM public.webhook_deliveries AS d
WHERE d.webhook_id = %(webhook_id)s AND d.created_at >= %(since)s
  AND d.status IN ('failed', 'blocked', 'cancelled')
ORDER BY d.created_at, d.id LIMIT %(rows_max)s

-- name: take_turn
-- The lock of `send_again`: what another call sends again is not lost any more after it.
SELECT pg_advisory_xact_lock(hashtextextended('send_again:' || %(webhook_id)s::uuid, 0))

-- name: filter_lost
-- Those of these that are lost still, in their order.
SELECT d.id FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS asked (id, place)
JOIN public.webhook_deliveries AS d ON d.id = asked.id
WHERE d.webhook_id = %(webhook_id)s AND d.status IN ('failed', 'blocked', 'cancelled')
ORDER BY asked.place

-- name: send_again
-- In that order, each a moment after the one before.
SELECT private.send_again(%(ids)s::uuid[], make_interval(secs => %(gap_s)s))

-- name: get_delivery
-- Its contents apart: `event_data` and `answer` are shown to whoever reveals them.
SELECT d.id, d.webhook_id, d.event_id, d.event_type, d.status, d.http_status,
       left(d.error_message, 2000) AS error, d.attempt_count AS attempts, d.next_retry_at,
       d.delivered_at, d.duration_ms, d.created_at, d.updated_at,
       CASE WHEN octet_length(d.event_data::text) <= %(data_bytes_max)s THEN d.event_data
       END AS event_data, octet_length(d.event_data::text) AS data_bytes,
       left(d.response_body, %(answer_chars_max)s) AS answer,
       octet_length(d.response_body) AS answer_bytes,
       left(w.name, 300) AS webhook, left(w.url, 2000) AS url, w.is_active, w.max_retries,
       p.id AS tenant, p.email AS owner,
       (SELECT j.id FROM worker.jobs AS j
        WHERE j.kind = 'deliver_webhook' AND j.unique_key = d.id::text
          AND j.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable')
        LIMIT 1) AS job_id
FROM public.webhook_deliveries AS d JOIN public.webhooks AS w ON w.id = d.webhook_id
JOIN public.user_profiles AS p ON p.id = w.user_id
WHERE d.id = %(delivery_id)s

-- name: list_attempts
-- Oldest first; the one that arrived is on the delivery's own row.
SELECT a.attempt, a.at, a.http_status, left(a.error_message, 600) AS error, a.duration_ms,
       left(a.response_excerpt, %(answer_chars_max)s) AS answer,
       octet_length(a.response_excerpt) AS answer_bytes
FROM (SELECT * FROM worker.delivery_attempts AS n WHERE n.delivery_id = %(delivery_id)s
      ORDER BY n.id DESC LIMIT %(rows_max)s) AS a
ORDER BY a.id
