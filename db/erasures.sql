-- Visitors who are forgotten: requests, and their own rows by key. Each statement touches a bounded
-- number of rows; what a run that was killed deleted is in worker.erased_rows. What other tables
-- tell of them is in erased_traces.sql.

-- name: request
SELECT public.request_visitor_erasure(%(agent_id)s, %(visitor_id)s, %(email)s)

-- name: find_owner
SELECT a.user_id FROM public.agents AS a WHERE a.id = %(agent_id)s

-- name: get
SELECT id, agent_id, user_id, visitor_id, email, state, requested_at, finished_at, counts, remains
FROM worker.erasure_requests WHERE id = %(request_id)s

-- name: list_requests
SELECT id, agent_id, user_id, visitor_id, email, state, requested_at, finished_at, counts, remains
FROM worker.erasure_requests
WHERE %(agent_id)s::uuid IS NULL OR agent_id = %(agent_id)s::uuid
ORDER BY requested_at DESC, id LIMIT %(rows_max)s

-- name: begin
UPDATE worker.erasure_requests SET state = 'running', remains = '{}'
WHERE id = %(request_id)s AND state <> 'done'

-- name: hold_agent
-- One erasure of an agent writes at a time: two of one visitor would wait for each other's rows.
SELECT pg_advisory_xact_lock(hashtextextended('erase:' || r.agent_id, 0))
FROM worker.erasure_requests AS r WHERE r.id = %(request_id)s

-- name: gather
-- One step from what is known of the visitor to their conversations and leads, and from these to
-- more of what they are called. Whose browser it is says nothing of a conversation that names
-- another person. How many rows are new.
WITH asked AS MATERIALIZED (
    SELECT r.*, private.contact_pattern(r.emails, '{}') AS pattern
    FROM worker.erasure_requests AS r WHERE r.id = %(request_id)s
), left_addresses AS MATERIALIZED (
    SELECT l.id, l.conversation_id, lower(btrim(l.email)) AS email,
           regexp_replace(l.phone, '\D', '', 'g') AS phone, btrim(l.name) AS name
    FROM asked AS r JOIN public.leads AS l ON l.agent_id = r.agent_id
    WHERE lower(btrim(l.email)) = ANY(r.emails)
       OR (l.custom_fields <> '{}' AND l.custom_fields::text ~* r.pattern)
       OR (coalesce(btrim(l.email), '') = ''
           AND regexp_replace(l.phone, '\D', '', 'g') = ANY(r.phones))
       OR EXISTS (SELECT FROM worker.erased_rows AS e
                  WHERE e.request_id = r.id AND e.id = l.conversation_id)
), talks AS MATERIALIZED (
    SELECT c.id, c.visitor_id, lower(btrim(c.visitor_email)) AS email,
           regexp_replace(c.visitor_phone, '\D', '', 'g') AS phone, btrim(c.visitor_name) AS name
    FROM asked AS r JOIN public.conversations AS c ON c.agent_id = r.agent_id
    WHERE c.visitor_id = r.visitor_id
       OR lower(btrim(c.visitor_email)) = ANY(r.emails)
       OR (c.visitor_metadata <> '{}' AND c.visitor_metadata::text ~* r.pattern)
       OR (coalesce(btrim(c.visitor_email), '') = '' AND (
               c.visitor_id = ANY(r.visitor_ids)
               OR regexp_replace(c.visitor_phone, '\D', '', 'g') = ANY(r.phones)
               OR c.id IN (SELECT a.conversation_id FROM left_addresses AS a)))
), noted AS (
    INSERT INTO worker.erased_rows (request_id, id, place)
    SELECT r.id, found.id, found.place FROM asked AS r, (
        SELECT t.id, 'public.conversations' AS place FROM talks AS t
        UNION ALL SELECT a.id, 'public.leads' FROM left_addresses AS a) AS found
    ON CONFLICT DO NOTHING RETURNING id
), named AS MATERIALIZED (
    SELECT email, phone, name FROM talks UNION SELECT email, phone, name FROM left_addresses
), grown AS (
    UPDATE worker.erasure_requests AS r
    SET emails = ARRAY(SELECT unnest(asked.emails) UNION
                       SELECT n.email FROM named AS n WHERE n.email LIKE '_%%@_%%'),
        phones = ARRAY(SELECT unnest(asked.phones) UNION
                       SELECT n.phone FROM named AS n WHERE length(n.phone) >= 7),
        names = ARRAY(SELECT unnest(asked.names) UNION
                      SELECT n.name FROM named AS n WHERE length(n.name) >= 3),
        visitor_ids = ARRAY(
            SELECT unnest(asked.visitor_ids) UNION
            SELECT t.visitor_id FROM talks AS t
            WHERE NOT EXISTS (
                SELECT FROM public.conversations AS c
                WHERE c.agent_id = asked.agent_id AND c.visitor_id = t.visitor_id
                  AND btrim(c.visitor_email) <> '' AND c.id NOT IN (SELECT id FROM talks)))
    FROM asked WHERE r.id = asked.id
)
SELECT count(*) FROM noted

