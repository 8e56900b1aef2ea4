-- Mails as operators watch them: which did not go out, and of which nobody knows. No statement
-- reads what is in a mail.

-- name: count_states
-- Of those that were written within the time, at most rows_max of the newest.
SELECT e.status, count(*)::int AS week,
       count(*) FILTER (WHERE e.created_at > now() - interval '24 hours')::int AS day
FROM (SELECT l.status, l.created_at FROM public.email_logs AS l
      WHERE l.created_at > now() - interval '7 days'
      ORDER BY l.created_at DESC LIMIT %(rows_max)s) AS e
GROUP BY e.status

-- name: count_unsettled
SELECT count(*)::int FROM (
    SELECT FROM public.email_logs AS e WHERE e.status = 'uncertain' LIMIT %(rows_max)s + 1) AS u

-- name: find_matching
-- The newest first, older than `before`; at most scan_max are looked through for a text.
WITH looked AS MATERIALIZED (
    SELECT e.id, e.created_at, e.email_type, e.to_email, e.error_message
    FROM public.email_logs AS e
    WHERE (%(status)s::text IS NULL OR e.status = %(status)s)
      AND (%(since)s::timestamptz IS NULL OR e.created_at >= %(since)s)
      AND (%(tenant)s::uuid IS NULL OR e.user_id = %(tenant)s)
      AND (%(before_at)s::timestamptz IS NULL
           OR (e.created_at, e.id) < (%(before_at)s, %(before_id)s::uuid))
    ORDER BY e.created_at DESC, e.id DESC LIMIT %(scan_max)s
), found AS (
    SELECT l.id, l.created_at FROM looked AS l
    WHERE (%(type)s::text IS NULL OR l.email_type = %(type)s)
      AND (%(address)s::text IS NULL OR strpos(lower(l.to_email), %(address)s) > 0)
      AND (%(pattern)s::text IS NULL OR l.error_message ILIKE %(pattern)s
           OR l.id::text = %(text)s)
    ORDER BY l.created_at DESC, l.id DESC LIMIT %(rows_max)s
)
SELECT e.id, e.created_at, e.email_type AS type, e.status, e.to_email, e.user_id AS tenant,
       p.email AS owner, left(e.error_message, 400) AS error, e.provider, e.sent_at,
       s.handed_at, coalesce(s.failures, 0) AS failures
FROM found JOIN public.email_logs AS e ON e.id = found.id
LEFT JOIN public.user_profiles AS p ON p.id = e.user_id
LEFT JOIN worker.email_sendings AS s ON s.email_id = e.id
ORDER BY e.created_at DESC, e.id DESC

-- name: list_matching_ids
-- As find_matching, for what is done to all of them.
WITH looked AS MATERIALIZED (
    SELECT e.id, e.created_at, e.email_type, e.to_email, e.error_message
    FROM public.email_logs AS e
    WHERE e.status = %(status)s AND e.status IN ('failed', 'uncertain', 'bounced', 'complained')
      AND (%(since)s::timestamptz IS NULL OR e.created_at >= %(since)s)
      AND (%(tenant)s::uuid IS NULL OR e.user_id = %(tenant)s)
    ORDER BY e.created_at DESC, e.id DESC LIMIT %(scan_max)s
)
SELECT l.id FROM looked AS l
WHERE (%(type)s::text IS NULL OR l.email_type = %(type)s)
  AND (%(address)s::text IS NULL OR strpos(lower(l.to_email), %(address)s) > 0)
  AND (%(pattern)s::text IS NULL OR l.error_message ILIKE %(pattern)s OR l.id::text = %(text)s)
ORDER BY l.created_at DESC, l.id DESC LIMIT %(rows_max)s

-- name: lock_in_state
-- Those of these that are in that state still, in the order in which everybody locks several.
SELECT e.id FROM public.email_logs AS e
WHERE e.id = ANY (%(ids)s::uuid[]) AND e.status = %(status)s ORDER BY e.id FOR UPDATE

-- name: list_reasons
-- Of the newest that are in that state.
SELECT left(e.error_message, 400) AS error, e.email_type AS type, e.created_at
FROM public.email_logs AS e
WHERE e.status = ANY (%(statuses)s::text[]) AND e.created_at > now() - interval '7 days'
ORDER BY e.created_at DESC LIMIT %(rows_max)s

