-- Usage periods begin on the day of the month a customer's billing is anchored to, or on the last
-- day of a month that is too short for it. All days are UTC's. The counter of a period that ends is
-- kept, whoever ends it.

ALTER TABLE public.user_profiles ADD COLUMN billing_anchor_day smallint NOT NULL DEFAULT 1;
ALTER TABLE public.user_profiles ADD CONSTRAINT user_profiles_billing_anchor_day_check
    CHECK (billing_anchor_day BETWEEN 1 AND 31) NOT VALID;
COMMENT ON COLUMN public.user_profiles.billing_anchor_day IS
    'Day of the month (UTC) on which a usage period begins; in shorter months, their last day.';
UPDATE public.user_profiles SET billing_anchor_day = extract(day FROM usage_period_start)
WHERE extract(day FROM usage_period_start) > 1;

CREATE FUNCTION private.period_start(anchor_day int, at date) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
    SELECT CASE WHEN m.this + least(m.anchor, m.next - m.this) - 1 <= at
                THEN m.this + least(m.anchor, m.next - m.this) - 1
                ELSE m.prior + least(m.anchor, m.this - m.prior) - 1 END
    FROM (SELECT greatest(anchor_day, 1) AS anchor, first::date AS this,
                 (first - interval '1 month')::date AS prior,
                 (first + interval '1 month')::date AS next
          FROM date_trunc('month', at::timestamp) AS first) AS m
$$;
COMMENT ON FUNCTION private.period_start IS
    'The latest day up to `at` that is the anchor''s: 31 gives 02-28 (or 29) in February.';

CREATE FUNCTION private.next_period_start(anchor_day int, period_start date) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
    SELECT CASE WHEN m.this + least(m.anchor, m.next - m.this) - 1 > period_start
                THEN m.this + least(m.anchor, m.next - m.this) - 1
                ELSE m.next + least(m.anchor, m.after_next - m.next) - 1 END
    FROM (SELECT greatest(anchor_day, 1) AS anchor, first::date AS this,
                 (first + interval '1 month')::date AS next,
                 (first + interval '2 months')::date AS after_next
          FROM date_trunc('month', period_start::timestamp) AS first) AS m
$$;
COMMENT ON FUNCTION private.next_period_start IS
    'The first day after `period_start` that is the anchor''s.';

-- The default start is the first of the month: who signs somebody up with an anchor alone means
-- the period that runs. Any other day that is not the anchor's is a new anchor.
CREATE FUNCTION private.keep_billing_anchor() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    IF NEW.usage_period_start
           IS NOT DISTINCT FROM private.period_start(NEW.billing_anchor_day, NEW.usage_period_start)
    THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' AND NEW.usage_period_start = private.period_start(1, today) THEN
        NEW.usage_period_start := private.period_start(NEW.billing_anchor_day, today);
    ELSE
        NEW.billing_anchor_day :=
            coalesce(extract(day FROM NEW.usage_period_start)::smallint, NEW.billing_anchor_day);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_billing_anchor_on_insert BEFORE INSERT ON public.user_profiles
    FOR EACH ROW EXECUTE FUNCTION private.keep_billing_anchor();
CREATE TRIGGER keep_billing_anchor_on_update BEFORE UPDATE ON public.user_profiles
    FOR EACH ROW WHEN (OLD.usage_period_start IS DISTINCT FROM NEW.usage_period_start)
    EXECUTE FUNCTION private.keep_billing_anchor();

-- No reference to the profile: what was used outlives the account.
CREATE TABLE worker.billing_periods (
    user_id uuid NOT NULL,
    period_start date NOT NULL,
    period_end date NOT NULL,
    messages_counted int NOT NULL,
    message_limit int NOT NULL,
    tier text NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    closing jsonb,
    PRIMARY KEY (user_id, period_start),
    CONSTRAINT billing_periods_days_check CHECK (period_start < period_end)
);
COMMENT ON TABLE worker.billing_periods IS
    'Usage periods that are over, with the counter, limit and tier they ended with. Periods of one '
    'user never overlap. A period that nobody began, for nothing was counted in it, has no row '
    'until it is closed: what lies between two rows, or between the last row and '
    'usage_period_start, was empty.';
COMMENT ON COLUMN worker.billing_periods.period_end IS 'The first day (UTC) after the period.';
ALTER TABLE worker.billing_periods ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.billing_periods TO service_role;

-- A start that was set back lies in periods which are already kept: what is new begins where they
-- end, so that no day is billed twice.
CREATE FUNCTION private.keep_billing_period() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    began CONSTANT date := greatest(OLD.usage_period_start, (
        SELECT b.period_end FROM worker.billing_periods AS b
        WHERE b.user_id = OLD.id ORDER BY b.period_start DESC LIMIT 1));
    ended CONSTANT date := least(
        private.next_period_start(OLD.billing_anchor_day, began), NEW.usage_period_start);