-- name: delete_sentiment
WITH gone AS (
    DELETE FROM public.sentiment_analysis WHERE id IN (
        SELECT s.id FROM worker.erased_rows AS e
        JOIN public.sentiment_analysis AS s ON s.conversation_id = e.id
        WHERE e.request_id = %(request_id)s LIMIT %(rows_max)s)
    RETURNING id
), noted AS (
    INSERT INTO worker.erased_rows (request_id, id, place)
    SELECT %(request_id)s, id, 'public.sentiment_analysis' FROM gone ON CONFLICT DO NOTHING
)
SELECT count(*) FROM gone

-- name: delete_examples
-- Made of the visitor's words: by its correction, or because it says what they wrote. What an
-- owner wrote by hand may well be as short a greeting as theirs.
WITH theirs AS MATERIALIZED (
    SELECT m.id, btrim(m.content) AS words, m.role FROM worker.erased_rows AS e
    JOIN public.messages AS m ON m.conversation_id = e.id
    WHERE e.request_id = %(request_id)s
), gone AS (
    DELETE FROM public.training_examples WHERE id IN (
        SELECT x.id FROM worker.erasure_requests AS r
        JOIN public.training_examples AS x ON x.agent_id = r.agent_id
        WHERE r.id = %(request_id)s AND (
            EXISTS (SELECT FROM public.corrections AS c
                    WHERE c.id = x.correction_id
                      AND (c.conversation_id IN (
                               SELECT e.id FROM worker.erased_rows AS e WHERE e.request_id = r.id)
                           OR c.message_id IN (SELECT t.id FROM theirs AS t)))
            OR EXISTS (SELECT FROM theirs AS t
                       WHERE t.role = 'user' AND t.words <> '' AND CASE
                           WHEN length(t.words) >= 20
                           THEN strpos(x.input, t.words) > 0
                                OR strpos(x.expected_output, t.words) > 0
                           ELSE btrim(x.input) = t.words
                                AND x.source IN ('correction', 'conversation') END))
        LIMIT %(rows_max)s)
    RETURNING id
), noted AS (
    INSERT INTO worker.erased_rows (request_id, id, place)
    SELECT %(request_id)s, id, 'public.training_examples' FROM gone ON CONFLICT DO NOTHING
)
SELECT count(*) FROM gone

-- name: delete_corrections
WITH gone AS (
    DELETE FROM public.corrections WHERE id IN (
        SELECT c.id FROM worker.erased_rows AS e
        JOIN public.corrections AS c ON c.conversation_id = e.id
        WHERE e.request_id = %(request_id)s
        UNION
        SELECT c.id FROM worker.erased_rows AS e
        JOIN public.messages AS m ON m.conversation_id = e.id
        JOIN public.corrections AS c ON c.message_id = m.id
        WHERE e.request_id = %(request_id)s
        LIMIT %(rows_max)s)
    RETURNING id
), noted AS (
    INSERT INTO worker.erased_rows (request_id, id, place)
    SELECT %(request_id)s, id, 'public.corrections' FROM gone ON CONFLICT DO NOTHING
)
SELECT count(*) FROM gone

