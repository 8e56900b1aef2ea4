-- What operators did. Rows are only ever added: a trigger refuses anything else.

-- name: append
INSERT INTO worker.audit_log (operator, role, action, target, why, details)
VALUES (%(operator)s, %(role)s, %(action)s, %(target)s, %(why)s, %(details)s)
RETURNING id
