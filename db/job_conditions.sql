-- What a filter may ask of a job `j`: conditions of which db/job_list.py puts together those that
-- are asked, each with its own values. Spans and moments are compared in microseconds, closed on
-- both sides, so that each needs two conditions and not four.

-- name: kind
j.kind = ANY(%(values)s::text[])

-- name: queue
j.queue = ANY(%(values)s::text[])

-- name: state
j.state = ANY(%(values)s::text[])

-- name: tenant
j.tenant = ANY(%(values)s::text[]::uuid[])

-- name: has_tenant
j.tenant IS NOT NULL

-- name: worker
j.worker_id = ANY(%(values)s::text[]::uuid[])

-- name: has_worker
j.worker_id IS NOT NULL

-- name: unique
j.unique_key = ANY(%(values)s::text[])

-- name: has_unique
j.unique_key IS NOT NULL

-- name: group
j.error_group = ANY(%(values)s::text[])

-- name: has_group
j.error_group IS NOT NULL

-- name: error
j.errors -> -1 ->> 'error' ILIKE ANY(%(patterns)s::text[])

-- name: has_error
j.errors NOT IN ('[]', 'null')

-- name: about
j.tenant::text = ANY(%(values)s::text[])
OR EXISTS (SELECT FROM jsonb_each_text(
               CASE WHEN jsonb_typeof(j.args) = 'object' THEN j.args ELSE '{}' END) AS a
           WHERE a.value = ANY(%(values)s::text[]))

-- name: args
j.args #> %(path)s::text[] = ANY(%(values)s::text[]::jsonb[])

-- name: has_args
j.args #> %(path)s::text[] IS NOT NULL

-- name: id
j.id = ANY(%(values)s::bigint[])

-- name: id_from
j.id >= %(value)s::bigint

-- name: id_to
j.id <= %(value)s::bigint

-- name: attempt
j.attempt = ANY(%(values)s::int[])

-- name: attempt_from
j.attempt >= %(value)s::bigint

-- name: attempt_to
j.attempt <= %(value)s::bigint

-- name: priority
j.priority = ANY(%(values)s::int[])

-- name: priority_from
j.priority >= %(value)s::bigint

-- name: priority_to
j.priority <= %(value)s::bigint

-- name: created_on
EXISTS (SELECT FROM unnest(%(days)s::timestamptz[]) AS d (day)
        WHERE j.created_at >= d.day AND j.created_at < d.day + interval '24 hours')

-- name: created_from
j.created_at >= %(at)s::timestamptz

-- name: created_to
j.created_at <= %(at)s::timestamptz

-- name: run_at_on
EXISTS (SELECT FROM unnest(%(days)s::timestamptz[]) AS d (day)
        WHERE j.run_at >= d.day AND j.run_at < d.day + interval '24 hours')

-- name: run_at_from
j.run_at >= %(at)s::timestamptz

-- name: run_at_to
j.run_at <= %(at)s::timestamptz

-- name: finished_on
EXISTS (SELECT FROM unnest(%(days)s::timestamptz[]) AS d (day)
        WHERE j.finished_at >= d.day AND j.finished_at < d.day + interval '24 hours')

-- name: finished_from
j.finished_at >= %(at)s::timestamptz

-- name: finished_to
j.finished_at <= %(at)s::timestamptz

-- name: discarded_on
j.state = 'discarded' AND EXISTS (SELECT FROM unnest(%(days)s::timestamptz[]) AS d (day)
        WHERE j.finished_at >= d.day AND j.finished_at < d.day + interval '24 hours')

-- name: discarded_from
j.state = 'discarded' AND j.finished_at >= %(at)s::timestamptz

-- name: discarded_to
j.state = 'discarded' AND j.finished_at <= %(at)s::timestamptz

-- name: waited_from
-- How long it has been due, or was when it last began. Sums, for differences of times that nobody
-- can reach are errors.
CASE WHEN j.state IN ('available', 'dispatched') THEN %(now)s::timestamptz
     WHEN j.state IN ('running', 'completed', 'discarded') THEN j.started_at
END >= j.run_at + %(span)s::interval

-- name: waited_to
CASE WHEN j.state IN ('available', 'dispatched') THEN %(now)s::timestamptz
     WHEN j.state IN ('running', 'completed', 'discarded') THEN j.started_at
END <= j.run_at + %(span)s::interval

-- name: ran_from
-- The last attempt alone.
CASE WHEN j.state = 'running' THEN %(now)s::timestamptz
     WHEN j.state IN ('completed', 'discarded') THEN j.finished_at
END >= CASE WHEN j.started_at < '9000-01-01' THEN j.started_at + %(span)s::interval END

-- name: ran_to
CASE WHEN j.state = 'running' THEN %(now)s::timestamptz
     WHEN j.state IN ('completed', 'discarded') THEN j.finished_at
END <= CASE WHEN j.started_at < '9000-01-01' THEN j.started_at + %(span)s::interval END
