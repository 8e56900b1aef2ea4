-- Tests of webhooks that were disabled because their receivers failed. A receiver that answered
-- 410 wants nothing any more, and one that its owner switched off has no reason here.

-- name: revive
-- Whose test was delivered. Activating forgets what was learnt of the endpoint, its probes too.
WITH answered AS MATERIALIZED (
    SELECT w.id, w.user_id, w.agent_id, w.url, p.delivery_id,
           coalesce(nullif(btrim(w.name), ''), w.url) AS called
    FROM worker.endpoint_probes AS p
    JOIN public.webhook_deliveries AS d ON d.id = p.delivery_id AND d.status = 'delivered'
    JOIN public.webhooks AS w ON w.id = p.webhook_id AND NOT w.is_active
    ORDER BY w.id LIMIT %(rows_max)s FOR NO KEY UPDATE OF w SKIP LOCKED
), active AS (
    UPDATE public.webhooks AS w SET is_active = true FROM answered AS a WHERE w.id = a.id
    RETURNING w.id
), told AS (
    INSERT INTO public.notifications
        (id, user_id, agent_id, type, title, message, action_url, action_label)
    SELECT md5('webhook_enabled:' || a.delivery_id)::uuid, a.user_id, a.agent_id,
           'webhook_enabled', 'Webhook active again',
           format('%%s is active again: %%s answered our test. What was missed while it was '
                  'disabled is not sent by itself: recover it if you still want it.',
                  a.called, a.url),
           '/webhooks/' || a.id, 'Open webhook'
    FROM answered AS a
    ON CONFLICT ON CONSTRAINT notifications_pkey DO NOTHING
)
SELECT count(*) FROM active

-- name: end_attempts
-- One try is a probe: the next one is another delivery, hours later.
WITH failed AS MATERIALIZED (
    SELECT d.id FROM worker.endpoint_probes AS p
    JOIN public.webhook_deliveries AS d ON d.id = p.delivery_id
    WHERE d.status = 'retrying' ORDER BY d.id LIMIT %(rows_max)s FOR UPDATE OF d SKIP LOCKED
)
UPDATE public.webhook_deliveries AS d
SET status = 'cancelled', next_retry_at = NULL,
    error_message = 'cancelled: a test of a disabled webhook is tried once. ' || d.error_message
FROM failed AS f WHERE d.id = f.id

-- name: begin
-- What was disabled since the last look.
INSERT INTO worker.endpoint_probes (webhook_id, next_at)
SELECT e.webhook_id, now() + make_interval(secs => %(wait_s)s)
FROM worker.endpoints AS e JOIN public.webhooks AS w ON w.id = e.webhook_id AND NOT w.is_active
WHERE e.disabled_reason NOT LIKE 'the receiver answered 410%%'
ORDER BY e.webhook_id LIMIT %(rows_max)s
ON CONFLICT DO NOTHING

-- name: send_due
-- `waits_s` are the waits before each probe; after the last one there is none.
WITH due AS MATERIALIZED (
    SELECT p.webhook_id, w.name FROM worker.endpoint_probes AS p
    JOIN worker.endpoints AS e ON e.webhook_id = p.webhook_id
    JOIN public.webhooks AS w ON w.id = p.webhook_id AND NOT w.is_active
    WHERE p.next_at <= now() AND e.disabled_reason NOT LIKE 'the receiver answered 410%%'
    ORDER BY p.next_at LIMIT %(rows_max)s FOR UPDATE OF p SKIP LOCKED
), sent AS (
    INSERT INTO public.webhook_deliveries (webhook_id, event_type, event_data)
    SELECT due.webhook_id, 'webhook.test',
           jsonb_build_object('webhook_id', due.webhook_id, 'name', due.name, 'probe', true)
    FROM due
    RETURNING id, webhook_id
), noted AS (
    UPDATE worker.endpoint_probes AS p
    SET delivery_id = sent.id, probes = p.probes + 1,
        next_at = coalesce(
            now() + make_interval(secs => (%(waits_s)s::float8[])[p.probes + 2]), 'infinity')
    FROM sent WHERE p.webhook_id = sent.webhook_id
    RETURNING p.webhook_id
)
SELECT count(*) FROM noted
