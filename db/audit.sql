-- What operators did. Rows are only ever added: a trigger refuses anything else.

-- name: append
INSERT INTO worker.audit_log (operator, role, action, target, why, details)
VALUES (%(operator)s, %(role)s, %(action)s, %(target)s, %(why)s, %(details)s)
RETURNING id


-- name: search
-- Newest first. Of a long log only so many entries before the cursor are looked at in one go.
SELECT id, at, operator, role, action, target, why, details
FROM worker.audit_log
WHERE id < %(before)s AND id >= %(floor)s
  AND (%(operator)s::text IS NULL OR operator = %(operator)s)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(target)s::text IS NULL OR target ILIKE %(target)s)
  AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
ORDER BY id DESC LIMIT %(rows_max)s

-- name: find_last
SELECT coalesce(max(id), 0) FROM worker.audit_log

-- name: list_actions
-- The words there are, one look into the index each.
WITH RECURSIVE each AS (
    (SELECT action FROM worker.audit_log ORDER BY action LIMIT 1)
    UNION ALL
    SELECT (SELECT a.action FROM worker.audit_log AS a WHERE a.action > each.action
            ORDER BY a.action LIMIT 1)
    FROM each WHERE each.action IS NOT NULL
)
SELECT action FROM each WHERE action IS NOT NULL LIMIT %(rows_max)s

-- name: list_names
WITH RECURSIVE each AS (
    (SELECT operator FROM worker.audit_log ORDER BY operator LIMIT 1)
    UNION ALL
    SELECT (SELECT a.operator FROM worker.audit_log AS a WHERE a.operator > each.operator
            ORDER BY a.operator LIMIT 1)
    FROM each WHERE each.operator IS NOT NULL
)
SELECT operator FROM each WHERE operator IS NOT NULL LIMIT %(rows_max)s
