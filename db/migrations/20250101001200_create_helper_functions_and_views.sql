-- Functions and views of the web tier. The first statement only loads pgvector's library: without
-- it a role that is no superuser may not put `hnsw.` settings on a function.
SELECT '[0]'::extensions.vector;

-- Planned for each call: for a small agent an exact sort of its rows is both fastest and complete,
-- for a big one the HNSW index is, scanned on until enough of this agent's rows were met.
CREATE FUNCTION public.match_knowledge_chunks(
    query_embedding extensions.vector(1536),
    agent_id uuid,
    match_threshold double precision DEFAULT 0,
    match_count int DEFAULT 5
) RETURNS TABLE (id uuid, source_id uuid, content text, metadata jsonb, similarity double precision)
LANGUAGE plpgsql STABLE SECURITY INVOKER
SET search_path = ''
SET plan_cache_mode = force_custom_plan
SET hnsw.iterative_scan = relaxed_order
SET hnsw.ef_search = 200
AS $$
#variable_conflict use_column
DECLARE
    model text := (SELECT a.embedding_model FROM public.agents AS a
                   WHERE a.id = match_knowledge_chunks.agent_id);
BEGIN
    RETURN QUERY
    WITH nearest AS MATERIALIZED (
        SELECT c.id, c.source_id, c.content, c.metadata,
               c.embedding OPERATOR(extensions.<=>) query_embedding AS distance
        FROM public.knowledge_chunks AS c
        WHERE c.agent_id = match_knowledge_chunks.agent_id
          AND (c.embedding_model IS NULL OR c.embedding_model = model)
          AND c.embedding IS NOT NULL
        ORDER BY c.embedding OPERATOR(extensions.<=>) query_embedding
        LIMIT greatest(match_count, 0)
    )
    SELECT n.id, n.source_id, n.content, n.metadata, 1 - n.distance
    FROM nearest AS n
    WHERE 1 - n.distance >= match_threshold
    ORDER BY n.distance, n.id;
END $$;
REVOKE EXECUTE ON FUNCTION public.match_knowledge_chunks FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION public.match_knowledge_chunks TO authenticated, service_role;

-- Reading functions run under the caller's own row-level security.

CREATE FUNCTION public.get_agent_analytics(
    agent_id uuid,
    start_date timestamptz DEFAULT '-infinity',
    end_date timestamptz DEFAULT 'infinity'
) RETURNS TABLE (
    total_conversations bigint, total_messages bigint, total_leads bigint,
    avg_sentiment numeric, positive_count bigint, neutral_count bigint, negative_count bigint,
    avg_response_time numeric, conversion_rate numeric)
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    -- A bare day is the caller's day, and as an end it is meant with all its hours.
    until timestamptz := CASE
        WHEN isfinite(end_date) AND end_date = date_trunc('day', end_date)
        THEN end_date + interval '1 day' ELSE end_date END;
BEGIN
    RETURN QUERY
    SELECT c.total, m.total, l.total, c.sentiment, c.positive, c.neutral, c.negative,
           m.response_time,
           coalesce(round(l.total::numeric / nullif(c.total, 0), 6), 0)
    FROM (
        SELECT count(*) AS total, round(avg(sentiment_score), 4) AS sentiment,
               count(*) FILTER (WHERE sentiment_label = 'positive') AS positive,
               count(*) FILTER (WHERE sentiment_label = 'neutral') AS neutral,
               count(*) FILTER (WHERE sentiment_label = 'negative') AS negative
        FROM public.conversations
        WHERE agent_id = get_agent_analytics.agent_id
          AND created_at >= start_date AND created_at < until
    ) AS c, (
        SELECT count(*) AS total, round(avg(response_time_ms), 2) AS response_time
        FROM public.messages AS m JOIN public.conversations AS k ON k.id = m.conversation_id
        WHERE k.agent_id = get_agent_analytics.agent_id
          AND m.created_at >= start_date AND m.created_at < until
    ) AS m, (
        SELECT count(*) AS total
        FROM public.leads
        WHERE agent_id = get_agent_analytics.agent_id
          AND created_at >= start_date AND created_at < until
    ) AS l;
