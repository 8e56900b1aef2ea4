-- monthly_usage_summary is what usage_logs say: a row for each user and month (UTC) that has logs,
-- recomputed from them as a whole. Triggers mark, the job `summarize_usage` computes.

CREATE TABLE worker.usage_marks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid NOT NULL,
    month date NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE worker.usage_marks IS
    'Months (UTC, by their first day) of users whose summary may no longer agree with their logs.';
CREATE INDEX usage_marks_user_id_idx ON worker.usage_marks (user_id);
ALTER TABLE worker.usage_marks ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.usage_marks TO service_role;

COMMENT ON TABLE public.monthly_usage_summary IS
    'A row for each user and calendar month (UTC) that has usage_logs. message_limit and '
    'total_agents are as they are now, or were at the end of the month; messages beyond the limit '
    'are overage_messages. What is billed is counted by billing periods, not by these months.';
COMMENT ON COLUMN public.monthly_usage_summary.total_ai_requests IS 'Logs that used tokens.';

-- Quiet inside log_usage, which adds to the summary itself, and when old logs are pruned: history
-- stays as it was.
CREATE FUNCTION worker.marks_usage() RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT 'on' NOT IN (coalesce(current_setting('avivro.usage_is_summed', true), ''),
                        coalesce(current_setting('avivro.retention', true), ''))
$$;

-- Times beyond all calendars are in no month.
CREATE FUNCTION worker.has_month(at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT at >= '0001-02-01 00:00+00'::timestamptz AND at < '9999-12-01 00:00+00'::timestamptz
$$;

CREATE FUNCTION worker.mark_usage() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF NOT worker.marks_usage() THEN
        RETURN NULL;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO worker.usage_marks (user_id, month)
        SELECT DISTINCT n.user_id, date_trunc('month', n.created_at AT TIME ZONE 'UTC')::date
        FROM new_rows AS n WHERE n.user_id IS NOT NULL AND worker.has_month(n.created_at);
    END IF;
    IF TG_OP IN ('DELETE', 'UPDATE') THEN
        INSERT INTO worker.usage_marks (user_id, month)
        SELECT DISTINCT o.user_id, date_trunc('month', o.created_at AT TIME ZONE 'UTC')::date
        FROM old_rows AS o WHERE o.user_id IS NOT NULL AND worker.has_month(o.created_at);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER mark_usage_on_insert AFTER INSERT ON public.usage_logs
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_usage();
CREATE TRIGGER mark_usage_on_delete AFTER DELETE ON public.usage_logs
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_usage();
CREATE TRIGGER mark_usage_on_update AFTER UPDATE ON public.usage_logs
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_usage();

-- The running month's agents and limit. By row, for an agent's counters move with each message and
-- must not pay for it.
CREATE FUNCTION worker.mark_month_of_agent() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.usage_marks (user_id, month)
    SELECT DISTINCT owner, date_trunc('month', now() AT TIME ZONE 'UTC')::date
    FROM unnest(CASE TG_OP
        WHEN 'INSERT' THEN ARRAY[NEW.user_id]
        WHEN 'DELETE' THEN ARRAY[OLD.user_id]
        ELSE ARRAY[OLD.user_id, NEW.user_id] END) AS owner
    WHERE owner IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER mark_month_of_agent AFTER INSERT OR DELETE ON public.agents
    FOR EACH ROW EXECUTE FUNCTION worker.mark_month_of_agent();
CREATE TRIGGER mark_month_of_moved_agent AFTER UPDATE OF user_id ON public.agents
    FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id)
    EXECUTE FUNCTION worker.mark_month_of_agent();

CREATE FUNCTION worker.mark_month_of_limit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.usage_marks (user_id, month)
    VALUES (NEW.id, date_trunc('month', now() AT TIME ZONE 'UTC')::date);
    RETURN NULL;
END $$;
CREATE TRIGGER mark_month_of_limit AFTER UPDATE OF monthly_message_limit ON public.user_profiles
    FOR EACH ROW WHEN (OLD.monthly_message_limit IS DISTINCT FROM NEW.monthly_message_limit)
    EXECUTE FUNCTION worker.mark_month_of_limit();

-- Adding is exact here, and leaves nothing to recompute: the log and the sum are one transaction,
-- which holds the summary's row until it ends, and who recomputes locks that row before it reads
-- the logs. So it sees both, or neither and is added to later.
CREATE OR REPLACE FUNCTION public.log_usage(
    user_id uuid, agent_id uuid, usage_type text, tokens int DEFAULT 0, cost numeric DEFAULT 0
) RETURNS uuid
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    log_id uuid;
    today date := (now() AT TIME ZONE 'UTC')::date;
    used int := coalesce(tokens, 0);
    price numeric(20, 10) := coalesce(cost, 0);
BEGIN
    PERFORM set_config('avivro.usage_is_summed', 'on', true);
    INSERT INTO public.usage_logs
        (user_id, agent_id, usage_type, total_tokens, unit_cost, total_cost)
    VALUES (log_usage.user_id, log_usage.agent_id, log_usage.usage_type, used,
            CASE WHEN used > 0 THEN price / used ELSE price END, price)
    RETURNING id INTO log_id;
    PERFORM set_config('avivro.usage_is_summed', '', true);

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

-- What was there before this migration.
INSERT INTO worker.usage_marks (user_id, month)
SELECT DISTINCT u.user_id, date_trunc('month', u.created_at AT TIME ZONE 'UTC')::date
FROM public.usage_logs AS u WHERE u.user_id IS NOT NULL AND worker.has_month(u.created_at);

REVOKE EXECUTE ON FUNCTION worker.marks_usage, worker.has_month, worker.mark_usage,
    worker.mark_month_of_agent, worker.mark_month_of_limit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.marks_usage TO service_role;

INSERT INTO worker.kinds (kind, queue, args, max_attempts) VALUES
    ('summarize_usage', 'default', '{"everybody": "bool?"}', 5);
