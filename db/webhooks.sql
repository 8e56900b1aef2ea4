-- Webhooks and what was delivered to them, as their owner sees it.

-- name: create
-- Without a secret it gets a random one, as the table's default makes it.
INSERT INTO public.webhooks (
    id, user_id, agent_id, name, url, secret, events, is_active, retry_failed, max_retries,
    custom_headers)
SELECT coalesce(n.id, gen_random_uuid()), n.user_id, n.agent_id, n.name, n.url,
       coalesce(n.secret, 'whsec_' || encode(
           uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'base64')),
       coalesce(n.events, '{}'), coalesce(n.is_active, true), coalesce(n.retry_failed, true),
       coalesce(n.max_retries, 9), coalesce(n.custom_headers, '{}')
FROM jsonb_populate_record(NULL::public.webhooks, %(row)s) AS n
RETURNING *

-- name: get
SELECT * FROM public.webhooks WHERE id = %(webhook_id)s

-- name: list
SELECT * FROM public.webhooks
WHERE user_id = coalesce(%(user_id)s, user_id)
ORDER BY created_at DESC, id LIMIT %(limit)s OFFSET %(offset)s

-- name: update
-- A column that is not given keeps its value; null is a value.
UPDATE public.webhooks AS w
SET (agent_id, name, url, secret, events, is_active, retry_failed, max_retries,
     custom_headers) = (
    SELECT n.agent_id, n.name, n.url, n.secret, n.events, n.is_active, n.retry_failed,
           n.max_retries, n.custom_headers
    FROM jsonb_populate_record(w, %(row)s) AS n)
WHERE w.id = %(webhook_id)s
RETURNING w.*

-- name: delete
DELETE FROM public.webhooks WHERE id = %(webhook_id)s

-- name: get_deliveries
SELECT * FROM public.webhook_deliveries WHERE webhook_id = %(webhook_id)s
ORDER BY created_at DESC, id LIMIT %(limit)s OFFSET %(offset)s

-- name: redeliver
SELECT public.redeliver_webhook(%(delivery_id)s)

-- name: redeliver_many
SELECT public.redeliver_webhooks(%(delivery_ids)s::uuid[])

-- name: recover
SELECT public.recover_webhook(%(webhook_id)s, %(since)s)

-- name: send_test
SELECT public.send_test_webhook(%(webhook_id)s)

-- name: get_attempts
SELECT attempt, at, http_status, error_message, duration_ms, response_excerpt
FROM public.get_delivery_attempts(%(delivery_id)s)

-- name: get_health
SELECT state, failing_since, consecutive_failures, next_attempt_at, reason
FROM public.get_webhook_health(%(webhook_id)s)

-- name: list_all
-- For operators: the latest first, with their owners and how their receivers are doing.
SELECT w.id, w.name, w.url, p.email AS owner, w.is_active, h.state, h.failing_since,
       h.next_attempt_at, h.reason, w.total_deliveries, w.successful_deliveries,
       w.failed_deliveries,
       (SELECT count(*) FROM public.webhook_deliveries AS d
        WHERE d.webhook_id = w.id AND d.status IN ('pending', 'retrying')) AS waiting
FROM (SELECT * FROM public.webhooks AS newest
      WHERE (%(user_id)s::uuid IS NULL OR newest.user_id = %(user_id)s)
        AND (NOT %(troubled)s OR NOT newest.is_active OR EXISTS (
            SELECT FROM worker.endpoints AS e
            WHERE e.webhook_id = newest.id AND (e.open_until IS NOT NULL
                OR e.consecutive_failures > 0 OR e.quick_needed > 0)))
      ORDER BY newest.created_at DESC, newest.id LIMIT %(rows_max)s) AS w
JOIN public.user_profiles AS p ON p.id = w.user_id
CROSS JOIN LATERAL worker.webhook_health(w.id) AS h
ORDER BY w.created_at DESC, w.id

-- name: find_owner
-- Whose a webhook, or the webhook of a delivery, is; for operators, who act for them.
SELECT w.user_id FROM public.webhooks AS w
WHERE w.id = %(id)s
   OR w.id = (SELECT d.webhook_id FROM public.webhook_deliveries AS d WHERE d.id = %(id)s)
