-- Credentials of sources: in the clear from the web tier, sealed from a worker's first use on.

-- name: load_credentials
SELECT credentials, sealed, updated_at FROM worker.source_credentials
WHERE source_id = %(source_id)s

-- name: seal_credentials
-- Only what was read: a value that was set meanwhile is not overwritten with the older one. Whoever
-- sets one just now goes on to our job's row, which we hold: waiting for them would be a deadlock.
UPDATE worker.source_credentials AS c SET credentials = NULL, sealed = %(sealed)s
FROM (SELECT source_id FROM worker.source_credentials
      WHERE source_id = %(source_id)s AND updated_at = %(updated_at)s AND credentials IS NOT NULL
      FOR UPDATE SKIP LOCKED) AS free
WHERE c.source_id = free.source_id

-- name: list_credentials
SELECT source_id, credentials, sealed, updated_at FROM worker.source_credentials
WHERE %(after)s::uuid IS NULL OR source_id > %(after)s
ORDER BY source_id LIMIT %(rows_max)s

-- name: reseal_credentials
UPDATE worker.source_credentials SET credentials = NULL, sealed = %(sealed)s
WHERE source_id = %(source_id)s AND updated_at = %(updated_at)s
  AND sealed IS NOT DISTINCT FROM %(was)s

-- name: count_credentials
SELECT count(*), count(credentials) FROM worker.source_credentials
