-- Deliveries of webhooks as their worker sees them: many at a time, each fenced by its job.
--
-- Who locks several of these takes jobs first, then webhooks, then deliveries, each in the order
-- of their ids.

-- name: load_letters
-- In the order that was asked for; a delivery that is gone is left out. Long contents stay where
-- they are: a body has no room for them. A job that was put back after its delivery's row was
-- last written was put back by somebody, who wants it sent now.
SELECT asked.place, d.id, d.webhook_id, d.event_id, d.event_type, d.created_at, d.status,
       d.attempt_count, w.url,
       ARRAY[w.secret] || ARRAY(
           SELECT r.secret FROM worker.retired_secrets AS r
           WHERE r.webhook_id = w.id AND r.until_at > clock_timestamp() AND r.secret <> w.secret
           ORDER BY r.id DESC) AS secrets,
       w.is_active, w.retry_failed, w.max_retries, w.custom_headers, w.updated_at AS edited_at,
       b.body,
       CASE WHEN b.body IS NULL AND octet_length(d.event_data::text) <= %(data_bytes_max)s
            THEN d.event_data::text END AS data,
       (d.event_data -> 'id')::text AS data_id,
       (d.event_data -> 'agent_id')::text AS data_agent_id,
       extract(epoch FROM d.next_retry_at - clock_timestamp())::float8 AS due_in_s,
       extract(epoch FROM clock_timestamp() - d.created_at)::float8 AS age_s,
       coalesce(j.run_at > d.updated_at, false) AS is_asked_anew,
       (SELECT s.value FROM private.settings AS s WHERE s.name = 'public_url') AS app_url
FROM unnest(%(job_ids)s::bigint[], %(delivery_ids)s::uuid[])
    WITH ORDINALITY AS asked(job_id, delivery_id, place)
CROSS JOIN LATERAL (
    SELECT * FROM public.webhook_deliveries AS found WHERE found.id = asked.delivery_id) AS d
JOIN public.webhooks AS w ON w.id = d.webhook_id
LEFT JOIN worker.delivery_bodies AS b ON b.delivery_id = d.id
LEFT JOIN worker.jobs AS j ON j.id = asked.job_id
ORDER BY asked.place

-- name: store_bodies
-- The first one stays, whoever wrote it: what is returned is what was not there before. Binary,
-- for quotes in an array that is text must be escaped.
INSERT INTO worker.delivery_bodies AS b (delivery_id, body)
SELECT d.id, given.body
FROM unnest(%(delivery_ids)s::uuid[], %(bodies)b::text[]) AS given(delivery_id, body)
CROSS JOIN LATERAL (
    SELECT found.id FROM public.webhook_deliveries AS found
    WHERE found.id = given.delivery_id FOR KEY SHARE) AS d
ON CONFLICT (delivery_id) DO NOTHING
RETURNING b.delivery_id

-- name: list_bodies
SELECT b.delivery_id, b.body FROM worker.delivery_bodies AS b
WHERE b.delivery_id = ANY(%(delivery_ids)s::uuid[])

-- name: hold_jobs
-- Every writing transaction begins here: a job that is not found was lost to another worker.
SELECT j.id, j.attempt
FROM unnest(%(job_ids)s::bigint[], %(attempts)s::int[]) AS held(id, attempt)
CROSS JOIN LATERAL (
    SELECT found.id, found.attempt FROM worker.jobs AS found
    WHERE found.id = held.id AND found.attempt = held.attempt
      AND (found.state = 'running') IS TRUE
    FOR SHARE) AS j

-- name: lock_webhooks
SELECT w.id FROM unnest(%(webhook_ids)s::uuid[]) AS asked(id)
CROSS JOIN LATERAL (
    SELECT found.id FROM public.webhooks AS found
    WHERE found.id = asked.id FOR NO KEY UPDATE) AS w

