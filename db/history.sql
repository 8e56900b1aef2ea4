-- What was counted in each of the last minutes, by all processes.

-- name: add_deltas
-- Beside worker.metrics, in its transaction and order: two processes never wait crosswise. A minute
-- that is over changes no more, but for transactions under way.
INSERT INTO worker.minutes AS m (minute, name, labels, value)
SELECT date_trunc('minute', statement_timestamp()), u.name, u.labels, u.value
FROM unnest(%(names)s::text[], %(labels)s::jsonb[], %(values)s::float8[]) AS u (name, labels, value)
ORDER BY u.name, u.labels
ON CONFLICT (minute, name, labels) DO UPDATE SET value = m.value + excluded.value

-- name: is_sampled
SELECT EXISTS (
    SELECT FROM worker.minutes
    WHERE minute = date_trunc('minute', clock_timestamp()) AND name = %(name)s)

-- name: add_samples
-- Who comes second in a minute saw much the same.
INSERT INTO worker.minutes (minute, name, labels, value)
SELECT date_trunc('minute', clock_timestamp()), u.name, u.labels, u.value
FROM unnest(%(names)s::text[], %(labels)s::jsonb[], %(values)s::float8[]) AS u (name, labels, value)
ORDER BY u.name, u.labels
ON CONFLICT (minute, name, labels) DO NOTHING

-- name: read_window
-- Full minutes only. Slots stay where they are as time goes on: the last one fills up to its end.
SELECT date_bin(make_interval(mins => %(step_min)s), edge.at - interval '1 minute', 'epoch')
           - make_interval(mins => %(span_min)s - %(step_min)s) AS begins_at,
       edge.at AS ends_at
FROM (SELECT date_trunc('minute', clock_timestamp()) AS at) AS edge

-- name: read_finished
SELECT date_bin(make_interval(mins => %(step_min)s), minute, 'epoch') AS at,
       labels ->> 'kind' AS kind, labels ->> 'outcome' AS outcome, sum(value) AS jobs
FROM worker.minutes
WHERE minute >= %(begins_at)s AND minute < %(ends_at)s AND name = 'avivro_attempts_total'
GROUP BY 1, 2, 3

-- name: read_times
-- Each bucket by itself: how many took at most its bound, and longer than the bound before it.
-- The minute under way counts too.
SELECT name, labels ->> 'kind' AS kind, labels ->> 'le' AS bound, sum(value) AS jobs
FROM worker.minutes
WHERE minute >= %(begins_at)s
  AND name IN ('avivro_dispatch_lag_seconds_bucket', 'avivro_job_duration_seconds_bucket')
GROUP BY 1, 2, 3

-- name: read_calls
SELECT labels ->> 'provider' AS provider, labels ->> 'result' AS result, sum(value) AS calls
FROM worker.minutes
WHERE minute >= %(begins_at)s AND name = 'avivro_provider_calls_total'
GROUP BY 1, 2

-- name: read_call_times
-- Each bucket by itself, as read_times.
SELECT labels ->> 'provider' AS provider, labels ->> 'le' AS bound, sum(value) AS calls
FROM worker.minutes
WHERE minute >= %(begins_at)s AND name = 'avivro_provider_call_seconds_bucket'
GROUP BY 1, 2

-- name: read_oldest
SELECT minute AS at, labels ->> 'queue' AS queue, value AS waited_s
FROM worker.minutes
WHERE minute >= %(begins_at)s AND minute < %(ends_at)s
  AND name = 'avivro_sampled_oldest_wait_seconds'
