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
