-- What owners ask of their webhooks: send again, recover, test, and what happened. The public
-- functions run as their caller; the private ones first look whose it is.

-- Entries that can match an event: a name such as "lead.captured", "lead.*", or "*".
CREATE FUNCTION private.are_event_patterns(events text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT coalesce(bool_and(
        entry ~ '^(\*|[a-z0-9_]+\.\*|[a-z0-9_]+(\.[a-z0-9_]+)+)$' IS TRUE), true)
    FROM unnest(events) AS entry
$$;

-- What never matched anything goes; the webhook hears what it heard before.
UPDATE public.webhooks AS w
SET events = ARRAY(SELECT entry FROM unnest(w.events) AS entry
                   WHERE private.are_event_patterns(ARRAY[entry]))
WHERE NOT private.are_event_patterns(w.events);
ALTER TABLE public.webhooks ADD CONSTRAINT webhooks_events_check
    CHECK (private.are_event_patterns(events)) NOT VALID;

CREATE FUNCTION private.is_caller(user_id uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT user_id = (SELECT auth.uid()) OR (SELECT auth.role()) = 'service_role'
$$;

-- The webhook, locked, where the caller may ask this of it.
CREATE FUNCTION private.take_webhook(webhook_id uuid) RETURNS public.webhooks
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    hook public.webhooks;
BEGIN
    SELECT w.* INTO hook FROM public.webhooks AS w
    WHERE w.id = take_webhook.webhook_id AND private.is_caller(w.user_id) FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no webhook %', webhook_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN hook;
END $$;

CREATE OR REPLACE FUNCTION private.add_test_delivery(webhook_id uuid) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    tests_max CONSTANT int := 20;
    hook CONSTANT public.webhooks := private.take_webhook(webhook_id);
    delivery_id uuid;
BEGIN
    IF tests_max <= (
        SELECT count(*) FROM public.webhook_deliveries AS d
        WHERE d.webhook_id = hook.id AND d.event_type = 'webhook.test'
          AND d.created_at > now() - interval '1 minute')
    THEN
        RAISE EXCEPTION 'webhook % was sent % test events within a minute, limit %',
            hook.id, tests_max, tests_max
            USING ERRCODE = 'PT429', HINT = 'Wait a minute, or look at those that were sent.';
    END IF;
    INSERT INTO public.webhook_deliveries AS d (webhook_id, event_type, event_data)
    VALUES (hook.id, 'webhook.test',
            jsonb_build_object('webhook_id', hook.id, 'name', hook.name))
    RETURNING d.id INTO delivery_id;
    RETURN delivery_id;
END $$;

-- The same rows again: their receiver knows each event by the same id. One after the other,
-- `gap` apart. Whose jobs are locked first, as their workers do.
CREATE FUNCTION private.send_again(delivery_ids uuid[], gap interval) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    inactive text;
    sent int;
BEGIN
    SELECT w.name INTO inactive
    FROM public.webhook_deliveries AS d JOIN public.webhooks AS w ON w.id = d.webhook_id
    WHERE d.id = ANY (delivery_ids) AND NOT w.is_active AND d.event_type <> 'webhook.test' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'webhook "%" is not active', inactive
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Activate it first.';
    END IF;
    -- One call at a time: a job that another one is adding could not be locked before the webhook.
    PERFORM pg_advisory_xact_lock(hashtextextended('send_again:' || asked.webhook_id, 0))
    FROM (SELECT DISTINCT d.webhook_id FROM public.webhook_deliveries AS d
          WHERE d.id = ANY (delivery_ids) ORDER BY d.webhook_id) AS asked;
    PERFORM worker.lock_delivery_jobs(delivery_ids);
    PERFORM FROM public.webhooks AS w
    WHERE w.id IN (SELECT d.webhook_id FROM public.webhook_deliveries AS d
                   WHERE d.id = ANY (delivery_ids))
    ORDER BY w.id FOR NO KEY UPDATE;
    UPDATE public.webhook_deliveries AS d
    SET status = 'pending', next_retry_at = now() + gap * (wanted.place - 1)
    FROM unnest(delivery_ids) WITH ORDINALITY AS wanted (id, place)
    WHERE d.id = wanted.id;
    GET DIAGNOSTICS sent = ROW_COUNT;
    RETURN sent;
END $$;

CREATE FUNCTION private.renew_deliveries(delivery_ids uuid[]) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    ids_max CONSTANT int := 1000;
BEGIN
    IF cardinality(delivery_ids) > ids_max THEN
        RAISE EXCEPTION '% deliveries were asked for, limit % a call',
            cardinality(delivery_ids), ids_max USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN private.send_again(ARRAY(
        SELECT d.id FROM public.webhook_deliveries AS d
        JOIN public.webhooks AS w ON w.id = d.webhook_id
        WHERE d.id = ANY (delivery_ids) AND private.is_caller(w.user_id)
        ORDER BY d.created_at, d.id), '0 s');
END $$;

CREATE OR REPLACE FUNCTION private.renew_delivery(delivery_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF private.renew_deliveries(ARRAY[delivery_id]) = 0 THEN
        RAISE EXCEPTION 'no webhook delivery %', delivery_id USING ERRCODE = 'no_data_found';
    END IF;
END $$;

CREATE FUNCTION public.redeliver_webhooks(delivery_ids uuid[]) RETURNS int
LANGUAGE sql SECURITY INVOKER SET search_path = '' AS $$
    SELECT private.renew_deliveries(delivery_ids)
$$;
COMMENT ON FUNCTION public.redeliver_webhooks IS
    'Sends deliveries again, with their event ids and bodies and a new retry plan; how many of '
    'the ids are the caller''s.';

-- The oldest that are lost. Those that were set on their way by an earlier call are so no more.
CREATE FUNCTION private.recover_deliveries(webhook_id uuid, since timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    rows_max CONSTANT int := 10000;
    gap CONSTANT interval := interval '50 ms';
    asked public.webhooks;
BEGIN
    SELECT w.* INTO asked FROM public.webhooks AS w
    WHERE w.id = recover_deliveries.webhook_id AND private.is_caller(w.user_id);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no webhook %', webhook_id USING ERRCODE = 'no_data_found';
    END IF;
    IF NOT asked.is_active THEN
        RAISE EXCEPTION 'webhook "%" is not active', asked.name
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Activate it first.';
    END IF;
    RETURN private.send_again(ARRAY(
        SELECT d.id FROM public.webhook_deliveries AS d
        WHERE d.webhook_id = asked.id AND d.created_at >= since
          AND d.status IN ('failed', 'blocked', 'cancelled')
        ORDER BY d.created_at, d.id LIMIT rows_max), gap);
END $$;

CREATE FUNCTION public.recover_webhook(webhook_id uuid, since timestamptz) RETURNS int
LANGUAGE sql SECURITY INVOKER SET search_path = '' AS $$
    SELECT private.recover_deliveries(webhook_id, since)
$$;
COMMENT ON FUNCTION public.recover_webhook IS
    'Sends again what failed, was blocked or cancelled since then, oldest first, 20 a second; how '
    'many. At most 10,000 a call: call again for the rest.';

CREATE FUNCTION private.read_attempts(delivery_id uuid) RETURNS TABLE (
    attempt int, at timestamptz, http_status int, error_message text, duration_ms int,
    response_excerpt text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.webhook_deliveries AS d JOIN public.webhooks AS w ON w.id = d.webhook_id
        WHERE d.id = read_attempts.delivery_id AND private.is_caller(w.user_id))
    THEN
        RAISE EXCEPTION 'no webhook delivery %', delivery_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY
        SELECT h.attempt, h.at, h.http_status, h.error_message, h.duration_ms, h.response_excerpt
        FROM (
            SELECT a.attempt, a.at, a.http_status, a.error_message, a.duration_ms,
                   a.response_excerpt, a.id
            FROM worker.delivery_attempts AS a WHERE a.delivery_id = read_attempts.delivery_id
            UNION ALL
            SELECT d.attempt_count, d.delivered_at, d.http_status, NULL, d.duration_ms,
                   left(d.response_body, 1000), NULL
            FROM public.webhook_deliveries AS d
            WHERE d.id = read_attempts.delivery_id AND d.status = 'delivered') AS h
        ORDER BY h.id NULLS LAST;
END $$;

CREATE FUNCTION public.get_delivery_attempts(delivery_id uuid) RETURNS TABLE (
    attempt int, at timestamptz, http_status int, error_message text, duration_ms int,
    response_excerpt text)
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
    SELECT * FROM private.read_attempts(delivery_id)
$$;
COMMENT ON FUNCTION public.get_delivery_attempts IS
    'Every attempt that ended, oldest first, the one that arrived without an error. They count '
    'from 1 again where the delivery was sent again by hand.';

-- A webhook that is switched off is disabled, whoever did it.
CREATE FUNCTION worker.webhook_health(webhook_id uuid) RETURNS TABLE (
    state text, failing_since timestamptz, consecutive_failures int,
    next_attempt_at timestamptz, reason text)
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT CASE WHEN NOT w.is_active THEN 'disabled'
                WHEN e.open_until > now() THEN 'open'
                WHEN e.open_until IS NOT NULL THEN 'half_open'
                WHEN e.quick_needed > 0 THEN 'slow'
                ELSE 'closed' END,
           e.failing_since, coalesce(e.consecutive_failures, 0),
           -- Nothing goes out before the circuit lets it.
           CASE WHEN waiting.first_at IS NOT NULL
                THEN greatest(waiting.first_at, e.open_until) END,
           CASE WHEN NOT w.is_active THEN coalesce(e.disabled_reason, 'deactivated by its owner')
                ELSE h.reason END
    FROM public.webhooks AS w
    LEFT JOIN worker.endpoints AS e ON e.webhook_id = w.id
    LEFT JOIN worker.lane_holds AS h ON h.lane = 'deliver_webhook:' || w.id
    CROSS JOIN LATERAL (
        SELECT min(coalesce(d.next_retry_at, d.created_at)) AS first_at
        FROM public.webhook_deliveries AS d
        WHERE d.webhook_id = w.id AND d.status IN ('pending', 'retrying')) AS waiting
    WHERE w.id = webhook_health.webhook_id
$$;

CREATE FUNCTION private.read_webhook_health(webhook_id uuid) RETURNS TABLE (
    state text, failing_since timestamptz, consecutive_failures int,
    next_attempt_at timestamptz, reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.webhooks AS w
        WHERE w.id = read_webhook_health.webhook_id AND private.is_caller(w.user_id))
    THEN
        RAISE EXCEPTION 'no webhook %', webhook_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY SELECT h.* FROM worker.webhook_health(webhook_id) AS h;
END $$;

CREATE FUNCTION public.get_webhook_health(webhook_id uuid) RETURNS TABLE (
    state text, failing_since timestamptz, consecutive_failures int,
    next_attempt_at timestamptz, reason text)
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
    SELECT * FROM private.read_webhook_health(webhook_id)
$$;
COMMENT ON FUNCTION public.get_webhook_health IS
    'state: closed (all is well), slow, open (nothing is sent for now), half_open (a little is, '
    'to see), disabled.';

REVOKE EXECUTE ON FUNCTION private.are_event_patterns, private.is_caller, private.take_webhook,
    private.send_again, private.renew_deliveries, private.recover_deliveries,
    private.read_attempts, private.read_webhook_health, worker.webhook_health FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION public.redeliver_webhooks, public.recover_webhook,
    public.get_delivery_attempts, public.get_webhook_health FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION private.are_event_patterns TO anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION worker.webhook_health TO service_role;
GRANT EXECUTE ON FUNCTION private.renew_deliveries, private.recover_deliveries,
    private.read_attempts, private.read_webhook_health, public.redeliver_webhooks,
    public.recover_webhook, public.get_delivery_attempts, public.get_webhook_health
    TO authenticated, service_role;
