-- What became of mails, and what that makes of their rows.

-- name: insert_events
-- Once per event of the provider's, however often it is posted. A mail that is not there (any
-- more) is none; one that draws events without end keeps the first ones. Our own times are put on
-- the database's clock, by which mails are sent.
WITH told AS (
    SELECT * FROM unnest(
        %(email_ids)s::uuid[], %(providers)s::text[], %(provider_event_ids)s::text[],
        %(provider_message_ids)s::text[], %(types)s::text[], %(ats)s::timestamptz[],
        %(by_bots)s::boolean[], %(details)s::jsonb[])
    AS t (email_id, provider, provider_event_id, provider_message_id, type, at, by_bot, details)
), known AS (
    SELECT t.*, coalesce(
        (SELECT e.id FROM public.email_logs AS e WHERE e.id = t.email_id),
        (SELECT e.id FROM public.email_logs AS e
         WHERE e.provider_message_id = t.provider_message_id ORDER BY e.created_at LIMIT 1)) AS mail
    FROM told AS t
)
INSERT INTO worker.email_events (email_id, provider, provider_event_id, provider_message_id,
    type, at, by_bot, details)
SELECT k.mail, k.provider, k.provider_event_id, k.provider_message_id, k.type,
       least(clock_timestamp(), k.at + CASE
           WHEN k.provider = 'avivro' THEN clock_timestamp() - %(our_now)s::timestamptz
           ELSE '0' END),
       k.by_bot, k.details
FROM known AS k
WHERE (k.mail IS NOT NULL OR k.provider_message_id IS NOT NULL)
  AND (k.type NOT IN ('opened', 'clicked') OR (
      SELECT count(*) FROM worker.email_events AS e WHERE e.email_id = k.mail) < %(events_max)s)
ON CONFLICT ON CONSTRAINT email_events_provider_event_key DO NOTHING
RETURNING email_id

-- name: match_events
-- Events that came before the mail's row knew the provider's name for it.
UPDATE worker.email_events AS v
SET email_id = e.id
FROM public.email_logs AS e
WHERE NOT v.applied AND v.email_id IS NULL AND v.provider_message_id = e.provider_message_id
  AND v.created_at > now() - make_interval(secs => %(within_s)s)

-- name: list_waiting
SELECT DISTINCT v.email_id FROM worker.email_events AS v
JOIN public.email_logs AS e ON e.id = v.email_id
WHERE NOT v.applied AND e.status <> 'queued'
  AND v.created_at > now() - make_interval(secs => %(within_s)s)
LIMIT %(rows_max)s

-- name: count_waiting
SELECT count(*) FROM worker.email_events AS v
WHERE NOT v.applied AND v.created_at > now() - make_interval(secs => %(within_s)s)

-- name: hold_mails
-- Not while a mail waits to be sent: what is told then is about an earlier copy of it.
SELECT e.id, e.to_email, e.status, e.sent_at, e.delivered_at, e.opened_at, e.clicked_at,
       e.error_message, CASE WHEN s.number > 1 THEN s.queued_at END
FROM public.email_logs AS e LEFT JOIN worker.email_sendings AS s ON s.email_id = e.id
WHERE e.id = ANY(%(email_ids)s::uuid[])
  AND e.status <> 'queued' AND (e.status <> 'sending' OR coalesce(s.number, 1) = 1)
ORDER BY e.id FOR NO KEY UPDATE OF e

-- name: list_events
SELECT v.email_id, v.id, v.type, v.at, v.by_bot, v.applied, v.details
FROM worker.email_events AS v
WHERE v.email_id = ANY(%(email_ids)s::uuid[])
ORDER BY v.at, v.id

-- name: store_mail
UPDATE public.email_logs
SET status = %(status)s, sent_at = %(sent_at)s, delivered_at = %(delivered_at)s,
    opened_at = %(opened_at)s, clicked_at = %(clicked_at)s, error_message = %(error_message)s
WHERE id = %(email_id)s

-- name: mark_bots
UPDATE worker.email_events SET by_bot = true WHERE id = ANY(%(ids)s::bigint[])

-- name: mark_applied
UPDATE worker.email_events SET applied = true, address_hash = %(address_hash)s
WHERE id = ANY(%(ids)s::bigint[])

-- name: list_outcomes
-- The last deliveries to an address, newest first, over all its mails.
SELECT v.type, v.at, coalesce(v.details ->> 'hard' = 'true', false)
FROM worker.email_events AS v
WHERE v.address_hash = %(address_hash)s AND v.type IN ('delivered', 'bounced')
ORDER BY v.at DESC
LIMIT %(rows_max)s

-- name: find_address
SELECT e.to_email FROM public.email_logs AS e WHERE e.id = %(email_id)s