-- name: read_queue
-- What waits to be sent, and when the next of it is tried.
SELECT (SELECT count(*) FROM (
            SELECT FROM public.email_logs AS e WHERE e.status IN ('queued', 'sending')
            LIMIT %(count_max)s + 1) AS q)::int AS waiting,
       (SELECT min(q.created_at) FROM (
            SELECT e.created_at FROM public.email_logs AS e
            WHERE e.status IN ('queued', 'sending') ORDER BY e.created_at LIMIT 1) AS q
       ) AS oldest_at,
       (SELECT min(q.run_at) FROM (
            SELECT j.run_at FROM worker.jobs AS j
            WHERE j.queue = 'email' AND j.state IN ('scheduled', 'retryable') AND NOT j.blocked
            ORDER BY j.run_at LIMIT %(scan_max)s) AS q) AS next_at,
       EXISTS (SELECT FROM worker.pauses AS p
               WHERE (p.scope, p.name) IN (('queue', 'email'), ('kind', 'send_email'))) AS is_paused

-- name: list_lanes
-- Of providers: what is left of their rate, below nothing while they asked for a break.
SELECT b.lane, b.tokens::float8 AS tokens, b.filled_at
FROM worker.buckets AS b WHERE b.lane LIKE 'mail:%%' ORDER BY b.lane LIMIT %(rows_max)s

-- name: count_opens
-- By people, as far as one can tell; of mails that were written in the last 7 days.
SELECT count(*) FILTER (WHERE e.opened_at IS NOT NULL)::int AS opened,
       count(*) FILTER (WHERE e.clicked_at IS NOT NULL)::int AS clicked,
       count(*) FILTER (WHERE e.sent_at IS NOT NULL)::int AS sent
FROM (SELECT l.opened_at, l.clicked_at, l.sent_at FROM public.email_logs AS l
      WHERE l.created_at > now() - interval '7 days'
      ORDER BY l.created_at DESC LIMIT %(rows_max)s) AS e

-- name: get
-- Without what is in it: of its subject only the length.
SELECT e.id, e.user_id AS tenant, p.email AS owner, e.to_email, left(e.from_email, 300) AS sender,
       length(e.subject) AS subject_chars, e.email_type AS type, e.template_id, e.status,
       left(e.error_message, 2000) AS error, e.provider, e.provider_message_id, e.created_at,
       e.sent_at, e.delivered_at, e.opened_at, e.clicked_at, e.updated_at,
       s.number, s.message_id, coalesce(s.failures, 0) AS failures, s.queued_at, s.handed_at,
       s.request IS NOT NULL AS is_repeatable,
       (SELECT j.id FROM worker.jobs AS j
        WHERE j.kind = 'send_email' AND j.unique_key = e.id::text AND j.state IN
              ('scheduled', 'available', 'dispatched', 'running', 'retryable')
        LIMIT 1) AS job_id
FROM public.email_logs AS e LEFT JOIN worker.email_sendings AS s ON s.email_id = e.id
LEFT JOIN public.user_profiles AS p ON p.id = e.user_id
WHERE e.id = %(email_id)s

-- name: read_subject
SELECT left(e.subject, 1000) FROM public.email_logs AS e WHERE e.id = %(email_id)s

-- name: list_events
SELECT v.id, v.type, v.at, v.provider, v.by_bot, v.applied,
       left(v.details ->> 'reason', 300) AS reason
FROM worker.email_events AS v WHERE v.email_id = %(email_id)s
ORDER BY v.at, v.id LIMIT %(rows_max)s

-- name: count_suppressions
SELECT s.reason, count(*)::int FROM (
    SELECT n.reason FROM worker.suppressions AS n ORDER BY n.id DESC LIMIT %(rows_max)s) AS s
GROUP BY s.reason

-- name: list_suppressions
-- The newest first; of an address by its hash.
SELECT s.id, s.address, encode(s.address_hash, 'hex') AS address_hash, s.category, s.user_id,
       s.reason, left(s.note, 300) AS note, s.email_id, s.created_at
FROM worker.suppressions AS s
WHERE (%(address)s::text IS NULL
       OR s.address_hash = sha256(convert_to(lower(%(address)s), 'UTF8')))
  AND (%(before)s::bigint IS NULL OR s.id < %(before)s)
ORDER BY s.id DESC LIMIT %(rows_max)s

-- name: lift_suppression
DELETE FROM worker.suppressions AS s WHERE s.id = %(suppression_id)s
RETURNING encode(s.address_hash, 'hex') AS address_hash, s.category, s.reason,
          (SELECT count(*)::int FROM worker.suppressions AS o
           WHERE o.address_hash = s.address_hash AND o.id <> s.id) AS others