BEGIN
    INSERT INTO worker.billing_periods
        (user_id, period_start, period_end, messages_counted, message_limit, tier)
    SELECT OLD.id, began, ended, OLD.monthly_messages_used, OLD.monthly_message_limit,
           OLD.subscription_tier
    WHERE began < ended
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_billing_period AFTER UPDATE ON public.user_profiles
    FOR EACH ROW WHEN (NEW.usage_period_start > OLD.usage_period_start)
    EXECUTE FUNCTION private.keep_billing_period();

REVOKE EXECUTE ON FUNCTION private.period_start, private.next_period_start,
    private.keep_billing_anchor, private.keep_billing_period FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.period_start, private.next_period_start
    TO authenticated, service_role;

-- Below: what stood in earlier migrations, by the anchor.

CREATE OR REPLACE FUNCTION public.get_current_usage(user_id uuid) RETURNS TABLE (
    messages_used int, messages_limit int, messages_remaining int,
    conversations_count bigint, agents_count bigint, leads_count bigint, storage_used_mb numeric)
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
    WITH mine AS (
        SELECT a.id FROM public.agents AS a WHERE a.user_id = get_current_usage.user_id
    ), running AS (
        SELECT p.monthly_message_limit AS allowed, p.monthly_messages_used AS counted,
               p.usage_period_start AS began,
               greatest(p.usage_period_start, private.period_start(
                   p.billing_anchor_day, (now() AT TIME ZONE 'UTC')::date)) AS begins
        FROM public.user_profiles AS p WHERE p.id = get_current_usage.user_id
    ), period AS (
        -- A period that is over has used nothing yet, whether or not it was reset.
        SELECT r.allowed, CASE WHEN r.began = r.begins THEN r.counted ELSE 0 END AS used,
               r.begins::timestamp AT TIME ZONE 'UTC' AS since
        FROM running AS r
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

-- One UPDATE counts and refuses, so two callers cannot both take the last message; the row as it
-- is once the lock is held says which period runs, so only one of them ends the old one.
CREATE OR REPLACE FUNCTION public.increment_message_usage(user_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
DECLARE
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    UPDATE public.user_profiles AS p
    SET monthly_messages_used = p.monthly_messages_used + 1
    WHERE p.id = increment_message_usage.user_id
      AND p.monthly_message_limit > p.monthly_messages_used
      AND p.usage_period_start >= private.period_start(p.billing_anchor_day, today);
    IF FOUND THEN
        RETURN true;
    END IF;
    UPDATE public.user_profiles AS p
    SET monthly_messages_used = CASE
            WHEN p.usage_period_start >= private.period_start(p.billing_anchor_day, today)
            THEN p.monthly_messages_used + 1 ELSE 1 END,
        usage_period_start = greatest(
            p.usage_period_start, private.period_start(p.billing_anchor_day, today))
    WHERE p.id = increment_message_usage.user_id
      AND p.monthly_message_limit > CASE
            WHEN p.usage_period_start >= private.period_start(p.billing_anchor_day, today)
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

CREATE FUNCTION private.period_starts(today date) RETURNS TABLE (anchor_day int, begins date)
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT day, private.period_start(day, today) FROM generate_series(1, 31) AS day
$$;

-- For the worker: a bounded number, and nobody is waited for who is just written to.
CREATE FUNCTION worker.end_periods(profiles_max int, today date) RETURNS int
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
DECLARE
    profiles int;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT p.id, s.begins FROM public.user_profiles AS p
        JOIN private.period_starts(today) AS s
            ON s.anchor_day = p.billing_anchor_day AND p.usage_period_start < s.begins
        ORDER BY p.id LIMIT profiles_max FOR UPDATE OF p SKIP LOCKED)
    UPDATE public.user_profiles AS p
    SET monthly_messages_used = 0, usage_period_start = d.begins
    FROM due AS d WHERE p.id = d.id;
    GET DIAGNOSTICS profiles = ROW_COUNT;
    RETURN profiles;
END $$;
COMMENT ON FUNCTION worker.end_periods IS
    'Starts the running period of at most that many profiles whose last one is over; how many.';

-- All of them, in the order of their ids: two resets never wait for each other in a circle.
CREATE OR REPLACE FUNCTION public.reset_monthly_usage() RETURNS int
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
DECLARE
    profiles int;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT p.id, s.begins FROM public.user_profiles AS p
        JOIN private.period_starts((now() AT TIME ZONE 'UTC')::date) AS s
            ON s.anchor_day = p.billing_anchor_day AND p.usage_period_start < s.begins
        ORDER BY p.id FOR UPDATE OF p)
    UPDATE public.user_profiles AS p
    SET monthly_messages_used = 0, usage_period_start = d.begins
    FROM due AS d WHERE p.id = d.id;
    GET DIAGNOSTICS profiles = ROW_COUNT;
    RETURN profiles;
END $$;
COMMENT ON FUNCTION public.reset_monthly_usage IS
    'Starts the period of every profile whose last one is over, and says how many; twice is once.';

REVOKE EXECUTE ON FUNCTION private.period_starts, worker.end_periods FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.period_starts, worker.end_periods TO service_role;
DROP FUNCTION private.current_period_start(date);
