-- Which processes wait for which rows, and those rows.

-- name: listen
LISTEN row_changes

-- name: register
INSERT INTO private.listeners (topic, key, process, expires_at)
VALUES (%(topic)s, %(key)s, %(process)s, now() + make_interval(secs => %(lease_s)s))
ON CONFLICT (topic, key, process) DO UPDATE SET expires_at = excluded.expires_at

-- name: renew
UPDATE private.listeners SET expires_at = now() + make_interval(secs => %(lease_s)s)
WHERE process = %(process)s

-- name: remove
DELETE FROM private.listeners
WHERE process = %(process)s AND topic = %(topic)s AND key = %(key)s

-- name: forget_expired
-- Those of processes that died. A live one that slept too long registers again when it renews.
DELETE FROM private.listeners WHERE expires_at < now() - interval '1 minute'

-- name: read_clock
SELECT clock_timestamp()

-- name: list_recent_messages
SELECT m.conversation_id AS key, m.id, m.created_at
FROM unnest(%(keys)s::uuid[]) AS k (key) JOIN public.messages AS m ON m.conversation_id = k.key
WHERE (m.created_at, m.id) > (%(after_at)s, %(after_id)s)
ORDER BY m.created_at, m.id LIMIT %(rows_max)s

-- name: list_recent_notifications
SELECT n.user_id AS key, n.id, n.created_at
FROM unnest(%(keys)s::uuid[]) AS k (key) JOIN public.notifications AS n ON n.user_id = k.key
WHERE (n.created_at, n.id) > (%(after_at)s, %(after_id)s)
ORDER BY n.created_at, n.id LIMIT %(rows_max)s

-- name: read_messages
SELECT * FROM public.messages WHERE id = ANY(%(ids)s::uuid[]) ORDER BY created_at, id

-- name: read_notifications
SELECT * FROM public.notifications WHERE id = ANY(%(ids)s::uuid[]) ORDER BY created_at, id
