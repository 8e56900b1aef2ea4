-- What other tables tell of a visitor who is forgotten, some pages of a table at a time: rows are
-- found by worker.find_traces, whatever column it is in.

-- name: list_places
SELECT place, pages FROM worker.list_trace_places()

-- name: count_traces
SELECT count(*) FROM worker.find_traces(
    %(request_id)s, %(place)s::text::regclass, %(page)s, %(pages)s)

-- name: delete_notifications
WITH gone AS (
    DELETE FROM public.notifications AS n WHERE n.ctid = ANY(ARRAY(
        SELECT worker.find_traces(%(request_id)s, 'public.notifications', %(page)s, %(pages)s)))
    RETURNING n.id
)
SELECT count(*) FROM gone

-- name: delete_activity
WITH gone AS (
    DELETE FROM public.activity_logs AS a WHERE a.ctid = ANY(ARRAY(
        SELECT worker.find_traces(%(request_id)s, 'public.activity_logs', %(page)s, %(pages)s)))
    RETURNING a.id
)
SELECT count(*) FROM gone

-- name: empty_deliveries
-- That there was an event stays, and when it arrived; not what it told. Jobs are ended after the
-- rows: their workers hold the jobs, and are passed over.
WITH found AS MATERIALIZED (
    SELECT d.id, d.status IN ('pending', 'retrying') AS waits FROM public.webhook_deliveries AS d
    WHERE d.ctid = ANY(ARRAY(SELECT worker.find_traces(
        %(request_id)s, 'public.webhook_deliveries', %(page)s, %(pages)s)))
    ORDER BY d.id FOR NO KEY UPDATE
), emptied AS (
    UPDATE public.webhook_deliveries AS d
    SET event_data = '{"erased": true}', response_body = NULL,
        status = CASE WHEN f.waits THEN 'cancelled' ELSE d.status END,
        next_retry_at = CASE WHEN NOT f.waits THEN d.next_retry_at END,
        error_message = CASE WHEN f.waits
            THEN 'cancelled: this event told of a visitor who was erased' END
    FROM found AS f WHERE d.id = f.id
    RETURNING d.id
), bodies AS (
    DELETE FROM worker.delivery_bodies AS b WHERE b.delivery_id IN (SELECT id FROM found)
), attempts AS (
    DELETE FROM worker.delivery_attempts AS a WHERE a.delivery_id IN (SELECT id FROM found)
)
SELECT count(*), array_agg(id) FROM emptied

-- name: end_delivery_jobs
SELECT worker.end_delivery_jobs(%(delivery_ids)s, 'The visitor it tells of was erased.')

-- name: delete_bodies
WITH gone AS (
    DELETE FROM worker.delivery_bodies AS b WHERE b.ctid = ANY(ARRAY(
        SELECT worker.find_traces(%(request_id)s, 'worker.delivery_bodies', %(page)s, %(pages)s)))
    RETURNING b.delivery_id
)
SELECT count(*) FROM gone

-- name: delete_attempts
WITH gone AS (
    DELETE FROM worker.delivery_attempts AS a WHERE a.ctid = ANY(ARRAY(
        SELECT worker.find_traces(
            %(request_id)s, 'worker.delivery_attempts', %(page)s, %(pages)s)))
    RETURNING a.id
)
SELECT count(*) FROM gone

-- name: delete_emails
-- With how they were sent, and what became of them.
WITH gone AS (
    DELETE FROM public.email_logs AS m WHERE m.ctid = ANY(ARRAY(
        SELECT worker.find_traces(%(request_id)s, 'public.email_logs', %(page)s, %(pages)s)))
    RETURNING m.id
)
SELECT count(*) FROM gone

