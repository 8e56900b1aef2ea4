-- Who may use the dashboard, and for how long they are logged in.

-- name: lock_operators
SELECT pg_advisory_xact_lock(hashtextextended('worker.operators', 0))

-- name: has_operators
SELECT EXISTS (SELECT FROM worker.operators)

-- name: insert_operator
INSERT INTO worker.operators (name, origin, role, password_hash, must_change_password, subject)
VALUES (%(name)s, %(origin)s, %(role)s, %(password_hash)s, %(must_change_password)s, %(subject)s)
ON CONFLICT DO NOTHING RETURNING id

-- name: find_operator
SELECT id, name, role, origin, password_hash, must_change_password, subject,
       created_at, seen_at, disabled_at
FROM worker.operators WHERE lower(name) = lower(%(name)s)

-- name: find_operator_of_subject
SELECT id, name, role, origin, password_hash, must_change_password, subject,
       created_at, seen_at, disabled_at
FROM worker.operators WHERE origin = 'oidc' AND subject = %(subject)s

-- name: bind_subject
-- Once: whoever else comes with this name later is somebody else.
UPDATE worker.operators SET subject = %(subject)s
WHERE id = %(operator_id)s AND origin = 'oidc' AND subject IS NULL RETURNING id

-- name: list_operators
SELECT id, name, role, origin, password_hash, must_change_password, subject,
       created_at, seen_at, disabled_at
FROM worker.operators ORDER BY disabled_at IS NOT NULL, lower(name) LIMIT %(rows_max)s

-- name: is_last_admin
-- Whether nobody could let others in if this one no longer can.
SELECT EXISTS (
    SELECT FROM worker.operators
    WHERE id = %(operator_id)s AND role = 'admin' AND disabled_at IS NULL
) AND NOT EXISTS (
    SELECT FROM worker.operators
    WHERE id <> %(operator_id)s AND role = 'admin' AND disabled_at IS NULL
      AND (origin <> 'password' OR password_hash IS NOT NULL)
)

-- name: set_role
UPDATE worker.operators SET role = %(role)s WHERE id = %(operator_id)s

-- name: set_password
UPDATE worker.operators
SET password_hash = %(password_hash)s, must_change_password = %(must_change_password)s
WHERE id = %(operator_id)s

-- name: replace_hash
-- Only the hash that was judged: a password that changed meanwhile stays changed. Of two who come
-- with a one-time password, one finds it.
UPDATE worker.operators SET password_hash = %(password_hash)s
WHERE id = %(operator_id)s AND password_hash = %(judged)s AND disabled_at IS NULL RETURNING id

-- name: set_disabled
UPDATE worker.operators SET disabled_at = CASE WHEN %(disabled)s THEN now() END
WHERE id = %(operator_id)s

-- name: insert_session
WITH seen AS (
    UPDATE worker.operators SET seen_at = now() WHERE id = %(operator_id)s
), old AS (
    DELETE FROM worker.operator_sessions WHERE expires_at < now()
)
INSERT INTO worker.operator_sessions (token_hash, operator_id, expires_at, user_agent, address)
VALUES (%(token_hash)s, %(operator_id)s, now() + make_interval(secs => %(lasts_s)s),
        left(%(user_agent)s, 300), %(address)s)

-- name: find_by_session
-- Seen once a minute is often enough, and most requests then write nothing.
WITH found AS (
    SELECT o.id, o.name, o.role, o.origin, o.must_change_password, s.token_hash, s.seen_at
    FROM worker.operator_sessions AS s JOIN worker.operators AS o ON o.id = s.operator_id
    WHERE s.token_hash = %(token_hash)s AND s.expires_at > now() AND o.disabled_at IS NULL
      AND s.seen_at > now() - make_interval(secs => %(idle_s)s)
), touched AS (
    UPDATE worker.operator_sessions AS s SET seen_at = now() FROM found AS f
    WHERE %(is_activity)s AND s.token_hash = f.token_hash
      AND f.seen_at < now() - interval '1 minute'
)
SELECT id, name, role, origin, must_change_password FROM found

-- name: list_sessions
SELECT id, created_at, seen_at, expires_at, user_agent, address,
       token_hash = %(token_hash)s AS is_this
FROM worker.operator_sessions
WHERE operator_id = %(operator_id)s AND expires_at > now()
  AND seen_at > now() - make_interval(secs => %(idle_s)s)
ORDER BY created_at DESC LIMIT %(rows_max)s

-- name: delete_session
DELETE FROM worker.operator_sessions WHERE token_hash = %(token_hash)s

-- name: delete_session_of
DELETE FROM worker.operator_sessions
WHERE id = %(session_id)s AND operator_id = %(operator_id)s

-- name: delete_sessions
-- All of an operator, but for the one whose token is given.
DELETE FROM worker.operator_sessions
WHERE operator_id = %(operator_id)s AND token_hash IS DISTINCT FROM %(kept)s::bytea
