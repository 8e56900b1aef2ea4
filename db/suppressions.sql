-- Addresses that get no mail, or none of a category.

-- name: find
-- A complaint is about what somebody did not want: what they need for their account still comes.
SELECT s.reason, s.category, s.created_at FROM worker.suppressions AS s
WHERE s.address_hash = sha256(convert_to(lower(%(address)s), 'UTF8'))
  AND (s.category IS NULL OR s.category = %(category)s)
  AND (s.user_id IS NULL OR s.user_id = %(user_id)s)
  AND NOT (s.reason = 'complained' AND %(category)s = 'account')
ORDER BY s.reason = 'unsubscribed', s.id
LIMIT 1

-- name: add
INSERT INTO worker.suppressions (address, address_hash, category, reason, note, email_id)
VALUES (%(address)s, '', %(category)s, %(reason)s, %(note)s, %(email_id)s)
ON CONFLICT ON CONSTRAINT suppressions_key DO NOTHING

-- name: unsubscribe
-- A link carries a hash: the address itself is known where the mail is.
INSERT INTO worker.suppressions (address, address_hash, category, user_id, reason, email_id)
VALUES (%(address)s, %(address_hash)s, %(category)s, %(user_id)s, 'unsubscribed', %(email_id)s)
ON CONFLICT ON CONSTRAINT suppressions_key DO NOTHING

-- name: remove
DELETE FROM worker.suppressions AS s
WHERE s.address_hash = sha256(convert_to(lower(%(address)s), 'UTF8'))
  AND (%(category)s::text IS NULL OR s.category = %(category)s)

-- name: list_suppressions
SELECT s.id, s.address, encode(s.address_hash, 'hex'), s.category, s.user_id, s.reason, s.note,
       s.email_id, s.created_at
FROM worker.suppressions AS s
WHERE (%(address)s::text IS NULL
       OR s.address_hash = sha256(convert_to(lower(%(address)s), 'UTF8')))
  AND (%(reason)s::text IS NULL OR s.reason = %(reason)s)
ORDER BY s.id DESC
LIMIT %(rows_max)s
