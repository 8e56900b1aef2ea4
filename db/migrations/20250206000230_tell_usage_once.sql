-- Who is told of 80 and of 100 percent of their messages, and that it is once a period whichever
-- way the counter, the limit and the trigger's luck go: a row here is the telling.

CREATE TABLE worker.usage_notices (
    user_id uuid NOT NULL REFERENCES public.user_profiles (id) ON DELETE CASCADE,
    period_start date NOT NULL,
    mark smallint NOT NULL,
    told_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, period_start, mark),
    CONSTRAINT usage_notices_mark_check CHECK (mark IN (80, 100))
);
COMMENT ON TABLE worker.usage_notices IS
    'Marks that a period reached. Who went over both at once was told of the higher one.';
ALTER TABLE worker.usage_notices ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.usage_notices TO service_role;

-- Nothing used is no news, although it is all of a limit of nothing.
CREATE FUNCTION private.usage_mark(messages_used int, message_limit int) RETURNS int
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT CASE WHEN messages_used <= 0 THEN NULL
                WHEN messages_used >= message_limit THEN 100
                WHEN messages_used::bigint * 5 >= message_limit::bigint * 4 THEN 80 END
$$;

CREATE FUNCTION private.notify_of_usage(profile public.user_profiles, mark int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO public.notifications
        (user_id, type, title, message, priority, action_url, action_label)
    VALUES (
        profile.id, 'usage_limit',
        CASE mark WHEN 100 THEN 'Message limit reached' ELSE 'Message limit almost reached' END,
        format('%s of %s messages of this month are used.',
               profile.monthly_messages_used, profile.monthly_message_limit),
        CASE mark WHEN 100 THEN 'urgent' ELSE 'high' END,
        '/billing', 'See plans');
    PERFORM private.write_email(
        profile.id, 'usage_limit', jsonb_build_object(
            'messages_used', profile.monthly_messages_used,
            'messages_limit', profile.monthly_message_limit,
            'plan_name', initcap(profile.subscription_tier),
            'resets_on', private.next_period_start(
                profile.billing_anchor_day, profile.usage_period_start)),
        private.email_id(
            'usage_limit', profile.id::text, profile.usage_period_start::text, mark::text));
    IF mark = 100 THEN
        PERFORM private.emit_user_event('usage.limit_reached', profile.id, jsonb_build_object(
            'user_id', profile.id, 'messages_used', profile.monthly_messages_used,
            'messages_limit', profile.monthly_message_limit,
            'usage_period_start', profile.usage_period_start));
    END IF;
END $$;

-- Whoever holds the profile's row asks, so that nobody waits for another's notice. The telling and
-- its row are undone together: what fails is told later, by the schedule.
CREATE FUNCTION private.tell_of_mark(profile public.user_profiles) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    reached CONSTANT int := private.usage_mark(
        profile.monthly_messages_used, profile.monthly_message_limit);
    is_new boolean;
BEGIN
    IF reached IS NULL THEN
        RETURN false;
    END IF;
    WITH noted AS (
        INSERT INTO worker.usage_notices (user_id, period_start, mark)
        SELECT profile.id, profile.usage_period_start, m
        FROM unnest(ARRAY[80, 100]) AS m WHERE m <= reached
        ON CONFLICT DO NOTHING RETURNING mark)
    SELECT EXISTS (SELECT FROM noted AS n WHERE n.mark = reached) INTO is_new;
    IF is_new THEN
        PERFORM private.notify_of_usage(profile, reached);
    END IF;
    RETURN is_new;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'usage of user %: %', profile.id, SQLERRM;
    RETURN false;
END $$;

-- Who is over a mark now is not told of it again by this change.
INSERT INTO worker.usage_notices (user_id, period_start, mark)
SELECT p.id, p.usage_period_start, m
FROM public.user_profiles AS p CROSS JOIN unnest(ARRAY[80, 100]) AS m
WHERE m <= private.usage_mark(p.monthly_messages_used, p.monthly_message_limit);

DROP TRIGGER tell_of_usage ON public.user_profiles;
DROP TRIGGER mail_of_usage ON public.user_profiles;
DROP TRIGGER emit_usage_limit_reached ON public.user_profiles;
DROP FUNCTION private.mail_of_usage();
DROP FUNCTION private.emit_usage_limit_reached();

CREATE OR REPLACE FUNCTION private.tell_of_usage() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM private.tell_of_mark(NEW);
    RETURN NULL;
END $$;
CREATE TRIGGER tell_of_usage
    AFTER INSERT OR UPDATE OF monthly_messages_used, monthly_message_limit, usage_period_start
    ON public.user_profiles
    FOR EACH ROW WHEN (NEW.monthly_messages_used > 0
        AND NEW.monthly_messages_used >= 0.8 * NEW.monthly_message_limit)
    EXECUTE FUNCTION private.tell_of_usage();

-- Periods that are over are told of no more: the reset comes. Profiles that are just written to
-- tell by themselves.
CREATE FUNCTION worker.tell_of_usage(users_max int) RETURNS int
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
DECLARE
    told int;
BEGIN
    WITH untold AS MATERIALIZED (
        SELECT p.*::public.user_profiles AS profile FROM public.user_profiles AS p
        JOIN private.period_starts((now() AT TIME ZONE 'UTC')::date) AS s
            ON s.anchor_day = p.billing_anchor_day AND p.usage_period_start >= s.begins
        WHERE p.monthly_messages_used > 0
          AND p.monthly_messages_used >= 0.8 * p.monthly_message_limit
          AND NOT EXISTS (
            SELECT FROM worker.usage_notices AS n
            WHERE n.user_id = p.id AND n.period_start = p.usage_period_start
              AND n.mark = private.usage_mark(p.monthly_messages_used, p.monthly_message_limit))
        ORDER BY p.id LIMIT users_max FOR NO KEY UPDATE OF p SKIP LOCKED)
    SELECT count(*) FILTER (WHERE private.tell_of_mark(u.profile))::int INTO told
    FROM untold AS u;
    RETURN told;
END $$;
COMMENT ON FUNCTION worker.tell_of_usage IS
    'Tells at most that many users who are over a mark and do not know; how many.';

REVOKE EXECUTE ON FUNCTION private.usage_mark, private.notify_of_usage, private.tell_of_mark,
    worker.tell_of_usage FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.usage_mark, private.tell_of_mark, worker.tell_of_usage
    TO service_role;

INSERT INTO worker.kinds (kind, queue, args, max_attempts, cap) VALUES
    ('reset_monthly_usage', 'default', '{}', 3, 1),
    ('check_usage_limits', 'default', '{}', 3, 1);
