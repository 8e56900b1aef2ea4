-- Wrong passwords, how long they lock, and browsers that are known.

-- name: lock_attempts
-- Attempts at one name are counted one after the other; at others', meanwhile.
SELECT pg_advisory_xact_lock(hashtextextended('worker.login_failures ' || %(name)s, 0))

-- name: find_lock
-- Seconds until the last of three locks ends; null when none holds. Each begins with so many wrong
-- passwords within the time, and lasts as long after the last of them.
SELECT max(extract(epoch FROM newest + make_interval(secs => %(lock_s)s) - clock_timestamp()))
FROM (
    SELECT max(at) AS newest, min(at) AS oldest, count(*) = %(pair_max)s AS full
    FROM (SELECT at FROM worker.login_failures
          WHERE name = %(name)s AND address = %(address)s
          ORDER BY at DESC LIMIT %(pair_max)s) AS pair
    UNION ALL
    SELECT max(at), min(at), count(*) = %(address_max)s
    FROM (SELECT at FROM worker.login_failures
          WHERE address = %(address)s ORDER BY at DESC LIMIT %(address_max)s) AS place
    UNION ALL
    SELECT max(at), min(at), count(*) = %(name_max)s
    FROM (SELECT at FROM worker.login_failures
          WHERE name = %(name)s AND NOT %(known)s AND address NOT LIKE 'device %%'
          ORDER BY at DESC LIMIT %(name_max)s) AS everywhere
) AS locks
WHERE locks.full AND newest - oldest <= make_interval(secs => %(lock_s)s)
  AND newest > clock_timestamp() - make_interval(secs => %(lock_s)s)

-- name: insert_failure
WITH old AS (
    DELETE FROM worker.login_failures WHERE id IN (
        SELECT id FROM worker.login_failures WHERE at < now() - interval '1 day'
        ORDER BY at LIMIT 1000 FOR UPDATE SKIP LOCKED)
)
INSERT INTO worker.login_failures (name, address) VALUES (%(name)s, %(address)s) RETURNING id

-- name: delete_failure
DELETE FROM worker.login_failures WHERE id = %(failure_id)s

-- name: count_failures
SELECT count(*) FROM worker.login_failures
WHERE name = %(name)s AND address = %(address)s
  AND at > clock_timestamp() - make_interval(secs => %(lock_s)s)

-- name: delete_failures
DELETE FROM worker.login_failures WHERE name = %(name)s AND address = %(address)s

-- name: is_known_device
SELECT EXISTS (
    SELECT FROM worker.operator_devices AS d JOIN worker.operators AS o ON o.id = d.operator_id
    WHERE d.token_hash = %(token_hash)s AND lower(o.name) = lower(%(name)s)
      AND d.seen_at > now() - make_interval(days => %(days)s))

-- name: remember_device
-- So many browsers of one operator are kept: those seen last.
WITH old AS (
    DELETE FROM worker.operator_devices WHERE token_hash IN (
        SELECT token_hash FROM worker.operator_devices
        WHERE operator_id = %(operator_id)s AND token_hash <> %(token_hash)s
        ORDER BY seen_at DESC OFFSET %(devices_max)s - 1)
)
INSERT INTO worker.operator_devices AS d (token_hash, operator_id)
VALUES (%(token_hash)s, %(operator_id)s)
ON CONFLICT (token_hash) DO UPDATE SET seen_at = now(), operator_id = excluded.operator_id

-- name: delete_failures_of
DELETE FROM worker.login_failures WHERE name = lower(%(name)s)
