-- API keys: made for their owner, shown once, checked by the web tier.

-- What a key has used of its limits. Apart from the key, so that its row is not rewritten at
-- every request by more than the two figures that owners see.
CREATE TABLE private.api_key_windows (
    api_key_id uuid PRIMARY KEY REFERENCES public.api_keys (id) ON DELETE CASCADE,
    minute timestamptz NOT NULL,
    minute_requests int NOT NULL,
    day timestamptz NOT NULL,
    day_requests int NOT NULL
) WITH (fillfactor = 50);
ALTER TABLE private.api_key_windows ENABLE ROW LEVEL SECURITY;

CREATE FUNCTION public.create_api_key(
    name text, agent_id uuid DEFAULT NULL, scopes text[] DEFAULT '{}',
    expires_at timestamptz DEFAULT NULL
) RETURNS TABLE (id uuid, key text)
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
#variable_conflict use_variable
BEGIN
    key := 'avk_' || encode(
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'hex');
    INSERT INTO public.api_keys AS k
        (user_id, agent_id, name, key_hash, key_prefix, scopes, expires_at)
    VALUES (auth.uid(), agent_id, name, encode(sha256(convert_to(key, 'UTF8')), 'hex'),
            left(key, 12), coalesce(scopes, '{}'), expires_at)
    RETURNING k.id INTO id;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION public.create_api_key IS
    'The only time the key is seen: the table keeps its hash.';
REVOKE EXECUTE ON FUNCTION public.create_api_key FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION public.create_api_key TO authenticated, service_role;

-- Counts a request that is let through, and says who asks; a refused one counts nothing.
CREATE FUNCTION public.verify_api_key(key text, required_scope text DEFAULT NULL)
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
        WHEN NOT found_key.is_active THEN 'inactive'
        WHEN found_key.expires_at <= clock_timestamp() THEN 'expired'
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
COMMENT ON FUNCTION public.verify_api_key IS
    'reason: null, or unknown, inactive, expired, scope, minute_limit, day_limit. Always one row.';
REVOKE EXECUTE ON FUNCTION public.verify_api_key FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION public.verify_api_key TO service_role;
GRANT ALL ON private.api_key_windows TO service_role;

-- success_rate is the mean over all uses, so a use is counted with its outcome.
CREATE FUNCTION public.record_training_use(example_id uuid, succeeded boolean) RETURNS void
LANGUAGE sql SECURITY INVOKER SET search_path = '' AS $$
    UPDATE public.training_examples
    SET times_used = times_used + 1,
        success_rate = (coalesce(success_rate, 0) * times_used + succeeded::int)
            / (times_used + 1)
    WHERE id = example_id
$$;
REVOKE EXECUTE ON FUNCTION public.record_training_use FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION public.record_training_use TO service_role;
