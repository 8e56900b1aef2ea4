-- What tells of a visitor, looked for in every table there is: those of later migrations too.

CREATE FUNCTION private.escape_pattern(words text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT regexp_replace(words, '([\\^$.|?*+()\[\]{}#-])', '\\\1', 'g')
$$;

-- JSON as it is searched: escaped quotes and line ends part words as plain ones do. A backslash is
-- unfolded first, or the quote after one that ends a text would be taken for an escaped one.
CREATE FUNCTION private.unfold(json_text text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT replace(replace(replace(replace(replace(replace(replace(json_text, '\\', '\ '),
        '\"', '"'), '\n', ' '), '\r', ' '), '\t', ' '), '\b', ' '), '\f', ' ')
$$;

-- Addresses as whole ones: ann@example.com is not part of joann@example.com. Digits of a phone may
-- be parted as people write them.
CREATE FUNCTION private.contact_pattern(emails text[], phones text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT string_agg(pattern, '|') FROM (
        SELECT '(?<![\w.+-])' || private.escape_pattern(spelt) || '(?![\w-]|\.\w)' AS pattern
        FROM unnest(emails) AS e (email),
             unnest(ARRAY[email, replace(replace(email, '+', '%2B'), '@', '%40')]) AS spelt
        UNION ALL
        SELECT '(?<!\w)' || regexp_replace(phone, '(\d)(?=\d)', '\1[ ()./-]{0,3}', 'g') || '(?!\w)'
        FROM unnest(phones) AS p (phone)) AS patterns
$$;

-- A short id ("1") is one only where it is called one; a long one stands as a whole word.
CREATE FUNCTION private.visitor_pattern(visitor_ids text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT string_agg(CASE WHEN length(visitor_id) < 8
        THEN '"[^"]*[Vv]isitor_?[Ii][Dd]" ?: ?"?' || escaped || '"?(?=[],} ]|$)'
        ELSE '(?<![\w-])(?<!\w[.@+])' || escaped || '(?![\w-]|[.@+]\w)' END, '|')
    FROM unnest(visitor_ids) AS v (visitor_id),
         private.escape_pattern(private.unfold(
             regexp_replace(to_json(visitor_id)::text, '^"|"$', '', 'g'))) AS escaped
$$;

-- Whether it names this agent, or none; another agent's visitor is somebody else.
CREATE FUNCTION private.names_no_other_agent(words text, agent_id uuid) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT bool_or(lower(named.id[1]) = agent_id::text) IS NOT FALSE
    FROM regexp_matches(words, '"agent_id" ?: ?"([0-9a-f-]{36})"', 'gi') AS named (id)
$$;

-- Which rows of a table are this agent's ($1) or its owner's ($2); null where nobody can tell, and
-- only ids say so.
CREATE FUNCTION private.scope_of(place regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT CASE
        WHEN place = 'public.user_profiles'::regclass THEN 't.id = $2'
        WHEN place = 'public.agents'::regclass THEN 't.id = $1'
        WHEN place = 'public.activity_logs'::regclass THEN
            't.user_id = $2 AND NOT EXISTS (SELECT FROM public.leads AS other'
            ' WHERE other.id = t.resource_id AND other.agent_id <> $1)'
        -- Who follows a lead up need not be the owner.
        WHEN place = 'public.email_logs'::regclass THEN
            '(t.user_id = $2 OR t.template_data ->> ''agent_id'' = $1::text)'
        WHEN names @> '{agent_id,user_id}' THEN 'coalesce(t.agent_id = $1, t.user_id = $2)'
        WHEN names @> '{agent_id}' THEN 't.agent_id = $1'
        WHEN names @> '{conversation_id}' THEN 't.conversation_id IN ('
            'SELECT c.id FROM public.conversations AS c WHERE c.agent_id = $1)'
        WHEN names @> '{user_id}' THEN 't.user_id = $2'
        WHEN names @> '{tenant}' THEN 't.tenant = $2'
        WHEN names @> '{webhook_id}' THEN 't.webhook_id IN ('
            'SELECT w.id FROM public.webhooks AS w WHERE w.user_id = $2)'
        WHEN names @> '{delivery_id}' THEN 't.delivery_id IN ('
            'SELECT d.id FROM public.webhook_deliveries AS d'
            ' JOIN public.webhooks AS w ON w.id = d.webhook_id WHERE w.user_id = $2)'
        WHEN names @> '{email_id}' THEN 't.email_id IN ('
            'SELECT m.id FROM public.email_logs AS m WHERE m.user_id = $2)'
        WHEN names @> '{job_id}' THEN 't.job_id IN ('
            'SELECT j.id FROM worker.jobs AS j WHERE j.tenant = $2)'
        WHEN names @> '{source_id}' THEN 't.source_id IN ('
            'SELECT s.id FROM public.knowledge_sources AS s WHERE s.agent_id = $1)'
        WHEN names @> '{chunk_id}' THEN 't.chunk_id IN ('
            'SELECT k.id FROM public.knowledge_chunks AS k WHERE k.agent_id = $1)' END
    FROM (SELECT array_agg(a.attname::text) AS names FROM pg_catalog.pg_attribute AS a
          WHERE a.attrelid = place AND a.attnum > 0 AND NOT a.attisdropped) AS of_place
$$;

-- The columns in which words can stand, as one JSON text; unfolded in place, for a call for each
-- row costs more than what it does.
CREATE FUNCTION private.searched_words(place regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT coalesce(
        'replace(replace(replace(replace(replace(replace(replace('
        '(SELECT to_jsonb(w)::text FROM (SELECT '
        || string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum) || ') AS w),'
        ' ''\\'', ''\ ''),'
        ' ''\"'', ''"''), ''\n'', '' ''), ''\r'', '' ''), ''\t'', '' ''), ''\b'', '' ''),'
        ' ''\f'', '' '')', 'NULL::text')
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = place AND a.attnum > 0 AND NOT a.attisdropped
      AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'json'::regtype, 'jsonb'::regtype,
                         'text[]'::regtype, 'jsonb[]'::regtype, 'uuid[]'::regtype)
$$;

-- Whether one of its columns holds the id of an erased row.
CREATE FUNCTION private.searched_ids(place regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT coalesce(string_agg(
        format('t.%I IN (SELECT e.id FROM worker.erased_rows AS e WHERE e.request_id = $3)',
               a.attname), ' OR ' ORDER BY a.attnum), 'false')
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = place AND a.attnum > 0 AND NOT a.attisdropped
      AND a.atttypid = 'uuid'::regtype
$$;

-- What is said of an account itself (an owner who tries the widget) is not the visitor's.
CREATE FUNCTION private.searched_emails(emails text[]) RETURNS text[]
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT ARRAY(SELECT e.email FROM unnest(emails) AS e (email)
                 WHERE NOT EXISTS (SELECT FROM public.user_profiles AS p
                                   WHERE lower(p.email) = e.email))
$$;

-- Rows of some pages of a table that tell of the visitor: by the id of an erased row, or by what
-- names them.
CREATE FUNCTION worker.find_traces(request_id uuid, place regclass, page bigint, pages int)
RETURNS SETOF tid
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
DECLARE
    asked worker.erasure_requests;
    contacts text;
    visitors text;
    scope CONSTANT text := private.scope_of(place);
BEGIN
    SELECT r.* INTO asked FROM worker.erasure_requests AS r WHERE r.id = find_traces.request_id;
    IF scope IS NOT NULL THEN
        visitors := private.visitor_pattern(asked.visitor_ids);
        contacts := private.contact_pattern(private.searched_emails(asked.emails), asked.phones);
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT t.ctid FROM %s AS t CROSS JOIN LATERAL (SELECT %s AS words OFFSET 0) AS said'
        ' WHERE t.ctid >= $6 AND t.ctid < $7 AND %s AND (%s'
        ' OR ((said.words ~* $4 OR said.words ~ $5)'
        '     AND private.names_no_other_agent(said.words, $1))'
        ' OR (said.words ~* ''[0-9a-f]{4}-[0-9a-f]{12}'' AND EXISTS ('
        '     SELECT FROM regexp_matches(said.words,'
        '         ''[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'', ''gi'')'
        '         AS found (id)'
        '     JOIN worker.erased_rows AS e ON e.request_id = $3 AND e.id = found.id[1]::uuid)))',
        place, private.searched_words(place), coalesce(scope, '$2 IS NOT NULL'),
        private.searched_ids(place))
    USING asked.agent_id, asked.user_id, asked.id, contacts, visitors,
          format('(%s,0)', page)::tid, format('(%s,0)', page + pages)::tid;
END $$;

-- Every table but those that remember what is being erased.
CREATE FUNCTION worker.list_trace_places() RETURNS TABLE (place text, pages bigint)
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT format('%I.%I', n.nspname, c.relname),
           pg_relation_size(c.oid) / current_setting('block_size')::int
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('public', 'worker') AND c.relkind = 'r'
      AND (n.nspname, c.relname) NOT IN (('worker', 'erasure_requests'), ('worker', 'erased_rows'))
    ORDER BY 1
$$;

REVOKE EXECUTE ON FUNCTION private.escape_pattern, private.unfold, private.contact_pattern,
    private.visitor_pattern, private.names_no_other_agent, private.scope_of,
    private.searched_words, private.searched_ids, private.searched_emails, worker.find_traces,
    worker.list_trace_places FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.escape_pattern, private.unfold, private.contact_pattern,
    private.visitor_pattern, private.names_no_other_agent, private.scope_of,
    private.searched_words, private.searched_ids, private.searched_emails, worker.find_traces,
    worker.list_trace_places TO service_role;