END $$;
COMMENT ON FUNCTION public.get_agent_analytics IS
    'An end at midnight includes that day. conversion_rate: leads per conversation, 0.25 for a '
    'quarter; avg_response_time in milliseconds.';

-- The start of the period that today (UTC) lies in, for periods of a month from `period_start` on.
CREATE FUNCTION private.current_period_start(period_start date) RETURNS date
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT (period_start
        + greatest(date_trunc('month', age(today, period_start)), interval '0'))::date
    FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) AS clock
$$;
REVOKE EXECUTE ON FUNCTION private.current_period_start FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.current_period_start TO authenticated, service_role;

CREATE FUNCTION public.get_current_usage(user_id uuid) RETURNS TABLE (
    messages_used int, messages_limit int, messages_remaining int,
    conversations_count bigint, agents_count bigint, leads_count bigint, storage_used_mb numeric)
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
    WITH mine AS (
        SELECT a.id FROM public.agents AS a WHERE a.user_id = get_current_usage.user_id
    ), period AS (
        -- A period that is over has used nothing yet, whether or not it was reset.
        SELECT p.monthly_message_limit AS allowed,
               CASE WHEN p.usage_period_start = private.current_period_start(p.usage_period_start)
                    THEN p.monthly_messages_used ELSE 0 END AS used,
               private.current_period_start(p.usage_period_start)::timestamp
                   AT TIME ZONE 'UTC' AS since
        FROM public.user_profiles AS p WHERE p.id = get_current_usage.user_id
    )
    SELECT period.used, period.allowed, greatest(period.allowed - period.used, 0),
           (SELECT count(*) FROM public.conversations AS c JOIN mine ON mine.id = c.agent_id
            WHERE c.created_at >= period.since),
           (SELECT count(*) FROM mine),
           (SELECT count(*) FROM public.leads AS l JOIN mine ON mine.id = l.agent_id
            WHERE l.created_at >= period.since),
           (SELECT coalesce(round(sum(
                greatest(s.file_size, octet_length(s.content), 0)) / 1048576.0, 3), 0)
            FROM public.knowledge_sources AS s JOIN mine ON mine.id = s.agent_id)
    FROM period
$$;
COMMENT ON FUNCTION public.get_current_usage IS
    'Conversations and leads of the running period; agents and storage as they are now.';