-- name: delete_email_events
-- Those of the visitor's address that belong to no mail of anybody's, too.
WITH gone AS (
    DELETE FROM worker.email_events AS v
    WHERE v.ctid >= format('(%%s,0)', %(page)s::bigint)::tid
      AND v.ctid < format('(%%s,0)', %(page)s::bigint + %(pages)s::int)::tid
      AND (v.ctid = ANY(ARRAY(SELECT worker.find_traces(
               %(request_id)s, 'worker.email_events', %(page)s, %(pages)s)))
           OR (v.email_id IS NULL AND EXISTS (
               SELECT FROM worker.erasure_requests AS r, unnest(r.emails) AS e (email)
               WHERE r.id = %(request_id)s
                 AND (v.address_hash = sha256(convert_to(e.email, 'UTF8'))
                      OR v.details::text ~* private.contact_pattern(ARRAY[e.email], '{}'))
                 AND NOT EXISTS (SELECT FROM public.user_profiles AS p
                                 WHERE lower(p.email) = e.email))))
    RETURNING v.id
)
SELECT count(*) FROM gone

-- name: delete_told_events
-- Another visitor's event that mentions this one is another visitor's: it is reported.
WITH gone AS (
    DELETE FROM public.analytics_events AS v
    WHERE v.ctid = ANY(ARRAY(SELECT worker.find_traces(
              %(request_id)s, 'public.analytics_events', %(page)s, %(pages)s)))
      AND v.visitor_id IS NULL AND v.conversation_id IS NULL
    RETURNING v.id
)
SELECT count(*) FROM gone

-- name: delete_told_corrections
WITH gone AS (
    DELETE FROM public.corrections AS c
    WHERE c.ctid = ANY(ARRAY(SELECT worker.find_traces(
              %(request_id)s, 'public.corrections', %(page)s, %(pages)s)))
      AND c.message_id IS NULL AND c.conversation_id IS NULL
    RETURNING c.id
)
SELECT count(*) FROM gone

-- name: delete_told_examples
WITH gone AS (
    DELETE FROM public.training_examples AS x WHERE x.ctid = ANY(ARRAY(
        SELECT worker.find_traces(
            %(request_id)s, 'public.training_examples', %(page)s, %(pages)s)))
    RETURNING x.id
)
SELECT count(*) FROM gone

-- name: blank_usage
-- What was used was used; only what for is forgotten.
WITH blanked AS (
    UPDATE public.usage_logs AS u SET metadata = '{}' WHERE u.ctid = ANY(ARRAY(
        SELECT worker.find_traces(%(request_id)s, 'public.usage_logs', %(page)s, %(pages)s)))
    RETURNING u.id
)
SELECT count(*) FROM blanked

-- name: blank_jobs
-- What runs is left to itself: the next pass finds it.
WITH found AS MATERIALIZED (
    SELECT j.id FROM worker.jobs AS j WHERE j.ctid = ANY(ARRAY(
        SELECT worker.find_traces(%(request_id)s, 'worker.jobs', %(page)s, %(pages)s)))
    ORDER BY j.id FOR UPDATE SKIP LOCKED
), blanked AS (
    UPDATE worker.jobs AS j
    SET errors = '[]', progress = NULL, result = NULL, waited = NULL,
        args = CASE WHEN j.finished_at IS NULL THEN j.args ELSE '{}' END,
        unique_key = CASE WHEN j.finished_at IS NULL THEN j.unique_key END
    FROM found AS f WHERE j.id = f.id
    RETURNING j.id
)
SELECT count(*) FROM blanked

-- name: delete_job_logs
WITH gone AS (
    DELETE FROM worker.job_logs AS l WHERE l.ctid = ANY(ARRAY(
        SELECT worker.find_traces(%(request_id)s, 'worker.job_logs', %(page)s, %(pages)s)))
    RETURNING l.id
)
SELECT count(*) FROM gone

-- name: delete_lead_marks
WITH gone AS (
    DELETE FROM worker.lead_marks AS m WHERE m.ctid = ANY(ARRAY(
        SELECT worker.find_traces(%(request_id)s, 'worker.lead_marks', %(page)s, %(pages)s)))
    RETURNING m.id
)
SELECT count(*) FROM gone

-- name: delete_sentiment_marks
WITH gone AS (
    DELETE FROM worker.sentiment_marks AS m WHERE m.ctid = ANY(ARRAY(
        SELECT worker.find_traces(%(request_id)s, 'worker.sentiment_marks', %(page)s, %(pages)s)))
    RETURNING m.id
)
SELECT count(*) FROM gone