-- name: blank_addresses
-- An address is shared by a house: what else came from it stays, without saying from where.
WITH known AS MATERIALIZED (
    SELECT c.visitor_ip AS ip FROM worker.erased_rows AS e
    JOIN public.conversations AS c ON c.id = e.id
    WHERE e.request_id = %(request_id)s AND c.visitor_ip IS NOT NULL
    UNION
    SELECT v.ip_address FROM worker.erasure_requests AS r
    JOIN public.analytics_events AS v
      ON v.agent_id = r.agent_id AND v.visitor_id = ANY(r.visitor_ids)
    WHERE r.id = %(request_id)s AND v.ip_address IS NOT NULL
), blanked AS (
    UPDATE public.analytics_events AS v SET ip_address = NULL, user_agent = NULL, city = NULL
    WHERE v.id IN (
        SELECT a.id FROM worker.erasure_requests AS r
        JOIN public.analytics_events AS a ON a.agent_id = r.agent_id
        WHERE r.id = %(request_id)s AND a.visitor_id IS NULL
          AND a.ip_address IN (SELECT ip FROM known)
        LIMIT %(rows_max)s)
    RETURNING v.id
)
SELECT count(*) FROM blanked

-- name: delete_sessions
-- Events without a visitor, of sessions that are the visitor's by other events.
WITH gone AS (
    DELETE FROM public.analytics_events WHERE id IN (
        SELECT v.id FROM worker.erasure_requests AS r
        JOIN public.analytics_events AS v ON v.agent_id = r.agent_id
        WHERE r.id = %(request_id)s AND v.visitor_id IS NULL AND v.session_id <> ''
          AND v.session_id IN (
            SELECT known.session_id FROM public.analytics_events AS known
            WHERE known.agent_id = r.agent_id AND (
                known.visitor_id = ANY(r.visitor_ids)
                OR known.conversation_id IN (
                    SELECT e.id FROM worker.erased_rows AS e WHERE e.request_id = r.id)))
          AND NOT EXISTS (SELECT FROM public.conversations AS c
                          WHERE c.id = v.conversation_id AND c.id NOT IN (
                              SELECT e.id FROM worker.erased_rows AS e WHERE e.request_id = r.id))
          -- The last ones of a session that others point at: by the conversation they go below.
          AND v.conversation_id IS NULL
        LIMIT %(rows_max)s)
    RETURNING id
), noted AS (
    INSERT INTO worker.erased_rows (request_id, id, place)
    SELECT %(request_id)s, id, 'public.analytics_events' FROM gone ON CONFLICT DO NOTHING
)
SELECT count(*) FROM gone

-- name: delete_events
WITH gone AS (
    DELETE FROM public.analytics_events WHERE id IN (
        SELECT v.id FROM worker.erasure_requests AS r
        JOIN public.analytics_events AS v ON v.agent_id = r.agent_id
        WHERE r.id = %(request_id)s AND (
            v.visitor_id = ANY(r.visitor_ids)
            OR v.conversation_id IN (
                SELECT e.id FROM worker.erased_rows AS e WHERE e.request_id = r.id))
        LIMIT %(rows_max)s)
    RETURNING id
), noted AS (
    INSERT INTO worker.erased_rows (request_id, id, place)
    SELECT %(request_id)s, id, 'public.analytics_events' FROM gone ON CONFLICT DO NOTHING
)
SELECT count(*) FROM gone

-- name: delete_messages
WITH gone AS (
    DELETE FROM public.messages WHERE id IN (
        SELECT m.id FROM worker.erased_rows AS e
        JOIN public.messages AS m ON m.conversation_id = e.id
        WHERE e.request_id = %(request_id)s LIMIT %(rows_max)s)
    RETURNING id
), noted AS (
    INSERT INTO worker.erased_rows (request_id, id, place)
    SELECT %(request_id)s, id, 'public.messages' FROM gone ON CONFLICT DO NOTHING
)
SELECT count(*) FROM gone

-- name: delete_leads
WITH gone AS (
    DELETE FROM public.leads WHERE id IN (
        SELECT l.id FROM worker.erased_rows AS e JOIN public.leads AS l ON l.id = e.id
        WHERE e.request_id = %(request_id)s LIMIT %(rows_max)s)
    RETURNING id
)
SELECT count(*) FROM gone

-- name: delete_conversations
-- Locked in the order in which others lock several of them.
WITH chosen AS MATERIALIZED (
    SELECT c.id FROM worker.erased_rows AS e JOIN public.conversations AS c ON c.id = e.id
    WHERE e.request_id = %(request_id)s
    ORDER BY c.id LIMIT %(rows_max)s FOR UPDATE OF c
), gone AS (
    DELETE FROM public.conversations WHERE id IN (SELECT id FROM chosen) RETURNING id
)
SELECT count(*) FROM gone

