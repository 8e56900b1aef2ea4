-- What operators are told. `at` is the database's clock, read once a round.

-- name: take_turn
-- One watchdog at a time, and not again before every_s: the others look after it when it is gone.
UPDATE worker.watch SET looked_at = %(at)s::timestamptz, looked_by = %(by)s
WHERE pg_try_advisory_xact_lock(hashtext('worker.watchdog'))
  AND (looked_at IS NULL OR looked_at <= %(at)s::timestamptz - make_interval(secs => %(every_s)s)
       OR looked_at > %(at)s::timestamptz)
RETURNING one

-- name: read_watch
SELECT looked_at, looked_by FROM worker.watch

-- name: read_clock
SELECT clock_timestamp()

-- name: note_signs
-- A sign that nobody looked at for gap_s begins anew: it did not stand all the time.
INSERT INTO worker.alert_signs AS s (key, began_at, seen_at)
SELECT key, %(at)s::timestamptz, %(at)s::timestamptz FROM unnest(%(keys)s::text[]) AS u (key)
ON CONFLICT (key) DO UPDATE
SET began_at = CASE WHEN s.seen_at BETWEEN %(at)s::timestamptz - make_interval(secs => %(gap_s)s)
                                           AND %(at)s::timestamptz
                    THEN s.began_at ELSE %(at)s::timestamptz END,
    seen_at = %(at)s::timestamptz

-- name: forget_signs
DELETE FROM worker.alert_signs WHERE seen_at <> %(at)s::timestamptz

-- name: open_alerts
-- Those whose sign stood for its time of grace and that are not open yet.
INSERT INTO worker.alerts
    (key, level, title, evidence, advice, runbook, began_at, opened_at, seen_at)
SELECT u.key, u.level, u.title, u.evidence, u.advice, u.runbook, s.began_at,
       %(at)s::timestamptz, %(at)s::timestamptz
FROM unnest(%(keys)s::text[], %(levels)s::text[], %(titles)s::text[], %(evidences)s::text[],
            %(advices)s::text[], %(runbooks)s::text[], %(graces_s)s::float8[])
    AS u (key, level, title, evidence, advice, runbook, grace_s)
JOIN worker.alert_signs AS s ON s.key = u.key
WHERE s.began_at <= %(at)s::timestamptz - make_interval(secs => u.grace_s)
ON CONFLICT (key) WHERE recovered_at IS NULL DO NOTHING
RETURNING id

-- name: renew_alerts
-- Open ones that are still found. Their words stay as they were told.
UPDATE worker.alerts SET seen_at = %(at)s::timestamptz, calm_since = NULL
WHERE key = ANY(%(keys)s::text[]) AND recovered_at IS NULL

-- name: calm_alerts
UPDATE worker.alerts SET calm_since = %(at)s::timestamptz
WHERE recovered_at IS NULL AND calm_since IS NULL AND seen_at <> %(at)s::timestamptz

-- name: recover_alerts
-- What came back again and again must stay away for longer: each time within flap_s doubles it.
UPDATE worker.alerts AS a SET recovered_at = %(at)s::timestamptz
WHERE a.recovered_at IS NULL
  AND a.calm_since <= %(at)s::timestamptz - make_interval(secs => least(%(calm_s_max)s::float8,
      %(calm_s)s::float8 * 2 ^ (
          SELECT least(count(*), 10) FROM worker.alerts AS b
          WHERE b.key = a.key
            AND b.recovered_at > %(at)s::timestamptz - make_interval(secs => %(flap_s)s))))
RETURNING a.id

-- name: add_notices
INSERT INTO worker.alert_notices (alert_id, event, way, due_at)
SELECT a.id, %(event)s, w.way, %(at)s::timestamptz
FROM unnest(%(ids)s::bigint[]) AS a (id) CROSS JOIN unnest(%(ways)s::text[]) AS w (way)
ON CONFLICT DO NOTHING

-- name: claim_notice
-- The oldest that is due and that nobody else is sending. A recovery is told to who was told of
-- the alert, and after it.
UPDATE worker.alert_notices AS n
SET attempts = n.attempts + 1,
    claimed_until = %(at)s::timestamptz + make_interval(secs => %(claim_s)s)
FROM (SELECT m.alert_id, m.event, m.way FROM worker.alert_notices AS m
      WHERE m.sent_at IS NULL AND m.given_up_at IS NULL AND m.due_at <= %(at)s::timestamptz
        AND m.way = %(way)s AND (m.claimed_until IS NULL OR m.claimed_until <= %(at)s::timestamptz)
        AND (m.event = 'opened' OR EXISTS (
            SELECT FROM worker.alert_notices AS told
            WHERE told.alert_id = m.alert_id AND told.way = m.way AND told.event = 'opened'
              AND told.sent_at IS NOT NULL))
      ORDER BY m.due_at, m.alert_id, m.event LIMIT 1 FOR UPDATE SKIP LOCKED) AS due
JOIN worker.alerts AS a ON a.id = due.alert_id
WHERE n.alert_id = due.alert_id AND n.event = due.event AND n.way = due.way
RETURNING n.alert_id, n.event, n.way, n.attempts, a.key, a.level, a.title, a.evidence, a.advice,
          a.runbook, a.began_at, a.opened_at, a.recovered_at

-- name: note_sent
WITH told AS (
    UPDATE worker.alert_notices
    SET sent_at = %(at)s::timestamptz, claimed_until = NULL, error_message = NULL
    WHERE alert_id = %(alert_id)s AND event = %(event)s AND way = %(way)s
    RETURNING alert_id
)
UPDATE worker.alerts AS a SET notified_at = coalesce(a.notified_at, %(at)s::timestamptz)
FROM told WHERE a.id = told.alert_id

-- name: note_failed
-- Given up is what is older than any use of it.
UPDATE worker.alert_notices AS n
SET claimed_until = NULL, error_message = %(error)s,
    due_at = %(at)s::timestamptz + make_interval(secs => %(wait_s)s),
    given_up_at = CASE WHEN a.opened_at < %(at)s::timestamptz - make_interval(secs => %(age_s_max)s)
                       THEN %(at)s::timestamptz END
FROM worker.alerts AS a
WHERE a.id = n.alert_id
  AND n.alert_id = %(alert_id)s AND n.event = %(event)s AND n.way = %(way)s

-- name: list_alerts
-- The open ones first, the worst before others, then those that are over, newest first; with what
-- could not be told.
SELECT a.id, a.key, a.level, a.title, a.evidence, a.advice, a.runbook, a.began_at, a.opened_at,
       a.notified_at, a.recovered_at,
       (SELECT string_agg(format('%%s: %%s', n.way, n.error_message), '; ' ORDER BY n.way)
        FROM worker.alert_notices AS n
        WHERE n.alert_id = a.id AND n.sent_at IS NULL AND n.error_message IS NOT NULL) AS untold
FROM worker.alerts AS a
WHERE NOT %(open_only)s OR a.recovered_at IS NULL
ORDER BY (a.recovered_at IS NULL) DESC, (a.recovered_at IS NULL AND a.level = 'stop') DESC,
         coalesce(a.recovered_at, a.opened_at) DESC, a.id DESC
LIMIT %(rows_max)s

-- name: count_open
SELECT level, count(*)::int FROM worker.alerts WHERE recovered_at IS NULL GROUP BY level

-- name: delete_old
DELETE FROM worker.alerts WHERE recovered_at < %(at)s::timestamptz - make_interval(days => %(days)s)
