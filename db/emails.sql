-- Mails: the rows of email_logs, and how far the sending of each came.

-- name: load_email
SELECT e.id, e.user_id, e.to_email, e.from_email, e.subject, e.email_type, e.template_id,
       e.template_data::text AS template_data, e.status, coalesce(s.number, 1) AS number, s.message_id, s.provider,
       coalesce(s.failures, 0) AS failures, s.handed_at IS NOT NULL AS was_handed, s.request,
       coalesce(extract(epoch FROM now() - s.handed_at), 0)::float8 AS handed_s,
       extract(epoch FROM now() - coalesce(s.queued_at, now()))::float8 AS waited_s,
       coalesce((SELECT c.value FROM private.settings AS c WHERE c.name = 'public_url'), '')
           AS app_url
FROM public.email_logs AS e LEFT JOIN worker.email_sendings AS s ON s.email_id = e.id
WHERE e.id = %(email_id)s

-- name: begin_sending
-- Nobody else's word on the mail is written over: a row that was settled meanwhile stays.
WITH begun AS (
    UPDATE public.email_logs SET status = 'sending', provider = %(provider)s
    WHERE id = %(email_id)s AND status IN ('queued', 'sending')
    RETURNING id
)
INSERT INTO worker.email_sendings AS s (email_id, message_id, provider)
SELECT b.id, %(message_id)s, %(provider)s FROM begun AS b
ON CONFLICT (email_id) DO UPDATE
SET message_id = excluded.message_id, provider = excluded.provider

-- name: mark_handed
-- From here on a mail may have arrived, whatever happens to us.
UPDATE worker.email_sendings SET handed_at = coalesce(handed_at, clock_timestamp()),
       request = %(request)s
WHERE email_id = %(email_id)s

-- name: mark_sent
-- An event of the provider's may have been quicker than we.
WITH told AS (
    UPDATE worker.email_sendings SET request = NULL, failures = 0 WHERE email_id = %(email_id)s)
UPDATE public.email_logs
SET status = CASE WHEN status IN ('queued', 'sending', 'uncertain') THEN 'sent' ELSE status END,
    sent_at = clock_timestamp(), provider_message_id = %(provider_message_id)s,
    error_message = CASE WHEN status IN ('queued', 'sending', 'uncertain') THEN NULL
                         ELSE error_message END
WHERE id = %(email_id)s

-- name: mark_waiting
-- `was_taken` keeps the mark for a provider that may have it, and will know it again.
WITH told AS (
    UPDATE worker.email_sendings
    SET failures = failures + %(failures)s,
        handed_at = CASE WHEN %(was_taken)s THEN handed_at END,
        request = CASE WHEN %(was_taken)s THEN request END
    WHERE email_id = %(email_id)s)
UPDATE public.email_logs SET status = 'queued', error_message = %(message)s
WHERE id = %(email_id)s AND status IN ('queued', 'sending')

-- name: mark_ended
WITH told AS (
    UPDATE worker.email_sendings
    SET request = NULL, handed_at = CASE WHEN %(status)s = 'uncertain' THEN handed_at END
    WHERE email_id = %(email_id)s)
UPDATE public.email_logs SET status = %(status)s, error_message = %(message)s
WHERE id = %(email_id)s AND status IN ('queued', 'sending')

-- name: take_turn
-- A place in the provider's rate, shared by all processes: seconds until it is there, or null
-- (and no place) where that is more than wait_s_max.
INSERT INTO worker.buckets AS b (lane, tokens, filled_at)
VALUES (%(lane)s, %(burst)s::float8 - 1, clock_timestamp())
ON CONFLICT (lane) DO UPDATE
SET tokens = least(%(burst)s::float8, b.tokens + %(per_s)s::float8 * extract(
        epoch FROM clock_timestamp() - b.filled_at)::float8) - 1,
    filled_at = clock_timestamp()
WHERE 1 - least(%(burst)s::float8, b.tokens + %(per_s)s::float8 * extract(
        epoch FROM clock_timestamp() - b.filled_at)::float8)
      <= %(per_s)s::float8 * %(wait_s_max)s::float8
RETURNING greatest(0, -b.tokens / %(per_s)s::float8)

-- name: read_wait
SELECT greatest(0, (1 - least(%(burst)s::float8, b.tokens + %(per_s)s::float8 * extract(
           epoch FROM clock_timestamp() - b.filled_at)::float8)) / %(per_s)s::float8)
FROM worker.buckets AS b WHERE b.lane = %(lane)s

-- name: shut_bucket
-- The provider asks for a break: nobody's place is earlier than that.
INSERT INTO worker.buckets AS b (lane, tokens, filled_at)
VALUES (%(lane)s, -%(wait_s)s::float8 * %(per_s)s::float8, clock_timestamp())
ON CONFLICT (lane) DO UPDATE
SET tokens = least(b.tokens, excluded.tokens), filled_at = excluded.filled_at

-- name: list_emails
SELECT id, to_email, email_type, status, subject, error_message, provider, created_at, sent_at
FROM public.email_logs
WHERE %(status)s::text IS NULL OR status = %(status)s
ORDER BY created_at DESC, id LIMIT %(rows_max)s

-- name: get_email
SELECT e.*, s.number, s.message_id, s.failures, s.handed_at,
       (SELECT j.id FROM worker.jobs AS j
        WHERE j.kind = 'send_email' AND j.unique_key = e.id::text AND j.state IN
              ('scheduled', 'available', 'dispatched', 'running', 'retryable')) AS job_id
FROM public.email_logs AS e LEFT JOIN worker.email_sendings AS s ON s.email_id = e.id
WHERE e.id = %(email_id)s

-- name: settle_email
SELECT worker.settle_email(%(email_id)s, %(outcome)s)
