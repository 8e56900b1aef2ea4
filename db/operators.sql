-- Who may use the dashboard, and for how long they are logged in.

-- name: insert_operator
INSERT INTO worker.operators (name, origin, role, password_hash, must_change_password)
VALUES (%(name)s, %(origin)s, %(role)s, %(password_hash)s, %(must_change_password)s)
ON CONFLICT DO NOTHING RETURNING id

-- name: insert_session
INSERT INTO worker.operator_sessions (token_hash, operator_id, expires_at, user_agent)
VALUES (%(token_hash)s, %(operator_id)s, now() + make_interval(secs => %(lasts_s)s),
        left(%(user_agent)s, 300))

-- name: find_by_session
SELECT o.id, o.name, o.role, o.origin, o.must_change_password
FROM worker.operator_sessions AS s JOIN worker.operators AS o ON o.id = s.operator_id
WHERE s.token_hash = %(token_hash)s AND s.expires_at > now() AND o.disabled_at IS NULL
