-- What the figures of a day are, and which moments a day has.

COMMENT ON TABLE public.daily_stats IS
    'One row for each agent and day on which something happened that is counted here, recomputed '
    'from the raw rows within seconds of any change to them.';
COMMENT ON COLUMN public.daily_stats.date IS
    'A day in the time zone of the agent''s owner (user_profiles.time_zone), of 23 to 25 hours.';
COMMENT ON COLUMN public.daily_stats.total_conversations IS 'Conversations created that day.';
COMMENT ON COLUMN public.daily_stats.active_conversations IS
    'Those of them whose status is active now.';
COMMENT ON COLUMN public.daily_stats.avg_conversation_duration IS
    'Mean of their duration_seconds; null on a day without conversations.';
COMMENT ON COLUMN public.daily_stats.total_messages IS
    'Messages created that day, in whichever conversation: of users, assistants and the system.';
COMMENT ON COLUMN public.daily_stats.user_messages IS 'Those of them with the role user.';
COMMENT ON COLUMN public.daily_stats.assistant_messages IS
    'Those of them with the role assistant.';
COMMENT ON COLUMN public.daily_stats.avg_response_time_ms IS
    'Mean of those response_time_ms that are known; null without one.';
COMMENT ON COLUMN public.daily_stats.total_leads IS 'Leads created that day.';
COMMENT ON COLUMN public.daily_stats.conversion_rate IS
    'Leads per conversation, 0.25 for a quarter; null on a day without conversations.';
COMMENT ON COLUMN public.daily_stats.positive_sentiment_count IS
    'Conversations created that day that are labelled positive now; neutral and negative alike.';
COMMENT ON COLUMN public.daily_stats.widget_opens IS
    'Events widget_opened, widget_open or widget.opened of that day, deleted old ones included.';
COMMENT ON COLUMN public.daily_stats.unique_visitors IS
    'Different visitor_id of the conversations created that day.';
COMMENT ON COLUMN public.daily_stats.returning_visitors IS
    'Those of them who had a conversation with the same agent on an earlier day.';
COMMENT ON COLUMN public.daily_stats.total_tokens_used IS
    'tokens_used of that day''s messages, and total_tokens of its usage_logs of other types than '
    'message and conversation.';
COMMENT ON COLUMN public.daily_stats.total_ai_cost IS
    'total_cost (USD) of that day''s usage_logs, of all types.';

-- No figure may be too large for its column: one such day would hold up all others. Digits before
-- the point are only added, no row is rewritten.
ALTER TABLE public.daily_stats
    ALTER COLUMN conversion_rate TYPE numeric(20, 6),
    ALTER COLUMN total_ai_cost TYPE numeric(30, 10);

-- Between which moments the rows of a day lie. Where a clock is changed nearby, a day is not all
-- that lies between two moments (a midnight may come twice, a date never): then the span is a day
-- longer at both ends, and who asks must look at the date of each row.
CREATE FUNCTION private.day_span(day date, zone text)
RETURNS TABLE (from_at timestamptz, until_at timestamptz, is_plain boolean)
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT CASE WHEN s.plain THEN b.lo ELSE b.lo - interval '24 hours' END,
           CASE WHEN s.plain THEN b.hi ELSE b.hi + interval '24 hours' END, s.plain
    FROM (SELECT day::timestamp AT TIME ZONE zone AS lo,
                 (day + 1)::timestamp AT TIME ZONE zone AS hi) AS b
    CROSS JOIN LATERAL (SELECT
        b.lo - interval '24 hours' AS before, b.hi + interval '24 hours' AS after) AS near
    CROSS JOIN LATERAL (SELECT
        b.hi - b.lo = interval '24 hours'
        AND (near.before AT TIME ZONE zone) - (near.before AT TIME ZONE 'UTC')
            = (near.after AT TIME ZONE zone) - (near.after AT TIME ZONE 'UTC') AS plain) AS s
$$;
REVOKE EXECUTE ON FUNCTION private.day_span FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.day_span TO authenticated, service_role;