-- name: store_results
-- `attempt` counts from 1. What the row says is kept where it is another one's: it was stored
-- before and the answer was lost, or an owner cancelled the delivery or wants it anew; only that
-- it arrived is true in any case. `is_new` says that this attempt was not stored before.
WITH given AS MATERIALIZED (
    SELECT u.*, old.status AS old_status,
           old.attempt_count = u.attempt AND old.status = u.status AS is_repeated,
           old.attempt_count = u.attempt - 1 AND old.status IN ('pending', 'retrying')
               OR u.status = 'delivered' AND old.status IN ('pending', 'retrying', 'cancelled')
               AS is_kept
    FROM unnest(%(delivery_ids)s::uuid[], %(attempts)s::int[], %(statuses)s::text[],
                %(http_statuses)s::int[], %(error_messages)b::text[],
                %(response_bodies)b::text[], %(durations_ms)s::int[], %(waits_s)s::float8[])
        AS u(delivery_id, attempt, status, http_status, error_message, response_body,
             duration_ms, wait_s)
    CROSS JOIN LATERAL (
        SELECT d.status, d.attempt_count FROM public.webhook_deliveries AS d
        WHERE d.id = u.delivery_id FOR NO KEY UPDATE) AS old
), stored AS (
    UPDATE public.webhook_deliveries AS d
    SET status = g.status,
        error_message = g.error_message,
        next_retry_at = clock_timestamp() + make_interval(secs => g.wait_s),
        delivered_at = CASE WHEN g.status = 'delivered' THEN clock_timestamp() END,
        attempt_count = d.attempt_count + CASE WHEN g.status = 'cancelled' THEN 0 ELSE 1 END,
        http_status = CASE WHEN g.status = 'cancelled' THEN d.http_status
                           ELSE g.http_status END,
        response_body = CASE WHEN g.status = 'cancelled' THEN d.response_body
                             ELSE g.response_body END,
        duration_ms = CASE WHEN g.status = 'cancelled' THEN d.duration_ms
                           ELSE g.duration_ms END
    FROM given AS g
    WHERE d.id = g.delivery_id AND g.is_kept
    RETURNING d.id, d.status
), noted AS (
    INSERT INTO worker.delivery_attempts
        (delivery_id, attempt, http_status, error_message, duration_ms, response_excerpt)
    SELECT g.delivery_id, g.attempt, g.http_status, g.error_message, g.duration_ms,
           left(g.response_body, %(excerpt_chars_max)s)
    FROM given AS g
    WHERE g.status NOT IN ('delivered', 'cancelled') AND NOT g.is_repeated
)
SELECT s.id AS delivery_id, s.status, true AS is_new FROM stored AS s
UNION ALL
SELECT g.delivery_id, g.old_status, NOT g.is_repeated FROM given AS g WHERE NOT g.is_kept

-- name: list_endpoints
-- Of webhooks that are locked.
SELECT e.webhook_id, e.consecutive_failures, e.failing_since, e.failed_for_good, e.opened_times,
       e.open_until, e.ramp, e.quick_needed, e.succeeded_at, e.disabled_reason
FROM worker.endpoints AS e WHERE e.webhook_id = ANY(%(webhook_ids)s::uuid[])

-- name: list_edits
-- When their owners last changed them; counters do not count.
SELECT id, updated_at FROM public.webhooks WHERE id = ANY(%(webhook_ids)s::uuid[])

-- name: read_clock
SELECT clock_timestamp()

-- name: store_endpoint
INSERT INTO worker.endpoints AS e
    (webhook_id, consecutive_failures, failing_since, failed_for_good, opened_times, open_until,
     ramp, quick_needed, succeeded_at, disabled_reason)
VALUES (%(webhook_id)s, %(consecutive_failures)s, %(failing_since)s, %(failed_for_good)s,
        %(opened_times)s, %(open_until)s, %(ramp)s, %(quick_needed)s, %(succeeded_at)s,
        %(disabled_reason)s)
ON CONFLICT (webhook_id) DO UPDATE
SET consecutive_failures = excluded.consecutive_failures,
    failing_since = excluded.failing_since, failed_for_good = excluded.failed_for_good,
    opened_times = excluded.opened_times, open_until = excluded.open_until,
    ramp = excluded.ramp, quick_needed = excluded.quick_needed,
    succeeded_at = excluded.succeeded_at, disabled_reason = excluded.disabled_reason,
    updated_at = now()

-- name: hold_lane
-- None in flight before `until_at`; then, or where that is null at once, `cap`.
INSERT INTO worker.lane_holds AS h (lane, cap, until_at, then_cap, reason)
VALUES ('deliver_webhook:' || %(webhook_id)s::uuid,
        CASE WHEN %(until_at)s::timestamptz IS NULL THEN %(cap)s ELSE 0 END,
        %(until_at)s, CASE WHEN %(until_at)s::timestamptz IS NULL THEN NULL ELSE %(cap)s END,
        %(reason)s)
ON CONFLICT (lane) DO UPDATE
SET cap = excluded.cap, until_at = excluded.until_at, then_cap = excluded.then_cap,
    reason = excluded.reason

-- name: release_lane
DELETE FROM worker.lane_holds WHERE lane = 'deliver_webhook:' || %(webhook_id)s::uuid

-- name: disable_webhook
SELECT worker.disable_webhook(%(webhook_id)s, %(reason)s, %(failing_since)s)
