-- What shows whether work flows. It is asked every few seconds, so each statement is bounded:
-- it reads few rows however many jobs there are. now() is when the look began; an index cannot be
-- asked for clock_timestamp(), which is another time for each row.

-- name: limit_looking
-- Statements that hop through an index look like little to a planner, and like much.
SELECT set_config('statement_timeout', %(look_ms)s::text, true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true)

-- name: read_clock
SELECT clock_timestamp()

-- name: list_crews
SELECT role, count(*)::int AS processes, max(renewed_at) AS renewed_at
FROM worker.processes WHERE expires_at > now() GROUP BY role

-- name: list_queues
-- Hops from lane to lane, whose first job is its oldest: up to lanes_max a queue. Held is what an
-- operator paused, and what a limit holds back; `free_at` is the oldest due time of the rest.
WITH served AS MATERIALIZED (
    SELECT q.key AS queue, sum((q.value ->> 'threads')::int)::int AS threads
    FROM worker.processes AS p CROSS JOIN LATERAL jsonb_each(p.queues) AS q
    WHERE p.role = 'worker' AND p.expires_at > now() GROUP BY q.key
), flying AS MATERIALIZED (
    SELECT queue, lane, count(*) AS jobs FROM worker.jobs
    WHERE state IN ('dispatched', 'running') GROUP BY queue, lane
), held_lanes AS MATERIALIZED (
    SELECT lane FROM worker.lane_holds WHERE until_at IS NULL OR until_at > now()
), full_lanes AS MATERIALIZED (
    SELECT f.lane FROM flying AS f
    JOIN worker.kinds AS k ON k.kind = split_part(f.lane, ':', 1) WHERE f.jobs >= k.cap
), rated AS MATERIALIZED (
    SELECT kind FROM worker.kinds WHERE rate_per_s IS NOT NULL
)
SELECT wanted.queue, coalesce(served.threads, 0) AS threads,
       coalesce((SELECT sum(f.jobs) FROM flying AS f WHERE f.queue = wanted.queue), 0)::int
           AS in_flight,
       (SELECT count(*) FROM (
            SELECT FROM worker.jobs AS j
            WHERE j.state = 'available' AND j.queue = wanted.queue LIMIT %(count_max)s + 1) AS c
       )::int AS waiting,
       heads.oldest_at, heads.free_at, heads.kinds,
       gone.host AS last_host, gone.left_at AS last_left_at
FROM unnest(%(queues)s::text[]) AS wanted (queue)
LEFT JOIN served ON served.queue = wanted.queue
CROSS JOIN LATERAL (
    WITH RECURSIVE hops AS (
        (SELECT j.priority, coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid)
                    AS tenant, j.lane, j.run_at, 1 AS place
         FROM worker.jobs AS j WHERE j.queue = wanted.queue AND j.state = 'available'
         ORDER BY j.priority,
                  coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid), j.lane,
                  j.run_at, j.id
         LIMIT 1)
        UNION ALL
        SELECT following.*, hops.place + 1
        FROM hops CROSS JOIN LATERAL (
            SELECT j.priority, coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid),
                   j.lane, j.run_at
            FROM worker.jobs AS j
            WHERE j.queue = wanted.queue AND j.state = 'available'
              AND (j.priority, coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid),
                   j.lane) > (hops.priority, hops.tenant, hops.lane)
            ORDER BY j.priority,
                     coalesce(j.tenant, '00000000-0000-0000-0000-000000000000'::uuid), j.lane,
                     j.run_at, j.id
            LIMIT 1) AS following
        WHERE hops.place < %(lanes_max)s)
    SELECT min(h.run_at) AS oldest_at,
           min(h.run_at) FILTER (
               WHERE h.lane NOT IN (SELECT lane FROM held_lanes)
                 AND h.lane NOT IN (SELECT lane FROM full_lanes)
                 AND split_part(h.lane, ':', 1) NOT IN (SELECT kind FROM rated)
                 AND NOT EXISTS (
                     SELECT FROM worker.pauses AS p
                     WHERE (p.scope, p.name) IN (('queue', wanted.queue),
                         ('kind', split_part(h.lane, ':', 1)), ('tenant', h.tenant::text)))
           ) AS free_at,
           coalesce(array_agg(DISTINCT split_part(h.lane, ':', 1)), '{}') AS kinds
    FROM hops AS h) AS heads
