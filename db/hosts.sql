-- Whose turn it is at a host, and what its robots.txt says.

-- name: take_turn
SELECT granted, wait_s, held_until
FROM worker.take_turn(%(host)s, %(tenant)s, %(gap_s)s, %(patience_s)s, %(hold_s)s,
                      %(holders_max)s)

-- name: end_turn
-- With `closed_s` nobody asks the host for so long; a turn that others were given stays theirs.
UPDATE worker.hosts
SET busy_until = array_remove(busy_until, %(held_until)s),
    free_at = CASE WHEN %(closed_s)s::float8 > 0
                   THEN greatest(free_at, clock_timestamp()
                                          + make_interval(secs => %(closed_s)s::float8))
                   ELSE free_at END
WHERE host = %(host)s

-- name: put_off
-- For a request that a redirect led to the host: it asked without a turn.
INSERT INTO worker.hosts AS h (host, free_at)
VALUES (%(host)s, clock_timestamp() + make_interval(secs => %(gap_s)s))
ON CONFLICT (host) DO UPDATE SET free_at = greatest(
    h.free_at + make_interval(secs => %(gap_s)s), excluded.free_at)

-- name: load_robots
SELECT answer, body FROM worker.robots WHERE origin = %(origin)s AND expires_at > now()

-- name: save_robots
INSERT INTO worker.robots AS r (origin, answer, body, expires_at)
VALUES (%(origin)s, %(answer)s, %(body)s, now() + make_interval(secs => %(kept_s)s))
ON CONFLICT (origin) DO UPDATE
SET answer = excluded.answer, body = excluded.body, expires_at = excluded.expires_at