CREATE FUNCTION public.get_conversation_with_messages(conversation_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
    SELECT to_jsonb(c) || jsonb_build_object('messages', coalesce((
        SELECT jsonb_agg(to_jsonb(m) ORDER BY m.created_at, m.id)
        FROM public.messages AS m WHERE m.conversation_id = c.id), '[]'))
    FROM public.conversations AS c
    WHERE c.id = get_conversation_with_messages.conversation_id
$$;
COMMENT ON FUNCTION public.get_conversation_with_messages IS
    'The conversation''s columns and `messages`, oldest first; null where the caller sees none.';

CREATE TYPE public.conversation_match AS (
    id uuid, agent_id uuid, visitor_id text, visitor_name text, visitor_email text,
    visitor_phone text, source text, status text, sentiment_score numeric, sentiment_label text,
    is_lead boolean, lead_captured_at timestamptz, message_count int, duration_seconds int,
    last_message text, created_at timestamptz, updated_at timestamptz, total_count bigint);

CREATE FUNCTION public.search_conversations(
    agent_id uuid,
    search_term text DEFAULT NULL,
    status text DEFAULT NULL,
    start_date timestamptz DEFAULT NULL,
    end_date timestamptz DEFAULT NULL,
    "limit" int DEFAULT 20,
    "offset" int DEFAULT 0
) RETURNS SETOF public.conversation_match
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    -- What people type is text, not a pattern.
    pattern text := '%' || regexp_replace(btrim(search_term), '([\\%_])', '\\\1', 'g') || '%';
    until timestamptz := CASE
        WHEN isfinite(end_date) AND end_date = date_trunc('day', end_date)
        THEN end_date + interval '1 day' ELSE end_date END;
BEGIN
    RETURN QUERY
    SELECT c.id, c.agent_id, c.visitor_id, c.visitor_name, c.visitor_email, c.visitor_phone,
           c.source, c.status, c.sentiment_score, c.sentiment_label, c.is_lead, c.lead_captured_at,
           c.message_count, c.duration_seconds,
           (SELECT left(m.content, 200) FROM public.messages AS m
            WHERE m.conversation_id = c.id ORDER BY m.created_at DESC, m.id LIMIT 1),
           c.created_at, c.updated_at, c.total
    FROM (
        SELECT k.*, count(*) OVER () AS total
        FROM public.conversations AS k
        WHERE k.agent_id = search_conversations.agent_id
          AND (search_conversations.status IS NULL OR k.status = search_conversations.status)
          AND (start_date IS NULL OR k.created_at >= start_date)
          AND (until IS NULL OR k.created_at < until)
          AND (coalesce(btrim(search_term), '') = ''
               OR k.visitor_name ILIKE pattern OR k.visitor_email ILIKE pattern
               OR k.visitor_phone ILIKE pattern OR k.visitor_id ILIKE pattern
               OR EXISTS (SELECT FROM public.messages AS m
                          WHERE m.conversation_id = k.id AND m.content ILIKE pattern))
        ORDER BY k.created_at DESC, k.id
        LIMIT least(greatest(coalesce("limit", 20), 0), 1000)
        OFFSET greatest(coalesce("offset", 0), 0)
    ) AS c
    ORDER BY c.created_at DESC, c.id;
END $$;
COMMENT ON FUNCTION public.search_conversations IS
    'Newest first; total_count is the number of all matches. An end at midnight includes that day.';

REVOKE EXECUTE ON FUNCTION public.get_agent_analytics, public.get_current_usage,
    public.get_conversation_with_messages, public.search_conversations FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION public.get_agent_analytics, public.get_current_usage,
    public.get_conversation_with_messages, public.search_conversations
    TO authenticated, service_role;

-- Functions of the system: its key only.

CREATE FUNCTION public.create_notification(
    user_id uuid, type text, title text, message text,
    agent_id uuid DEFAULT NULL, priority text DEFAULT 'normal'
) RETURNS uuid
LANGUAGE sql SECURITY INVOKER SET search_path = '' AS $$
    INSERT INTO public.notifications (user_id, type, title, message, agent_id, priority)
    VALUES (user_id, type, title, message, agent_id, coalesce(priority, 'normal'))
    RETURNING id
$$;

CREATE FUNCTION public.log_activity(
    user_id uuid, action text, resource_type text DEFAULT NULL, resource_id uuid DEFAULT NULL,
    description text DEFAULT NULL, changes jsonb DEFAULT NULL
) RETURNS uuid
LANGUAGE sql SECURITY INVOKER SET search_path = '' AS $$
    INSERT INTO public.activity_logs
        (user_id, action, resource_type, resource_id, description, changes)
    VALUES (user_id, action, resource_type, resource_id, description, changes)
    RETURNING id
$$;

CREATE FUNCTION public.log_usage(
    user_id uuid, agent_id uuid, usage_type text, tokens int DEFAULT 0, cost numeric DEFAULT 0
) RETURNS uuid
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    log_id uuid;
    today date := (now() AT TIME ZONE 'UTC')::date;
    used int := coalesce(tokens, 0);
    price numeric := coalesce(cost, 0);
BEGIN
    INSERT INTO public.usage_logs
        (user_id, agent_id, usage_type, total_tokens, unit_cost, total_cost)
    VALUES (log_usage.user_id, log_usage.agent_id, log_usage.usage_type, used,
            CASE WHEN used > 0 THEN price / used ELSE price END, price)
    RETURNING id INTO log_id;

    INSERT INTO public.monthly_usage_summary AS s
        (user_id, year, month, total_messages, total_conversations, total_agents, total_tokens,
         total_ai_requests, total_ai_cost, message_limit, messages_remaining, overage_messages)
    SELECT p.id, extract(year FROM today), extract(month FROM today), one.message,
           (log_usage.usage_type = 'conversation')::int, one.agents, used, (used > 0)::int, price,
           p.monthly_message_limit, greatest(p.monthly_message_limit - one.message, 0),
           greatest(one.message - p.monthly_message_limit, 0)
    FROM public.user_profiles AS p, LATERAL (
        SELECT (log_usage.usage_type = 'message')::int AS message,
               (SELECT count(*) FROM public.agents AS a WHERE a.user_id = p.id) AS agents
    ) AS one
    WHERE p.id = log_usage.user_id
    ON CONFLICT (user_id, year, month) DO UPDATE
    SET total_messages = s.total_messages + excluded.total_messages,
        total_conversations = s.total_conversations + excluded.total_conversations,
        total_agents = excluded.total_agents,
        total_tokens = s.total_tokens + excluded.total_tokens,
        total_ai_requests = s.total_ai_requests + excluded.total_ai_requests,
        total_ai_cost = s.total_ai_cost + excluded.total_ai_cost,
        message_limit = excluded.message_limit,
        messages_remaining = greatest(
            excluded.message_limit - s.total_messages - excluded.total_messages, 0),
        overage_messages = greatest(
            s.total_messages + excluded.total_messages - excluded.message_limit, 0);
    RETURN log_id;
END $$;
COMMENT ON FUNCTION public.log_usage IS
    'One usage row, and its month''s summary (UTC) in the same transaction. cost is the whole '
    'cost in USD, not the price of a token.';

-- One UPDATE counts and refuses, so two callers cannot both take the last message.
CREATE FUNCTION public.increment_message_usage(user_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
BEGIN
    UPDATE public.user_profiles AS p
    SET monthly_messages_used = CASE
            WHEN p.usage_period_start = private.current_period_start(p.usage_period_start)
            THEN p.monthly_messages_used + 1 ELSE 1 END,
        usage_period_start = private.current_period_start(p.usage_period_start)
    WHERE p.id = increment_message_usage.user_id
      AND p.monthly_message_limit > CASE
            WHEN p.usage_period_start = private.current_period_start(p.usage_period_start)
            THEN p.monthly_messages_used ELSE 0 END;
    IF FOUND THEN
        RETURN true;
    END IF;
    IF NOT EXISTS (SELECT FROM public.user_profiles AS p
                   WHERE p.id = increment_message_usage.user_id) THEN
        RAISE EXCEPTION 'no user %', user_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN false;
END $$;
COMMENT ON FUNCTION public.increment_message_usage IS
    'Counts one message and says true, or counts nothing and says false at the limit.';

CREATE FUNCTION public.reset_monthly_usage() RETURNS int
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
DECLARE
    profiles int;
BEGIN
    UPDATE public.user_profiles
    SET monthly_messages_used = 0,
        usage_period_start = private.current_period_start(usage_period_start)
    WHERE usage_period_start < private.current_period_start(usage_period_start);
    GET DIAGNOSTICS profiles = ROW_COUNT;
    RETURN profiles;
END $$;
COMMENT ON FUNCTION public.reset_monthly_usage IS
    'Starts the period of every profile whose last one is over, and says how many; twice is once.';

REVOKE EXECUTE ON FUNCTION public.create_notification, public.log_activity, public.log_usage,
    public.increment_message_usage, public.reset_monthly_usage
    FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION public.create_notification, public.log_activity, public.log_usage,
    public.increment_message_usage, public.reset_monthly_usage TO service_role;

-- A quick estimate by word lists with negation, English only; the worker's score is the one of
-- record.
CREATE FUNCTION public.analyze_sentiment("text" text) RETURNS jsonb
LANGUAGE sql IMMUTABLE SECURITY INVOKER SET search_path = '' AS $$
    WITH words AS (
        SELECT word[1] AS word,
               lag(word[1], 1, '') OVER w || ' ' || lag(word[1], 2, '') OVER w AS before
        FROM regexp_matches(replace(lower(left("text", 10000)), '’', ''''), '[a-z'']+', 'g')
             WITH ORDINALITY AS found (word, place)
        WINDOW w AS (ORDER BY place)
    ), votes AS (
        SELECT CASE
            WHEN word ~ ('^(good|great|love[sd]?|excellent|amazing|awesome|perfect(ly)?|thanks?|'
                'thx|helpful|happy|best|nice|fantastic|wonderful|pleased|glad|easy|quick(ly)?|'
                'solved|works|recommend|appreciate[ds]?|brilliant|satisfied|enjoy(ed)?|friendly|'
                'resolved|fixed)$') THEN 1
            WHEN word ~ ('^(bad|terrible|awful|hate[sd]?|horrible|worst|useless|broken|angry|'
                'poor|slow|disappoint(ed|ing|ment)|frustrat(ed|ing)|annoy(ed|ing)|wrong|'
                'problems?|fail(s|ed|ure)?|refund|cancel|unacceptable|rude|errors?|never|stuck|'
                'confus(ed|ing)|scam|waste|ridiculous|complain(t|ing)?|unhappy|crash(es|ed)?)$')
            THEN -1
            ELSE 0 END
            * CASE WHEN word <> 'never' AND before
                ~ '(^| )(not|no|never|hardly|without|[a-z]+n''t|cant|dont|wont|isnt|didnt)( |$)'
              THEN -1 ELSE 1 END AS vote
        FROM words
    ), tally AS (
        SELECT coalesce(sum(vote), 0)::numeric AS balance,
               count(*) FILTER (WHERE vote <> 0) AS hits
        FROM votes
    ), scored AS (
        SELECT hits, round(balance / sqrt(balance * balance + 3), 3) AS score FROM tally
    )
    SELECT jsonb_build_object(
        'score', score,
        'label', CASE WHEN score >= 0.2 THEN 'positive' WHEN score <= -0.2 THEN 'negative'
                      ELSE 'neutral' END,
        'confidence', round(least(0.25 + 0.15 * hits, 0.7), 2))
    FROM scored
$$;
COMMENT ON FUNCTION public.analyze_sentiment IS
    '{"score": -1..1, "label": positive | neutral | negative, "confidence": 0..0.7}.';
REVOKE EXECUTE ON FUNCTION public.analyze_sentiment FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION public.analyze_sentiment TO authenticated, service_role;

-- Views run under the caller's own row-level security.

CREATE VIEW public.agent_dashboard_summary WITH (security_invoker = true) AS
SELECT a.id AS agent_id, a.user_id, a.name, a.is_published,
       a.total_conversations, a.total_messages, a.total_leads,
       (SELECT count(*) FROM public.conversations AS c
        WHERE c.agent_id = a.id AND c.status = 'active') AS active_conversations_count,
       (SELECT count(*) FROM public.leads AS l
        WHERE l.agent_id = a.id AND l.created_at >= now() - interval '7 days')
           AS new_leads_last_7_days,
       (SELECT count(*) FROM public.knowledge_sources AS s WHERE s.agent_id = a.id)
           AS knowledge_sources_count,
       (SELECT count(*) FROM public.corrections AS k
        WHERE k.agent_id = a.id AND k.status = 'pending') AS pending_corrections_count,
       a.created_at, a.updated_at
FROM public.agents AS a;

CREATE VIEW public.recent_activity WITH (security_invoker = true) AS
SELECT 'conversation' AS activity_type, c.id AS resource_id, c.agent_id, a.user_id,
       a.name AS agent_name, coalesce(c.visitor_name, c.visitor_email, 'Visitor') AS title,
       c.status, c.created_at
FROM public.conversations AS c JOIN public.agents AS a ON a.id = c.agent_id
WHERE c.created_at >= now() - interval '30 days'
UNION ALL
SELECT 'lead', l.id, l.agent_id, a.user_id, a.name, coalesce(l.name, l.email, 'Lead'),
       l.status, l.created_at
FROM public.leads AS l JOIN public.agents AS a ON a.id = l.agent_id
WHERE l.created_at >= now() - interval '30 days'
UNION ALL
SELECT 'knowledge_source', s.id, s.agent_id, a.user_id, a.name, s.name, s.status, s.created_at
FROM public.knowledge_sources AS s JOIN public.agents AS a ON a.id = s.agent_id
WHERE s.created_at >= now() - interval '30 days';
COMMENT ON VIEW public.recent_activity IS 'The last 30 days, in no order: sort by created_at.';

REVOKE ALL ON public.agent_dashboard_summary, public.recent_activity FROM anon, authenticated;
GRANT SELECT ON public.agent_dashboard_summary, public.recent_activity
    TO authenticated, service_role;