LEFT JOIN LATERAL (
    SELECT d.host, d.left_at FROM worker.departures AS d
    WHERE d.role = 'worker' AND wanted.queue = ANY(d.queues) ORDER BY d.left_at DESC LIMIT 1
) AS gone ON served.queue IS NULL
ORDER BY wanted.queue

-- name: list_waiting_queues
-- Those of waiting jobs, whether the code knows them or not.
WITH RECURSIVE hops AS (
    (SELECT j.queue, 1 AS place FROM worker.jobs AS j
     WHERE j.state = 'available' ORDER BY j.queue LIMIT 1)
    UNION ALL
    SELECT following.queue, hops.place + 1 FROM hops CROSS JOIN LATERAL (
        SELECT j.queue FROM worker.jobs AS j
        WHERE j.state = 'available' AND j.queue > hops.queue ORDER BY j.queue LIMIT 1) AS following
    WHERE hops.place < %(rows_max)s)
SELECT queue FROM hops

-- name: list_unknown_kinds
-- Workers give such jobs back, put off by a second: they are in flight, or due in a moment.
SELECT left(w.kind, 200) AS kind, count(*)::int AS jobs, min(w.created_at) AS oldest_at
FROM ((SELECT j.kind, j.created_at FROM worker.jobs AS j
       WHERE j.state IN ('scheduled', 'retryable') AND NOT j.blocked
         AND j.run_at < now() + interval '2 seconds' ORDER BY j.run_at LIMIT %(looked_max)s)
      UNION ALL
      (SELECT j.kind, j.created_at FROM worker.jobs AS j
       WHERE j.state IN ('dispatched', 'running') LIMIT %(looked_max)s)) AS w
WHERE w.kind <> ALL (%(kinds)s::text[]) GROUP BY 1 ORDER BY jobs DESC LIMIT %(rows_max)s

-- name: read_promotion
-- The oldest job that is due and that no dispatcher has put among those that wait.
SELECT run_at FROM worker.jobs
WHERE state IN ('scheduled', 'retryable') AND NOT blocked ORDER BY run_at LIMIT 1

-- name: list_late_schedules
-- Not a minute after they came due: jitter and a restart are no lateness.
SELECT name, next_at FROM worker.schedules
WHERE retired_at IS NULL AND paused_at IS NULL
  AND next_at < now() - make_interval(secs => %(late_s)s)
ORDER BY next_at

-- name: list_lost_processes
-- Those that went without a word, and that no later one of their role replaced, on their host or
-- on one that is new, as where each start gets another name; and how many of a host went so
-- lately, replaced or not. One that replaced it and left in order was not missed either.
WITH lost AS (
    SELECT d.role, d.host, d.pid, d.seen_at, d.cause FROM worker.departures AS d
    WHERE d.lost AND d.left_at > now() - make_interval(secs => %(window_s)s)
    UNION ALL
    SELECT p.role, p.host, p.pid, p.renewed_at, p.cause FROM worker.processes AS p
    WHERE p.expires_at < now()
      AND (p.started IS NULL OR coalesce(p.cause, '') NOT IN ('', 'exit code 0'))
), sound AS (
    SELECT p.role, p.host, p.started_at FROM worker.processes AS p WHERE p.expires_at > now()
    UNION ALL
    SELECT d.role, d.host, d.started_at FROM worker.departures AS d
    WHERE NOT d.lost AND d.left_at > now() - make_interval(secs => %(window_s)s)
), known AS (
    SELECT host, min(started_at) AS started_at FROM (
        SELECT host, started_at FROM worker.departures
        UNION ALL SELECT host, started_at FROM worker.processes) AS b GROUP BY host
)
SELECT l.role, l.host,
       count(*) FILTER (WHERE NOT EXISTS (
           SELECT FROM sound AS s
           WHERE s.role = l.role AND s.started_at > l.seen_at
             AND (s.host = l.host OR NOT EXISTS (
                 SELECT FROM known AS k WHERE k.host = s.host AND k.started_at <= l.seen_at))
       ))::int AS missing,
       count(*) FILTER (
           WHERE l.seen_at > now() - make_interval(secs => %(crash_s)s))::int AS lately,
       max(l.seen_at) AS seen_at,
       (array_agg(l.pid ORDER BY l.seen_at DESC))[1] AS pid,
       (array_agg(l.cause ORDER BY l.seen_at DESC))[1] AS cause
