-- The figures of a day, as a function: a connection plans it once, for planning takes longer than
-- one day's rows, and connections prepare nothing themselves. Everything from raw, in one
-- statement and so from one moment; what is there already is not written again. A day of
-- daily_stats is all rows whose local date it is: between two moments that is true by itself, but
-- where a clock is changed nearby each row's date is looked at.

-- On statistics from a quiet hour the planner would read a whole table for each day.
CREATE FUNCTION worker.recompute_days(agent_ids uuid[], days date[]) RETURNS bigint
LANGUAGE plpgsql SECURITY INVOKER
SET search_path = '' SET plan_cache_mode = force_generic_plan SET jit = off
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    changed bigint;
BEGIN
    WITH wanted AS MATERIALIZED (
        SELECT w.agent_id, w.day, p.time_zone AS zone, s.is_plain,
               CASE WHEN s.is_plain THEN b.lo ELSE b.before END AS from_at,
               CASE WHEN s.is_plain THEN b.hi ELSE b.after END AS until_at,
               CASE WHEN s.is_plain THEN b.lo ELSE b.after END AS earlier_until
        FROM (SELECT DISTINCT agent_id, day
              FROM unnest(agent_ids, days) AS each (agent_id, day)) AS w
        JOIN public.agents AS a ON a.id = w.agent_id
        JOIN public.user_profiles AS p ON p.id = a.user_id
        CROSS JOIN LATERAL (
            SELECT lo, hi, lo - interval '24 hours' AS before, hi + interval '24 hours' AS after
            FROM (SELECT w.day::timestamp AT TIME ZONE p.time_zone AS lo,
                         (w.day + 1)::timestamp AT TIME ZONE p.time_zone AS hi OFFSET 0) AS bounds
            OFFSET 0) AS b
        CROSS JOIN LATERAL (
            SELECT b.hi - b.lo = interval '24 hours'
                AND (b.before AT TIME ZONE p.time_zone) - (b.before AT TIME ZONE 'UTC')
                    = (b.after AT TIME ZONE p.time_zone) - (b.after AT TIME ZONE 'UTC') AS is_plain
            OFFSET 0) AS s
    ), figures AS MATERIALIZED (
        SELECT w.agent_id, w.day, c.*, m.*, l.*, o.*, u.*
        FROM wanted AS w
        CROSS JOIN LATERAL (
            SELECT count(*) AS conversations,
                   count(*) FILTER (WHERE r.status = 'active') AS active,
                   round(avg(r.duration_seconds), 3) AS duration,
                   count(*) FILTER (WHERE r.sentiment_label = 'positive') AS positive,
                   count(*) FILTER (WHERE r.sentiment_label = 'neutral') AS neutral,
                   count(*) FILTER (WHERE r.sentiment_label = 'negative') AS negative,
                   count(DISTINCT r.visitor_id) AS visitors,
                   count(DISTINCT r.visitor_id) FILTER (WHERE EXISTS (
                       SELECT FROM public.conversations AS e
                       WHERE e.agent_id = w.agent_id AND e.visitor_id = r.visitor_id
                         AND e.created_at >= '0001-01-02 00:00+00'
                         AND e.created_at < w.earlier_until
                         AND (w.is_plain OR (e.created_at AT TIME ZONE w.zone)::date < w.day)
                   )) AS returned
            FROM public.conversations AS r
            WHERE r.agent_id = w.agent_id
              AND r.created_at >= w.from_at AND r.created_at < w.until_at
              AND (w.is_plain OR (r.created_at AT TIME ZONE w.zone)::date = w.day)) AS c
        CROSS JOIN LATERAL (
            SELECT count(*) AS messages, count(*) FILTER (WHERE r.role = 'user') AS asked,
                   count(*) FILTER (WHERE r.role = 'assistant') AS answered,
                   round(avg(r.response_time_ms), 3) AS response_time,
                   coalesce(sum(r.tokens_used), 0) AS message_tokens
            FROM public.messages AS r
            WHERE r.agent_id = w.agent_id
              AND r.created_at >= w.from_at AND r.created_at < w.until_at
              AND (w.is_plain OR (r.created_at AT TIME ZONE w.zone)::date = w.day)) AS m
        CROSS JOIN LATERAL (
            SELECT count(*) AS leads FROM public.leads AS r
            WHERE r.agent_id = w.agent_id
              AND r.created_at >= w.from_at AND r.created_at < w.until_at
              AND (w.is_plain OR (r.created_at AT TIME ZONE w.zone)::date = w.day)) AS l
        CROSS JOIN LATERAL (
            SELECT (SELECT count(*) FROM public.analytics_events AS r
                    WHERE r.agent_id = w.agent_id
                      AND r.created_at >= w.from_at AND r.created_at < w.until_at
                      AND r.event_type IN ('widget_opened', 'widget_open', 'widget.opened')
                      AND (w.is_plain OR (r.created_at AT TIME ZONE w.zone)::date = w.day))
                 + (SELECT coalesce(sum(r.opens), 0) FROM worker.kept_opens AS r
                    WHERE r.agent_id = w.agent_id AND r.at >= w.from_at AND r.at < w.until_at
                      AND (w.is_plain OR (r.at AT TIME ZONE w.zone)::date = w.day)) AS opens) AS o
        CROSS JOIN LATERAL (
            SELECT count(*) AS usage_rows, coalesce(sum(r.total_cost), 0) AS cost,
                   coalesce(sum(r.total_tokens) FILTER (
                       WHERE r.usage_type NOT IN ('message', 'conversation')), 0) AS usage_tokens
            FROM public.usage_logs AS r
            WHERE r.agent_id = w.agent_id
              AND r.created_at >= w.from_at AND r.created_at < w.until_at
              AND (w.is_plain OR (r.created_at AT TIME ZONE w.zone)::date = w.day)) AS u
    ), removed AS (
        DELETE FROM public.daily_stats AS d USING figures AS f
        WHERE d.agent_id = f.agent_id AND d.date = f.day
          AND f.conversations + f.messages + f.leads + f.opens + f.usage_rows = 0
        RETURNING d.id
    ), stored AS (
        INSERT INTO public.daily_stats AS d (
            agent_id, date, total_conversations, active_conversations, avg_conversation_duration,
            total_messages, user_messages, assistant_messages, avg_response_time_ms, total_leads,
            conversion_rate, positive_sentiment_count, neutral_sentiment_count,
            negative_sentiment_count, widget_opens, unique_visitors, returning_visitors,
            total_tokens_used, total_ai_cost)
        SELECT agent_id, day, conversations, active, duration, messages, asked, answered,
               response_time, leads, round(leads::numeric / nullif(conversations, 0), 6), positive,
               neutral, negative, opens, visitors, returned, message_tokens + usage_tokens, cost
        FROM figures
        WHERE conversations + messages + leads + opens + usage_rows > 0
        ORDER BY agent_id, day
        ON CONFLICT (agent_id, date) DO UPDATE SET
            total_conversations = excluded.total_conversations,
            active_conversations = excluded.active_conversations,
            avg_conversation_duration = excluded.avg_conversation_duration,
            total_messages = excluded.total_messages,
            user_messages = excluded.user_messages,
            assistant_messages = excluded.assistant_messages,
            avg_response_time_ms = excluded.avg_response_time_ms,
            total_leads = excluded.total_leads,
            conversion_rate = excluded.conversion_rate,
            positive_sentiment_count = excluded.positive_sentiment_count,
            neutral_sentiment_count = excluded.neutral_sentiment_count,
            negative_sentiment_count = excluded.negative_sentiment_count,
            widget_opens = excluded.widget_opens,
            unique_visitors = excluded.unique_visitors,
            returning_visitors = excluded.returning_visitors,
            total_tokens_used = excluded.total_tokens_used,
            total_ai_cost = excluded.total_ai_cost,
            updated_at = now()
        WHERE (d.total_conversations, d.active_conversations, d.avg_conversation_duration,
               d.total_messages, d.user_messages, d.assistant_messages, d.avg_response_time_ms,
               d.total_leads, d.conversion_rate, d.positive_sentiment_count,
               d.neutral_sentiment_count, d.negative_sentiment_count, d.widget_opens,
               d.unique_visitors, d.returning_visitors, d.total_tokens_used, d.total_ai_cost)
            IS DISTINCT FROM
              (excluded.total_conversations, excluded.active_conversations,
               excluded.avg_conversation_duration, excluded.total_messages, excluded.user_messages,
               excluded.assistant_messages, excluded.avg_response_time_ms, excluded.total_leads,
               excluded.conversion_rate, excluded.positive_sentiment_count,
               excluded.neutral_sentiment_count, excluded.negative_sentiment_count,
               excluded.widget_opens, excluded.unique_visitors, excluded.returning_visitors,
               excluded.total_tokens_used, excluded.total_ai_cost)
        RETURNING d.id
    ), repaired AS (
        UPDATE worker.stats_differences AS x SET repaired_at = now() FROM wanted AS w
        WHERE x.agent_id = w.agent_id AND x.date = w.day AND x.repaired_at IS NULL
    )
    SELECT (SELECT count(*) FROM removed) + (SELECT count(*) FROM stored) INTO changed;
    RETURN changed;
END $$;
COMMENT ON FUNCTION worker.recompute_days IS
    'Computes the day of each pair, taken place by place; how many rows of daily_stats changed, '
    'came or went. Whoever calls it holds the agents'' locks.';

REVOKE EXECUTE ON FUNCTION worker.recompute_days FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.recompute_days TO service_role;
