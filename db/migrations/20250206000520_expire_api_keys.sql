-- Keys are switched off when their time is over.

INSERT INTO worker.kinds (kind, queue, args, max_attempts, cap) VALUES
    ('expire_api_keys', 'default', '{}', 3, 1);

CREATE INDEX api_keys_expiring_idx ON public.api_keys (expires_at) WHERE is_active;

-- As it was, but that a key whose time is over is `expired` although it is switched off, too.
CREATE OR REPLACE FUNCTION public.verify_api_key(key text, required_scope text DEFAULT NULL)
RETURNS TABLE (
    is_valid boolean, reason text, api_key_id uuid, user_id uuid, agent_id uuid, scopes text[],
    retry_after_s int)
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
DECLARE
    found_key public.api_keys;
    used private.api_key_windows;
    this_minute timestamptz := date_trunc('minute', clock_timestamp());
    today timestamptz := date_trunc('day', clock_timestamp(), 'UTC');
BEGIN
    -- The row lock makes the limits exact: requests with one key are counted one after another.
    SELECT k.* INTO found_key FROM public.api_keys AS k
    WHERE k.key_hash = encode(sha256(convert_to(verify_api_key.key, 'UTF8')), 'hex')
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT false, 'unknown', NULL::uuid, NULL::uuid, NULL::uuid, NULL::text[],
                            NULL::int;
        RETURN;
    END IF;

    SELECT w.* INTO used FROM private.api_key_windows AS w WHERE w.api_key_id = found_key.id;
    IF used.minute IS DISTINCT FROM this_minute THEN
        used.minute_requests := 0;
    END IF;
    IF used.day IS DISTINCT FROM today THEN
        used.day_requests := 0;
    END IF;
    reason := CASE
        WHEN found_key.expires_at <= clock_timestamp() THEN 'expired'
        WHEN NOT found_key.is_active THEN 'inactive'
        WHEN required_scope IS NOT NULL
            AND NOT found_key.scopes && ARRAY[required_scope, '*'] THEN 'scope'
        WHEN used.day_requests >= found_key.rate_limit_per_day THEN 'day_limit'
        WHEN used.minute_requests >= found_key.rate_limit_per_minute THEN 'minute_limit'
    END;
    retry_after_s := ceil(extract(epoch FROM CASE reason
        WHEN 'day_limit' THEN today + interval '1 day'
        WHEN 'minute_limit' THEN this_minute + interval '1 minute'
    END - clock_timestamp()))::int;

    IF reason IS NULL THEN
        INSERT INTO private.api_key_windows AS w
            (api_key_id, minute, minute_requests, day, day_requests)
        VALUES (found_key.id, this_minute, used.minute_requests + 1,
                today, used.day_requests + 1)
        ON CONFLICT ON CONSTRAINT api_key_windows_pkey DO UPDATE
        SET minute = excluded.minute, minute_requests = excluded.minute_requests,
            day = excluded.day, day_requests = excluded.day_requests;
        UPDATE public.api_keys AS k
        SET total_requests = k.total_requests + 1, last_used_at = clock_timestamp()
        WHERE k.id = found_key.id;
    END IF;
    RETURN QUERY SELECT verify_api_key.reason IS NULL, verify_api_key.reason, found_key.id,
        found_key.user_id, found_key.agent_id, found_key.scopes, verify_api_key.retry_after_s;
END $$;