FROM lost AS l
GROUP BY l.role, l.host ORDER BY max(l.seen_at) DESC LIMIT %(rows_max)s

-- name: list_discards
-- Of the last minutes, by kind, where they are number_min at least; and how many are usual: of the
-- same minutes of the hours before a quarter had more, or the middle one of the same time of each
-- day, whichever is more. So what comes each night is usual, and an outage is not, be it of
-- yesterday or as long as this one. A week is looked at, or a young database's age. Of each hour
-- the newest hour_max are read, and stand for its rate.
WITH lately AS MATERIALIZED (
    SELECT n.kind, count(*)::int AS number
    FROM (SELECT j.kind FROM worker.jobs AS j
          WHERE j.state = 'discarded'
            AND j.finished_at > now() - make_interval(secs => %(window_s)s::float8)
          ORDER BY j.finished_at DESC LIMIT %(rows_max)s) AS n
    GROUP BY n.kind HAVING count(*) >= %(number_min)s
), hours AS MATERIALIZED (
    SELECT h.ago, now() - make_interval(hours => h.ago) AS until_at
    FROM generate_series(1, least(168, greatest(24, coalesce((
        SELECT ceil(extract(epoch FROM now() - min(s.begins_at)) / 3600)
        FROM worker.schedules AS s), 0)))::int) AS h (ago)
    WHERE EXISTS (SELECT FROM lately)
), before AS MATERIALIZED (
    SELECT h.ago, n.kind, count(*) * n.share AS number
    FROM hours AS h CROSS JOIN LATERAL (
        SELECT j.kind, CASE WHEN count(*) OVER () < %(hour_max)s THEN 1
                            ELSE %(window_s)s::float8 / greatest(1, extract(
                                epoch FROM h.until_at - min(j.finished_at) OVER ())) END AS share
        FROM (SELECT d.kind, d.finished_at FROM worker.jobs AS d
              WHERE d.state = 'discarded' AND d.finished_at <= h.until_at
                AND d.finished_at > h.until_at - make_interval(secs => %(window_s)s::float8)
              ORDER BY d.finished_at DESC LIMIT %(hour_max)s) AS j) AS n
    GROUP BY h.ago, n.kind, n.share
)
SELECT l.kind, l.number AS lately, greatest(
           percentile_disc(0.75) WITHIN GROUP (ORDER BY coalesce(b.number, 0)),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY coalesce(b.number, 0))
               FILTER (WHERE mod(h.ago, 24) = 0))::float8 AS usual
FROM lately AS l CROSS JOIN hours AS h
LEFT JOIN before AS b ON b.ago = h.ago AND b.kind = l.kind
GROUP BY l.kind, l.number ORDER BY l.number DESC, l.kind