-- name: delete_namesakes
-- Notifications that call the visitor by name and lead nowhere that could say whose name it is.
WITH asked AS MATERIALIZED (
    SELECT r.agent_id, r.user_id,
           '(?<!\w)(' || (SELECT string_agg(private.escape_pattern(n.name), '|')
                          FROM unnest(r.names) AS n (name)) || ')(?!\w)' AS pattern
    FROM worker.erasure_requests AS r WHERE r.id = %(request_id)s
), gone AS (
    DELETE FROM public.notifications WHERE id IN (
        SELECT n.id FROM asked AS r JOIN public.notifications AS n ON n.user_id = r.user_id
        WHERE coalesce(n.agent_id = r.agent_id, true)
          AND concat_ws(' ', n.title, n.message) ~* r.pattern
          AND coalesce(n.action_url, '') !~* '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-'
        LIMIT %(rows_max)s)
    RETURNING id
)
SELECT count(*) FROM gone

-- name: hide_suppressions
-- Not to be mailed is their right: the hash keeps it, the address goes.
WITH hidden AS (
    UPDATE worker.suppressions AS s SET address = NULL, note = NULL
    FROM worker.erasure_requests AS r
    WHERE r.id = %(request_id)s AND coalesce(s.user_id = r.user_id, true) AND s.address IS NOT NULL
      AND s.address_hash IN (SELECT sha256(convert_to(e.email, 'UTF8'))
                             FROM unnest(r.emails) AS e (email)
                             WHERE NOT EXISTS (SELECT FROM public.user_profiles AS p
                                               WHERE lower(p.email) = e.email))
    RETURNING s.id
)
SELECT count(*) FROM hidden

-- name: forget_marks
-- Of visitors without a conversation no later day can be a return; the days stay marked.
WITH found AS MATERIALIZED (
    SELECT m.id FROM worker.erasure_requests AS r
    JOIN worker.stats_marks AS m ON m.agent_id = r.agent_id
    WHERE r.id = %(request_id)s
      AND (m.visitor_id = ANY(r.visitor_ids) AND NOT EXISTS (
               SELECT FROM public.conversations AS c
               WHERE c.agent_id = r.agent_id AND c.visitor_id = m.visitor_id)
           OR m.conversation_id IN (
               SELECT e.id FROM worker.erased_rows AS e
               WHERE e.request_id = r.id AND NOT EXISTS (
                   SELECT FROM public.conversations AS c WHERE c.id = e.id)))
    ORDER BY m.id LIMIT %(rows_max)s FOR UPDATE OF m SKIP LOCKED
), forgotten AS (
    UPDATE worker.stats_marks AS m SET visitor_id = NULL, conversation_id = NULL
    FROM found AS f WHERE m.id = f.id
    RETURNING m.id
)
SELECT count(*) FROM forgotten

-- name: count_change
UPDATE worker.erasure_requests AS r
SET counts = r.counts || jsonb_build_object(
    %(place)s::text, coalesce((r.counts ->> %(place)s::text)::bigint, 0) + %(rows)s::bigint)
WHERE r.id = %(request_id)s

-- name: leave_incomplete
UPDATE worker.erasure_requests
SET state = 'incomplete', finished_at = now(), remains = %(remains)s
WHERE id = %(request_id)s AND state = 'running'

-- name: finish
-- From here on nobody can tell who it was. The owner's trail says that somebody was erased.
WITH forgotten AS (
    UPDATE worker.erasure_requests AS r
    SET state = 'done', finished_at = now(), remains = '{}', visitor_id = NULL, email = NULL,
        visitor_ids = '{}', emails = '{}', phones = '{}', names = '{}'
    WHERE r.id = %(request_id)s AND r.state = 'running'
    RETURNING r.id, r.user_id, r.agent_id, r.counts
), rows_forgotten AS (
    DELETE FROM worker.erased_rows AS e USING forgotten AS f WHERE e.request_id = f.id
)
INSERT INTO public.activity_logs (user_id, action, resource_type, resource_id, changes)
SELECT p.id, 'erased', 'visitor', f.id,
       jsonb_build_object('agent_id', f.agent_id, 'counts', f.counts)
FROM forgotten AS f LEFT JOIN public.user_profiles AS p ON p.id = f.user_id
