-- A row of webhook_deliveries is its own job request, and its webhook counts what becomes of it.
--
-- Whoever locks several of these takes jobs first, then webhooks, then deliveries, each in the
-- order of their ids. Who holds a webhook already (its edit, its end) passes over locked jobs
-- and deliveries: what it leaves finds out by itself when its turn comes.

INSERT INTO worker.kinds (kind, queue, args, max_attempts, unique_by, rerun, limit_by, cap) VALUES
    ('deliver_webhook', 'webhooks', '{"delivery_id": "uuid", "webhook_id": "uuid?"}', 5,
     'delivery_id', true, 'webhook_id', 16);

-- How a webhook's receiver has been doing. No row: it answers, quickly.
CREATE TABLE worker.endpoints (
    webhook_id uuid PRIMARY KEY REFERENCES public.webhooks (id) ON DELETE CASCADE,
    consecutive_failures int NOT NULL DEFAULT 0,
    failing_since timestamptz,
    failed_for_good int NOT NULL DEFAULT 0,
    opened_times int NOT NULL DEFAULT 0,
    open_until timestamptz,
    ramp int NOT NULL DEFAULT 0,
    quick_needed int NOT NULL DEFAULT 0,
    succeeded_at timestamptz,
    disabled_reason text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN worker.endpoints.failed_for_good IS
    'Deliveries in a row whose whole plan failed; a success ends the row.';
COMMENT ON COLUMN worker.endpoints.opened_times IS
    'How often in a row its circuit opened: it stays open for longer each time.';
COMMENT ON COLUMN worker.endpoints.ramp IS
    'In flight at a time once open_until has passed: 1, and doubled by each success.';
COMMENT ON COLUMN worker.endpoints.quick_needed IS
    'Quick answers in a row until it is no longer a slow one; 0: it is quick.';
COMMENT ON COLUMN worker.endpoints.succeeded_at IS
    'The last success after a failure: failures of attempts that began before it are old news.';

-- What the first attempt sent, for all later ones to send the same.
CREATE TABLE worker.delivery_bodies (
    delivery_id uuid PRIMARY KEY REFERENCES public.webhook_deliveries (id) ON DELETE CASCADE,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX delivery_bodies_created_idx ON worker.delivery_bodies (created_at);

-- Attempts whose outcome the delivery's row shows no longer: those that failed, and what was
-- delivered before it was sent again.
CREATE TABLE worker.delivery_attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid NOT NULL REFERENCES public.webhook_deliveries (id) ON DELETE CASCADE,
    attempt int NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    http_status int,
    error_message text,
    duration_ms int,
    response_excerpt text
);
COMMENT ON COLUMN worker.delivery_attempts.attempt IS
    'From 1, and from 1 again each time the delivery is sent again by hand.';
CREATE INDEX delivery_attempts_delivery_idx ON worker.delivery_attempts (delivery_id, id);
CREATE INDEX delivery_attempts_at_idx ON worker.delivery_attempts (at);

-- Secrets that were replaced: they sign beside the new one until its receiver has learnt it.
CREATE TABLE worker.retired_secrets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id uuid NOT NULL REFERENCES public.webhooks (id) ON DELETE CASCADE,
    secret text NOT NULL,
    until_at timestamptz NOT NULL
);
CREATE INDEX retired_secrets_webhook_idx ON worker.retired_secrets (webhook_id, id);

ALTER TABLE worker.endpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.delivery_bodies ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.delivery_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.retired_secrets ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.endpoints, worker.delivery_bodies, worker.delivery_attempts,
    worker.retired_secrets TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA worker TO service_role;

CREATE INDEX webhook_deliveries_waiting_idx ON public.webhook_deliveries (webhook_id)
    WHERE status IN ('pending', 'retrying');

-- One statement for all rows of an insert: 500 webhooks hear of an event in the transaction it
-- happened in, which is a visitor's.
CREATE FUNCTION worker.enqueue_deliveries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.jobs
        (kind, queue, tenant, state, args, unique_key, limit_key, run_at, max_attempts)
    SELECT k.kind, k.queue, w.user_id,
           CASE WHEN n.next_retry_at > now() THEN 'scheduled' ELSE 'available' END,
           jsonb_build_object('delivery_id', n.id, 'webhook_id', n.webhook_id),
           n.id::text, n.webhook_id::text, coalesce(n.next_retry_at, now()), k.max_attempts
    FROM new_rows AS n
    JOIN public.webhooks AS w ON w.id = n.webhook_id
    JOIN worker.kinds AS k ON k.kind = 'deliver_webhook'
    WHERE n.status = 'pending'
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER enqueue_deliveries AFTER INSERT ON public.webhook_deliveries
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.enqueue_deliveries();

REVOKE EXECUTE ON FUNCTION worker.enqueue_deliveries FROM PUBLIC;
