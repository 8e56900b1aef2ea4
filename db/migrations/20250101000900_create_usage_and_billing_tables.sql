-- Usage and billing. Written by the system only; costs are decimals, a token costs less than a
-- millionth of a unit. What was used and billed outlives the account.

CREATE TABLE public.usage_logs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES public.user_profiles (id) ON DELETE SET NULL,
    agent_id uuid REFERENCES public.agents (id) ON DELETE SET NULL,
    usage_type text NOT NULL,
    ai_model text,
    prompt_tokens int NOT NULL DEFAULT 0,
    completion_tokens int NOT NULL DEFAULT 0,
    total_tokens int NOT NULL DEFAULT 0,
    unit_cost numeric(20, 10) NOT NULL DEFAULT 0,
    total_cost numeric(20, 10) NOT NULL DEFAULT 0,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT usage_logs_usage_type_check CHECK (usage_type IN
        ('message', 'conversation', 'knowledge_chunk', 'embedding', 'api_call', 'export')),
    CONSTRAINT usage_logs_tokens_check
        CHECK (prompt_tokens >= 0 AND completion_tokens >= 0 AND total_tokens >= 0)
);
COMMENT ON COLUMN public.usage_logs.unit_cost IS 'USD per token; total_cost is USD.';
CREATE INDEX usage_logs_user_id_created_at_idx ON public.usage_logs (user_id, created_at DESC);
CREATE INDEX usage_logs_agent_id_created_at_idx ON public.usage_logs (agent_id, created_at DESC);

CREATE TABLE public.monthly_usage_summary (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES public.user_profiles (id) ON DELETE CASCADE,
    year int NOT NULL,
    month int NOT NULL,
    total_messages int NOT NULL DEFAULT 0,
    total_conversations int NOT NULL DEFAULT 0,
    total_agents int NOT NULL DEFAULT 0,
    total_tokens bigint NOT NULL DEFAULT 0,
    total_ai_requests int NOT NULL DEFAULT 0,
    total_ai_cost numeric(20, 10) NOT NULL DEFAULT 0,
    message_limit int NOT NULL DEFAULT 0,
    messages_remaining int NOT NULL DEFAULT 0,
    overage_messages int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT monthly_usage_summary_user_id_year_month_key UNIQUE (user_id, year, month),
    CONSTRAINT monthly_usage_summary_month_check CHECK (month BETWEEN 1 AND 12)
);

CREATE TABLE public.billing_transactions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES public.user_profiles (id) ON DELETE SET NULL,
    type text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    amount numeric(14, 4) NOT NULL,
    currency text NOT NULL DEFAULT 'USD',
    tax_amount numeric(14, 4) NOT NULL DEFAULT 0,
    total_amount numeric(14, 4) NOT NULL,
    payment_method text,
    payment_provider text,
    provider_transaction_id text,
    invoice_number text,
    invoice_url text,
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT billing_transactions_type_check
        CHECK (type IN ('subscription', 'overage', 'one_time', 'refund', 'credit')),
    CONSTRAINT billing_transactions_currency_check CHECK (currency ~ '^[A-Z]{3}$')
);
CREATE INDEX billing_transactions_user_id_created_at_idx
    ON public.billing_transactions (user_id, created_at DESC);
CREATE UNIQUE INDEX billing_transactions_provider_idx
    ON public.billing_transactions (payment_provider, provider_transaction_id)
    WHERE provider_transaction_id IS NOT NULL;

CREATE TABLE public.subscription_history (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES public.user_profiles (id) ON DELETE CASCADE,
    tier text NOT NULL,
    status text NOT NULL,
    monthly_price numeric(14, 4),
    annual_price numeric(14, 4),
    billing_cycle text,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    trial_ends_at timestamptz,
    cancelled_at timestamptz,
    cancellation_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT subscription_history_tier_check
        CHECK (tier IN ('free', 'starter', 'professional', 'enterprise')),
    CONSTRAINT subscription_history_status_check
        CHECK (status IN ('active', 'cancelled', 'past_due', 'trialing'))
);
CREATE INDEX subscription_history_user_id_started_at_idx
    ON public.subscription_history (user_id, started_at DESC);

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.monthly_usage_summary
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.billing_transactions
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.subscription_history
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();

ALTER TABLE public.usage_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.monthly_usage_summary ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.billing_transactions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.subscription_history ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.usage_logs, public.monthly_usage_summary, public.billing_transactions,
    public.subscription_history FROM anon, authenticated;
GRANT ALL ON public.usage_logs, public.monthly_usage_summary, public.billing_transactions,
    public.subscription_history TO service_role;
GRANT SELECT ON public.usage_logs, public.monthly_usage_summary, public.billing_transactions,
    public.subscription_history TO authenticated;

CREATE POLICY "owners read usage" ON public.usage_logs
    FOR SELECT TO authenticated USING (user_id = (SELECT auth.uid()));
CREATE POLICY "owners read monthly usage" ON public.monthly_usage_summary
    FOR SELECT TO authenticated USING (user_id = (SELECT auth.uid()));
CREATE POLICY "owners read transactions" ON public.billing_transactions
    FOR SELECT TO authenticated USING (user_id = (SELECT auth.uid()));
CREATE POLICY "owners read subscriptions" ON public.subscription_history
    FOR SELECT TO authenticated USING (user_id = (SELECT auth.uid()));

CREATE FUNCTION private.keep_subscription_history() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.subscription_history SET ended_at = now()
    WHERE user_id = NEW.id AND ended_at IS NULL;
    INSERT INTO public.subscription_history (user_id, tier, status, cancelled_at)
    VALUES (NEW.id, NEW.subscription_tier, NEW.subscription_status,
            CASE WHEN NEW.subscription_status = 'cancelled' THEN now() END);
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION private.keep_subscription_history FROM PUBLIC;
CREATE TRIGGER keep_subscription_history
    AFTER UPDATE OF subscription_tier, subscription_status ON public.user_profiles
    FOR EACH ROW WHEN ((OLD.subscription_tier, OLD.subscription_status)
        IS DISTINCT FROM (NEW.subscription_tier, NEW.subscription_status))
    EXECUTE FUNCTION private.keep_subscription_history();
