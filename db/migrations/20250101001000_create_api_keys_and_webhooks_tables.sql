-- API keys (hashes only) and webhooks with their deliveries.

CREATE TABLE public.api_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES public.user_profiles (id) ON DELETE CASCADE,
    agent_id uuid REFERENCES public.agents (id) ON DELETE CASCADE,
    name text NOT NULL,
    key_hash text NOT NULL UNIQUE,
    key_prefix text NOT NULL,
    scopes text[] NOT NULL DEFAULT '{}',
    rate_limit_per_minute int NOT NULL DEFAULT 60,
    rate_limit_per_day int NOT NULL DEFAULT 10000,
    is_active boolean NOT NULL DEFAULT true,
    total_requests bigint NOT NULL DEFAULT 0,
    last_used_at timestamptz,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- A key itself cannot be stored by mistake.
    CONSTRAINT api_keys_key_hash_check CHECK (key_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT api_keys_key_prefix_check CHECK (length(key_prefix) BETWEEN 1 AND 16),
    CONSTRAINT api_keys_rate_limits_check
        CHECK (rate_limit_per_minute >= 0 AND rate_limit_per_day >= 0)
);
COMMENT ON COLUMN public.api_keys.key_hash IS
    'SHA-256 of the whole key in UTF-8, as 64 lower-case hex digits.';
COMMENT ON COLUMN public.api_keys.agent_id IS 'Null: good for all agents of the user.';
CREATE INDEX api_keys_user_id_idx ON public.api_keys (user_id);
CREATE INDEX api_keys_agent_id_idx ON public.api_keys (agent_id);

CREATE TABLE public.webhooks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES public.user_profiles (id) ON DELETE CASCADE,
    agent_id uuid REFERENCES public.agents (id) ON DELETE CASCADE,
    name text NOT NULL,
    url text NOT NULL,
    secret text NOT NULL DEFAULT 'whsec_' || encode(
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'base64'),
    events text[] NOT NULL DEFAULT '{}',
    is_active boolean NOT NULL DEFAULT true,
    retry_failed boolean NOT NULL DEFAULT true,
    max_retries int NOT NULL DEFAULT 9,
    custom_headers jsonb NOT NULL DEFAULT '{}',
    total_deliveries bigint NOT NULL DEFAULT 0,
    successful_deliveries bigint NOT NULL DEFAULT 0,
    failed_deliveries bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhooks_url_check CHECK (url ~* '^https?://'),
    CONSTRAINT webhooks_secret_check CHECK (secret <> ''),
    CONSTRAINT webhooks_max_retries_check CHECK (max_retries >= 0),
    CONSTRAINT webhooks_custom_headers_check CHECK (jsonb_typeof(custom_headers) = 'object')
);
COMMENT ON COLUMN public.webhooks.agent_id IS 'Null: events of all agents of the user.';
COMMENT ON COLUMN public.webhooks.events IS 'Event names; "lead.*" and "*" stand for many.';
CREATE INDEX webhooks_user_id_idx ON public.webhooks (user_id);
CREATE INDEX webhooks_agent_id_idx ON public.webhooks (agent_id);

CREATE TABLE public.webhook_deliveries (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    webhook_id uuid NOT NULL REFERENCES public.webhooks (id) ON DELETE CASCADE,
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    event_type text NOT NULL,
    event_data jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'pending',
    http_status int,
    response_body text,
    error_message text,
    attempt_count int NOT NULL DEFAULT 0,
    next_retry_at timestamptz,
    delivered_at timestamptz,
    duration_ms int,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhook_deliveries_status_check CHECK (status IN
        ('pending', 'delivered', 'retrying', 'failed', 'blocked', 'cancelled')),
    CONSTRAINT webhook_deliveries_attempt_count_check CHECK (attempt_count >= 0),
    CONSTRAINT webhook_deliveries_webhook_id_event_id_key UNIQUE (webhook_id, event_id)
);
CREATE INDEX webhook_deliveries_webhook_id_created_at_idx
    ON public.webhook_deliveries (webhook_id, created_at DESC);
CREATE INDEX webhook_deliveries_next_retry_at_idx
    ON public.webhook_deliveries (next_retry_at) WHERE status IN ('pending', 'retrying');

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.api_keys
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.webhooks
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.webhook_deliveries
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();

ALTER TABLE public.api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.webhooks ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.webhook_deliveries ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.api_keys, public.webhooks, public.webhook_deliveries
    FROM anon, authenticated;
GRANT ALL ON public.api_keys, public.webhooks, public.webhook_deliveries TO service_role;
GRANT SELECT, DELETE,
    INSERT (id, user_id, agent_id, name, key_hash, key_prefix, scopes, rate_limit_per_minute,
        rate_limit_per_day, is_active, expires_at),
    UPDATE (name, scopes, rate_limit_per_minute, rate_limit_per_day, is_active, expires_at)
    ON public.api_keys TO authenticated;
GRANT SELECT, DELETE,
    INSERT (id, user_id, agent_id, name, url, secret, events, is_active, retry_failed,
        max_retries, custom_headers),
    UPDATE (agent_id, name, url, secret, events, is_active, retry_failed, max_retries,
        custom_headers)
    ON public.webhooks TO authenticated;
GRANT SELECT ON public.webhook_deliveries TO authenticated;

CREATE POLICY "owners read api keys" ON public.api_keys
    FOR SELECT TO authenticated USING (user_id = (SELECT auth.uid()));
CREATE POLICY "owners create api keys" ON public.api_keys
    FOR INSERT TO authenticated WITH CHECK (user_id = (SELECT auth.uid()) AND (
        agent_id IS NULL OR agent_id = ANY (ARRAY(SELECT private.own_agent_ids()))));
CREATE POLICY "owners edit api keys" ON public.api_keys
    FOR UPDATE TO authenticated
    USING (user_id = (SELECT auth.uid()))
    WITH CHECK (user_id = (SELECT auth.uid()) AND (
        agent_id IS NULL OR agent_id = ANY (ARRAY(SELECT private.own_agent_ids()))));
CREATE POLICY "owners delete api keys" ON public.api_keys
    FOR DELETE TO authenticated USING (user_id = (SELECT auth.uid()));

CREATE POLICY "owners read webhooks" ON public.webhooks
    FOR SELECT TO authenticated USING (user_id = (SELECT auth.uid()));
CREATE POLICY "owners create webhooks" ON public.webhooks
    FOR INSERT TO authenticated WITH CHECK (user_id = (SELECT auth.uid()) AND (
        agent_id IS NULL OR agent_id = ANY (ARRAY(SELECT private.own_agent_ids()))));
CREATE POLICY "owners edit webhooks" ON public.webhooks
    FOR UPDATE TO authenticated
    USING (user_id = (SELECT auth.uid()))
    WITH CHECK (user_id = (SELECT auth.uid()) AND (
        agent_id IS NULL OR agent_id = ANY (ARRAY(SELECT private.own_agent_ids()))));
CREATE POLICY "owners delete webhooks" ON public.webhooks
    FOR DELETE TO authenticated USING (user_id = (SELECT auth.uid()));

CREATE POLICY "owners read deliveries" ON public.webhook_deliveries
    FOR SELECT TO authenticated
    USING (webhook_id IN (SELECT w.id FROM public.webhooks AS w));
