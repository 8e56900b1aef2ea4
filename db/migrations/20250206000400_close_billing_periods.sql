-- What a period that is over costs. Triggers keep what plans were, the job decides and freezes.

-- Between two changes the plan did not change: this and the profile's row say what held when.
CREATE TABLE worker.plan_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES public.user_profiles (id) ON DELETE CASCADE,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    message_limit int NOT NULL,
    tier text NOT NULL
);
COMMENT ON TABLE worker.plan_changes IS
    'Limits and tiers that held until changed_at; what holds now is in user_profiles.';
CREATE INDEX plan_changes_user_id_changed_at_idx ON worker.plan_changes (user_id, changed_at);

-- The clock, not the transaction's start: the row's lock makes changes follow each other, and so
-- must their times. Who sets a period back says what holds in it, which is no change within it.
CREATE FUNCTION private.keep_plan_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.plan_changes (user_id, message_limit, tier)
    VALUES (OLD.id, OLD.monthly_message_limit, OLD.subscription_tier);
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION private.keep_plan_change FROM PUBLIC;
CREATE TRIGGER keep_plan_change
    AFTER UPDATE OF monthly_message_limit, subscription_tier ON public.user_profiles
    FOR EACH ROW WHEN (
        (OLD.monthly_message_limit, OLD.subscription_tier)
            IS DISTINCT FROM (NEW.monthly_message_limit, NEW.subscription_tier)
        AND NEW.usage_period_start >= OLD.usage_period_start)
    EXECUTE FUNCTION private.keep_plan_change();

CREATE TABLE worker.overage_prices (
    tier text NOT NULL,
    currency text NOT NULL DEFAULT 'USD',
    valid_from timestamptz NOT NULL DEFAULT now(),
    price_per_message numeric(20, 10) NOT NULL,
    PRIMARY KEY (tier, currency, valid_from),
    CONSTRAINT overage_prices_tier_check
        CHECK (tier IN ('free', 'starter', 'professional', 'enterprise')),
    CONSTRAINT overage_prices_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT overage_prices_valid_from_check CHECK (isfinite(valid_from)),
    -- NaN is greater than any number.
    CONSTRAINT overage_prices_price_per_message_check
        CHECK (price_per_message > 0 AND price_per_message < 'NaN')
);
COMMENT ON TABLE worker.overage_prices IS
    'What a message above the allowance costs; the latest that was valid before a period''s end.';
INSERT INTO worker.overage_prices (tier, valid_from, price_per_message) VALUES
    ('free', '1970-01-01 00:00+00', 0.02),
    ('starter', '1970-01-01 00:00+00', 0.02),
    ('professional', '1970-01-01 00:00+00', 0.015),
    ('enterprise', '1970-01-01 00:00+00', 0.01);

CREATE TABLE worker.billing_terms (
    user_id uuid PRIMARY KEY REFERENCES public.user_profiles (id) ON DELETE CASCADE,
    tax_rate numeric(7, 6) NOT NULL DEFAULT 0,
    currency text NOT NULL DEFAULT 'USD',
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT billing_terms_tax_rate_check CHECK (tax_rate BETWEEN 0 AND 1),
    CONSTRAINT billing_terms_currency_check CHECK (currency ~ '^[A-Z]{3}$')
);
COMMENT ON TABLE worker.billing_terms IS
    'In what a customer pays and at which rate of tax, 0.19 for 19 %; without a row USD, no tax.';

ALTER TABLE worker.plan_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.overage_prices ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.billing_terms ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.plan_changes, worker.overage_prices, worker.billing_terms TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA worker TO service_role;

ALTER TABLE worker.billing_periods
    ADD COLUMN idempotency_key text,
    ADD COLUMN late_counted int NOT NULL DEFAULT 0,
    ADD COLUMN error_message text;
COMMENT ON COLUMN worker.billing_periods.closing IS
    'What was decided, frozen; decimals are text. The event billing.period_closed carries it.';
COMMENT ON COLUMN worker.billing_periods.late_counted IS
    'Messages found after the closing; they were added to a later period.';
COMMENT ON COLUMN worker.billing_periods.error_message IS 'Why it could not be closed, so far.';
CREATE UNIQUE INDEX billing_periods_idempotency_key_idx
    ON worker.billing_periods (idempotency_key);
CREATE INDEX billing_periods_open_idx
    ON worker.billing_periods (user_id, period_start) WHERE closed_at IS NULL;

-- Frozen means frozen, for whoever holds a key of the system too.
CREATE FUNCTION worker.keep_closing() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'billing period % of user % is closed', OLD.period_start, OLD.user_id
        USING ERRCODE = 'object_not_in_prerequisite_state';
END $$;
REVOKE EXECUTE ON FUNCTION worker.keep_closing FROM PUBLIC;
CREATE TRIGGER keep_closing BEFORE UPDATE ON worker.billing_periods
    FOR EACH ROW WHEN (
        OLD.closed_at IS NOT NULL
        AND (OLD.user_id, OLD.period_start, OLD.period_end, OLD.messages_counted,
             OLD.message_limit, OLD.tier, OLD.closed_at, OLD.closing, OLD.idempotency_key)
            IS DISTINCT FROM
            (NEW.user_id, NEW.period_start, NEW.period_end, NEW.messages_counted,
             NEW.message_limit, NEW.tier, NEW.closed_at, NEW.closing, NEW.idempotency_key))
    EXECUTE FUNCTION worker.keep_closing();

INSERT INTO worker.kinds (kind, queue, args, max_attempts, cap) VALUES
    ('close_billing_period', 'default', '{"user_id": "uuid?"}', 3, 1);