-- name: list_provider_calls
-- Since the sample that is window_s old; without one, nothing is known of the last minutes.
WITH before AS (
    SELECT s.at, s.provider_calls FROM worker.health_samples AS s
    WHERE s.at BETWEEN now() - make_interval(secs => %(window_s)s::float8 * 2)
                   AND now() - make_interval(secs => %(window_s)s::float8 / 2)
    ORDER BY abs(extract(epoch FROM now() - s.at) - %(window_s)s::float8) LIMIT 1
), now_at AS (
    SELECT m.labels ->> 'provider' AS provider,
           coalesce(sum(m.value) FILTER (
               WHERE m.labels ->> 'result' = ANY(%(fine)s::text[])), 0) AS ok,
           coalesce(sum(m.value) FILTER (
               WHERE m.labels ->> 'result' <> ALL(%(fine)s::text[])), 0) AS failed,
           coalesce(sum(m.value) FILTER (WHERE m.labels ->> 'result' = 'ratelimited'), 0) AS limited
    FROM worker.metrics AS m WHERE m.name = %(counter)s GROUP BY 1
)
SELECT n.provider, b.at AS since,
       greatest(0, n.ok - coalesce((b.provider_calls #>> ARRAY[n.provider, 'ok'])::float8, 0))::int
           AS ok,
       greatest(0, n.failed
           - coalesce((b.provider_calls #>> ARRAY[n.provider, 'failed'])::float8, 0))::int
           AS failed,
       greatest(0, n.limited
           - coalesce((b.provider_calls #>> ARRAY[n.provider, 'limited'])::float8, 0))::int
           AS limited
FROM now_at AS n CROSS JOIN before AS b ORDER BY n.provider

-- name: sample_provider_calls
-- About one row a minute, whoever asks how often.
INSERT INTO worker.health_samples (at, provider_calls)
SELECT now(), coalesce(jsonb_object_agg(c.provider, c.calls), '{}')
FROM (SELECT m.labels ->> 'provider' AS provider, jsonb_build_object(
          'ok', coalesce(sum(m.value) FILTER (
              WHERE m.labels ->> 'result' = ANY(%(fine)s::text[])), 0),
          'failed', coalesce(sum(m.value) FILTER (
              WHERE m.labels ->> 'result' <> ALL(%(fine)s::text[])), 0),
          'limited', coalesce(sum(m.value) FILTER (
              WHERE m.labels ->> 'result' = 'ratelimited'), 0)) AS calls
      FROM worker.metrics AS m WHERE m.name = %(counter)s AND m.labels ? 'provider' GROUP BY 1) AS c
HAVING NOT EXISTS (SELECT FROM worker.health_samples AS s
                   WHERE s.at > now() - make_interval(secs => %(every_s)s))
ON CONFLICT DO NOTHING

-- name: read_uncertain_mails
SELECT count(*)::int AS mails, min(created_at) AS since FROM (
    SELECT created_at FROM public.email_logs
    WHERE status IN ('queued', 'sending', 'uncertain') AND status = 'uncertain'
    ORDER BY created_at LIMIT %(count_max)s + 1) AS u

-- name: read_stopped_webhooks
-- Cut off by us lately, not by their owners. A test that fails touches the row as well, and the
-- first comes an hour later.
SELECT count(*)::int AS webhooks, min(e.updated_at) AS since FROM (
    SELECT updated_at FROM worker.endpoints
    WHERE disabled_reason IS NOT NULL
      AND updated_at > now() - make_interval(secs => %(window_s)s)
      AND NOT EXISTS (SELECT FROM worker.endpoint_probes AS p
                      WHERE p.webhook_id = endpoints.webhook_id AND p.probes > 0)
    LIMIT %(count_max)s + 1) AS e

-- name: read_lasting_differences
SELECT count(*)::int AS days, min(found_at) AS since FROM (
    SELECT found_at FROM worker.stats_differences
    WHERE repaired_at IS NULL AND found_at > now() - interval '30 days'
      AND found_at < now() - make_interval(secs => %(age_s)s)
    LIMIT %(count_max)s + 1) AS d

-- name: read_server
-- Connections, of how many that are for everybody, and the oldest transaction: it keeps dead rows
-- alive, and the queue slows down with every minute of it.
SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity AS a
        WHERE a.backend_type = 'client backend')::int AS connections,
       current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int AS connections_max,
       oldest.application_name AS oldest_name, oldest.pid AS oldest_pid,
       oldest.xact_start AS oldest_at
FROM (SELECT) AS one LEFT JOIN LATERAL (
    SELECT a.application_name, a.pid, a.xact_start FROM pg_catalog.pg_stat_activity AS a
    WHERE a.datname = current_database() AND a.backend_type = 'client backend'
      AND a.xact_start < now() - make_interval(secs => %(age_s)s)
      AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
    ORDER BY a.xact_start LIMIT 1) AS oldest ON true

-- name: read_canary
-- Null where the timetable does not have it, or somebody stopped it on purpose.
SELECT c.landed_at, c.due_at, s.begins_at
FROM worker.canary AS c JOIN worker.schedules AS s ON s.name = %(kind)s
WHERE s.paused_at IS NULL AND s.retired_at IS NULL
  AND NOT EXISTS (
      SELECT FROM worker.pauses AS p JOIN worker.kinds AS k ON k.kind = %(kind)s
      WHERE (p.scope, p.name) IN (('kind', k.kind), ('queue', k.queue)))

-- name: land_canary
UPDATE worker.canary SET due_at = j.run_at, landed_at = clock_timestamp()
FROM worker.jobs AS j WHERE j.id = %(job_id)s
RETURNING extract(epoch FROM canary.landed_at - canary.due_at)::float8

-- name: forget_old
WITH samples AS (
    DELETE FROM worker.health_samples
    WHERE at < now() - make_interval(secs => %(samples_s)s)
)
DELETE FROM worker.departures
WHERE left_at < now() - make_interval(secs => %(departures_s)s)