CREATE OR REPLACE FUNCTION public.get_agent_analytics(
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
    zone CONSTANT text := coalesce(
        (SELECT p.time_zone FROM public.agents AS a JOIN public.user_profiles AS p
             ON p.id = a.user_id WHERE a.id = get_agent_analytics.agent_id), 'UTC');
    since timestamptz := start_date;
    until timestamptz := end_date;
    -- Set where moments alone do not tell the day.
    first_day date;
    last_day date;
BEGIN
    IF isfinite(start_date) AND start_date = date_trunc('day', start_date) THEN
        SELECT s.from_at, CASE WHEN NOT s.is_plain THEN start_date::date END
        INTO since, first_day FROM private.day_span(start_date::date, zone) AS s;
    END IF;
    IF isfinite(end_date) AND end_date = date_trunc('day', end_date) THEN
        SELECT s.until_at, CASE WHEN NOT s.is_plain THEN end_date::date END
        INTO until, last_day FROM private.day_span(end_date::date, zone) AS s;
    END IF;
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
          AND created_at >= since AND created_at < until
          AND (first_day IS NULL OR (created_at AT TIME ZONE zone)::date >= first_day)
          AND (last_day IS NULL OR (created_at AT TIME ZONE zone)::date <= last_day)
    ) AS c, (
        SELECT count(*) AS total, round(avg(response_time_ms), 2) AS response_time
        FROM public.messages
        WHERE agent_id = get_agent_analytics.agent_id
          AND created_at >= since AND created_at < until
          AND (first_day IS NULL OR (created_at AT TIME ZONE zone)::date >= first_day)
          AND (last_day IS NULL OR (created_at AT TIME ZONE zone)::date <= last_day)
    ) AS m, (
        SELECT count(*) AS total
        FROM public.leads
        WHERE agent_id = get_agent_analytics.agent_id
          AND created_at >= since AND created_at < until
          AND (first_day IS NULL OR (created_at AT TIME ZONE zone)::date >= first_day)
          AND (last_day IS NULL OR (created_at AT TIME ZONE zone)::date <= last_day)
    ) AS l;
END $$;
COMMENT ON FUNCTION public.get_agent_analytics IS
    'A time of midnight means that day of the agent''s owner, as daily_stats counts it, and an '
    'end at midnight includes that day; any other time is that moment. conversion_rate: leads per '
    'conversation, 0.25 for a quarter; avg_response_time in milliseconds.';

-- The days of an agent that have a raw row or a stored one, and those with a clock change nearby
-- that come before one of them. From day to day by index: a few probes for each, however far apart.
CREATE FUNCTION worker.days_with_rows(
    agent_id uuid, zone text, from_day date, to_day date, days_max int
) RETURNS SETOF date
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    next_day date := greatest(from_day, '0001-01-02');
    last_day CONSTANT date := least(to_day, '9999-12-29');
    found_day date;
    span record;
BEGIN
    FOR _ IN 1 .. days_max LOOP
        EXIT WHEN next_day > last_day;
        SELECT s.* INTO span FROM private.day_span(next_day, zone) AS s;
        IF span.is_plain THEN
            found_day := least(
                (worker.next_moment(days_with_rows.agent_id, span.from_at)
                    AT TIME ZONE zone)::date,
                (SELECT min(d.date) FROM public.daily_stats AS d
                 WHERE d.agent_id = days_with_rows.agent_id AND d.date >= next_day));
            EXIT WHEN found_day IS NULL OR found_day > last_day;
            next_day := greatest(next_day, found_day);
        END IF;
        RETURN NEXT next_day;
        next_day := next_day + 1;
    END LOOP;
END $$;

CREATE FUNCTION worker.next_moment(agent_id uuid, from_at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
    SELECT least(
        (SELECT min(r.created_at) FROM public.conversations AS r
         WHERE r.agent_id = next_moment.agent_id AND r.created_at >= from_at),
        (SELECT min(r.created_at) FROM public.messages AS r
         WHERE r.agent_id = next_moment.agent_id AND r.created_at >= from_at),
        (SELECT min(r.created_at) FROM public.leads AS r
         WHERE r.agent_id = next_moment.agent_id AND r.created_at >= from_at),
        (SELECT min(r.created_at) FROM public.analytics_events AS r
         WHERE r.agent_id = next_moment.agent_id AND r.created_at >= from_at),
        (SELECT min(r.created_at) FROM public.usage_logs AS r
         WHERE r.agent_id = next_moment.agent_id AND r.created_at >= from_at),
        (SELECT min(r.at) FROM worker.kept_opens AS r
         WHERE r.agent_id = next_moment.agent_id AND r.at >= from_at))
$$;

REVOKE EXECUTE ON FUNCTION worker.days_with_rows, worker.next_moment FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.days_with_rows, worker.next_moment TO service_role;
