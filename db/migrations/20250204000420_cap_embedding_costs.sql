-- What embedding costs, and how much of it a tenant may spend in a calendar month (UTC).

-- pipelines/gateways/embedder.py holds the same prices; a test compares.
CREATE TABLE worker.embedding_prices (
    model text PRIMARY KEY,
    usd_per_million numeric(20, 10) NOT NULL CHECK (usd_per_million >= 0)
);
INSERT INTO worker.embedding_prices (model, usd_per_million) VALUES
    ('text-embedding-ada-002', 0.10),
    ('text-embedding-3-small', 0.02),
    ('text-embedding-3-large', 0.13),
    ('wordllama-256', 0);

ALTER TABLE worker.tenants ADD COLUMN embedding_cap_usd numeric(20, 10);
ALTER TABLE worker.tenants ADD CONSTRAINT tenants_embedding_cap_check
    CHECK (embedding_cap_usd >= 0) NOT VALID;
COMMENT ON COLUMN worker.tenants.embedding_cap_usd IS 'A calendar month in UTC; null: no cap.';

-- What is in flight, and will be in usage_logs in a moment.
CREATE TABLE worker.spending_reservations (
    job_id bigint PRIMARY KEY,
    attempt int NOT NULL,
    tenant uuid NOT NULL,
    usd numeric(20, 10) NOT NULL
);
CREATE INDEX spending_reservations_tenant_idx ON worker.spending_reservations (tenant);

-- Jobs that sleep because the cap is reached.
CREATE TABLE worker.spending_pauses (
    job_id bigint PRIMARY KEY,
    tenant uuid NOT NULL,
    needs_usd numeric(20, 10) NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN worker.spending_pauses.needs_usd IS 'Woken for less it would only sleep again.';
CREATE INDEX spending_pauses_tenant_idx ON worker.spending_pauses (tenant);

ALTER TABLE worker.embedding_prices ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.spending_reservations ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.spending_pauses ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.embedding_prices, worker.spending_reservations, worker.spending_pauses
    TO service_role;

-- What a tenant paid for embedding since the month began.
CREATE FUNCTION worker.embedding_spent_usd(tenant uuid) RETURNS numeric
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT coalesce(sum(u.total_cost), 0) FROM public.usage_logs AS u
    WHERE u.user_id = tenant AND u.usage_type = 'embedding'
      AND u.created_at >= date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;

-- Reserves `usd` for all that this job has in flight, in place of what it had reserved before.
-- Whoever asks holds the tenant's row, so that of two requests that would both still fit only one
-- is let through: what is paid and what is in flight never exceed the cap together.
CREATE FUNCTION worker.reserve_spending(
    job_id bigint, attempt int, tenant uuid, usd numeric,
    OUT allowed boolean, OUT cap_usd numeric, OUT resumes_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    used numeric;
BEGIN
    resumes_at := (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month')
                  AT TIME ZONE 'UTC';
    allowed := true;
    SELECT t.embedding_cap_usd INTO cap_usd FROM worker.tenants AS t
    WHERE t.tenant = reserve_spending.tenant;
    IF cap_usd IS NULL THEN
        RETURN;
    END IF;
    SELECT t.embedding_cap_usd INTO cap_usd FROM worker.tenants AS t
    WHERE t.tenant = reserve_spending.tenant FOR UPDATE;
    -- Of attempts that are over nothing is in flight any more.
    DELETE FROM worker.spending_reservations AS r
    WHERE r.tenant = reserve_spending.tenant AND NOT EXISTS (
        SELECT FROM worker.jobs AS j
        WHERE j.id = r.job_id AND j.attempt = r.attempt AND j.state = 'running');
    SELECT worker.embedding_spent_usd(tenant) + coalesce(sum(r.usd), 0) INTO used
    FROM worker.spending_reservations AS r
    WHERE r.tenant = reserve_spending.tenant AND r.job_id <> reserve_spending.job_id;
    allowed := cap_usd IS NULL OR used + usd <= cap_usd;
    IF allowed THEN
        INSERT INTO worker.spending_reservations AS r (job_id, attempt, tenant, usd)
        VALUES (job_id, attempt, tenant, usd)
        ON CONFLICT ON CONSTRAINT spending_reservations_pkey DO UPDATE
        SET attempt = excluded.attempt, tenant = excluded.tenant, usd = excluded.usd;
    END IF;
END $$;

-- Lets those go on whose tenant may spend again; of one tenant, or of all. How many.
CREATE FUNCTION worker.wake_paused_jobs(tenant uuid DEFAULT NULL) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH spent AS MATERIALIZED (
        SELECT p.tenant, t.embedding_cap_usd - worker.embedding_spent_usd(p.tenant) AS left_usd
        FROM (SELECT DISTINCT s.tenant FROM worker.spending_pauses AS s
              WHERE wake_paused_jobs.tenant IS NULL OR s.tenant = wake_paused_jobs.tenant) AS p
        LEFT JOIN worker.tenants AS t ON t.tenant = p.tenant
    ), due AS MATERIALIZED (
        SELECT j.id FROM worker.spending_pauses AS p JOIN spent ON spent.tenant = p.tenant
        JOIN worker.jobs AS j ON j.id = p.job_id
        WHERE (spent.left_usd IS NULL OR spent.left_usd >= p.needs_usd) AND j.state = 'scheduled'
        ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
    ), woken AS (
        UPDATE worker.jobs AS j SET state = 'available', run_at = now()
        FROM due WHERE j.id = due.id RETURNING j.id
    ), forgotten AS (
        DELETE FROM worker.spending_pauses AS p
        WHERE p.job_id IN (SELECT id FROM due) OR NOT EXISTS (
            SELECT FROM worker.jobs AS j WHERE j.id = p.job_id
              AND j.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable'))
    )
    SELECT count(*) FROM woken
$$;

CREATE FUNCTION worker.wake_tenant() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM worker.wake_paused_jobs(OLD.tenant);
    RETURN NULL;
END $$;
CREATE TRIGGER wake_tenant AFTER UPDATE OF embedding_cap_usd OR DELETE ON worker.tenants
    FOR EACH ROW EXECUTE FUNCTION worker.wake_tenant();

REVOKE EXECUTE ON FUNCTION worker.embedding_spent_usd, worker.reserve_spending,
    worker.wake_paused_jobs, worker.wake_tenant FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.embedding_spent_usd, worker.reserve_spending,
    worker.wake_paused_jobs TO service_role;
