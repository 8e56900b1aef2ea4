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
CREATE INDEX retired_secrets_until_idx ON worker.retired_secrets (until_at);

ALTER TABLE worker.endpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.delivery_bodies ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.delivery_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.retired_secrets ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.endpoints, worker.delivery_bodies, worker.delivery_attempts,
    worker.retired_secrets TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA worker TO service_role;

CREATE INDEX webhook_deliveries_waiting_idx ON public.webhook_deliveries (webhook_id)
    WHERE status IN ('pending', 'retrying');

-- Within a year, whatever a row says: its delivery looks at the row again when its turn comes.
CREATE FUNCTION worker.due_at(next_retry_at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT least(greatest(coalesce(next_retry_at, now()), now() - interval '1 year'),
                 now() + interval '1 year')
$$;

-- A test is sent now, also where the circuit is open: whoever mends a receiver looks at it.
CREATE FUNCTION worker.lane_key(webhook_id uuid, event_type text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT CASE event_type WHEN 'webhook.test' THEN webhook_id || ':test'
                           ELSE webhook_id::text END
$$;

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
           n.id::text, worker.lane_key(n.webhook_id, n.event_type),
           worker.due_at(n.next_retry_at), k.max_attempts
    FROM new_rows AS n
    JOIN public.webhooks AS w ON w.id = n.webhook_id
    JOIN worker.kinds AS k ON k.kind = 'deliver_webhook'
    WHERE n.status IN ('pending', 'retrying')
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER enqueue_deliveries AFTER INSERT ON public.webhook_deliveries
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.enqueue_deliveries();


-- Sent again, by whoever sets it to pending: a new plan. What its row forgets, history keeps.
CREATE FUNCTION worker.begin_plan() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF OLD.status = 'delivered' THEN
        INSERT INTO worker.delivery_attempts
            (delivery_id, attempt, at, http_status, duration_ms, response_excerpt)
        VALUES (OLD.id, OLD.attempt_count, coalesce(OLD.delivered_at, OLD.updated_at),
                OLD.http_status, OLD.duration_ms, left(OLD.response_body, 1000));
    END IF;
    NEW.attempt_count := 0;
    NEW.delivered_at := NULL;
    NEW.error_message := NULL;
    IF NEW.next_retry_at IS NOT DISTINCT FROM OLD.next_retry_at THEN
        NEW.next_retry_at := now();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER begin_plan BEFORE UPDATE OF status ON public.webhook_deliveries
    FOR EACH ROW WHEN (NEW.status = 'pending' AND OLD.status <> 'pending')
    EXECUTE FUNCTION worker.begin_plan();

-- The unfinished jobs of deliveries, locked. One probe of an index for each, whatever the
-- statistics say of tables that were empty an hour ago.
CREATE FUNCTION worker.lock_delivery_jobs(delivery_ids uuid[]) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = ''
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    found_ids bigint[];
    locked_ids bigint[];
BEGIN
    SELECT array_agg(found.id ORDER BY found.id) INTO found_ids
    FROM unnest(delivery_ids) AS d (id)
    CROSS JOIN LATERAL (
        SELECT j.id FROM worker.jobs AS j
        WHERE j.kind = 'deliver_webhook' AND j.unique_key = d.id::text
          AND j.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable')
        LIMIT 1) AS found;
    SELECT array_agg(locked.id) INTO locked_ids
    FROM unnest(found_ids) AS f (id)
    CROSS JOIN LATERAL (
        SELECT j.id FROM worker.jobs AS j
        WHERE j.id = f.id
          AND j.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable')
        FOR UPDATE) AS locked;
    RETURN locked_ids;
END $$;

-- A waiting job is brought forward and begins its attempts anew; one that runs runs again.
CREATE FUNCTION worker.queue_deliveries(delivery_ids uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path = ''
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    UPDATE worker.jobs AS j
    SET rerun = j.rerun OR j.state = 'running',
        run_at = CASE j.state WHEN 'running' THEN j.run_at ELSE twin.due END,
        state = CASE WHEN j.state = 'running' THEN j.state
                     WHEN twin.due > now() OR j.blocked THEN 'scheduled' ELSE 'available' END,
        max_attempts = CASE j.state WHEN 'running' THEN j.max_attempts
                                    ELSE j.attempt + twin.max_attempts END
    FROM (SELECT t.id, worker.due_at(d.next_retry_at) AS due, k.max_attempts
          FROM unnest(worker.lock_delivery_jobs(delivery_ids)) AS locked (id)
          JOIN worker.jobs AS t ON t.id = locked.id
          JOIN public.webhook_deliveries AS d ON d.id = t.unique_key::uuid
          JOIN worker.kinds AS k ON k.kind = t.kind) AS twin
    WHERE j.id = twin.id;
    INSERT INTO worker.jobs
        (kind, queue, tenant, state, args, unique_key, limit_key, run_at, max_attempts)
    SELECT k.kind, k.queue, w.user_id,
           CASE WHEN d.next_retry_at > now() THEN 'scheduled' ELSE 'available' END,
           jsonb_build_object('delivery_id', d.id, 'webhook_id', d.webhook_id),
           d.id::text, worker.lane_key(d.webhook_id, d.event_type),
           worker.due_at(d.next_retry_at), k.max_attempts
    FROM unnest(delivery_ids) WITH ORDINALITY AS wanted (id, place)
    JOIN public.webhook_deliveries AS d ON d.id = wanted.id
    JOIN public.webhooks AS w ON w.id = d.webhook_id
    JOIN worker.kinds AS k ON k.kind = 'deliver_webhook'
    ORDER BY wanted.place
    ON CONFLICT DO NOTHING;
END $$;

-- Workers plan by key, which is no way to join what a statement wrote with what was there.
CREATE FUNCTION worker.renew_deliveries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' SET enable_hashjoin = on AS $$
DECLARE
    renewed uuid[];
BEGIN
    SELECT array_agg(n.id ORDER BY n.next_retry_at, n.created_at) INTO renewed
    FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
    WHERE n.status = 'pending'
      AND (o.status, o.next_retry_at) IS DISTINCT FROM (n.status, n.next_retry_at);
    IF renewed IS NOT NULL THEN
        PERFORM worker.queue_deliveries(renewed);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER renew_deliveries AFTER UPDATE ON public.webhook_deliveries
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.renew_deliveries();

-- successful: the rows that are delivered; failed: those that are failed or blocked; total: both.
-- A row counts while it is in such a state, and goes on counting when history forgets it.
CREATE FUNCTION worker.count_inserted_deliveries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    WITH changes AS MATERIALIZED (
        SELECT webhook_id, count(*) FILTER (WHERE status = 'delivered') AS delivered,
               count(*) FILTER (WHERE status IN ('failed', 'blocked')) AS failed
        FROM new_rows WHERE status IN ('delivered', 'failed', 'blocked') GROUP BY webhook_id
    ), locked AS MATERIALIZED (
        SELECT w.id FROM public.webhooks AS w WHERE w.id IN (SELECT webhook_id FROM changes)
        ORDER BY w.id FOR NO KEY UPDATE
    )
    UPDATE public.webhooks AS w
    SET total_deliveries = w.total_deliveries + c.delivered + c.failed,
        successful_deliveries = w.successful_deliveries + c.delivered,
        failed_deliveries = w.failed_deliveries + c.failed
    FROM locked JOIN changes AS c ON c.webhook_id = locked.id WHERE w.id = locked.id;
    RETURN NULL;
END $$;
CREATE TRIGGER count_inserted_deliveries AFTER INSERT ON public.webhook_deliveries
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.count_inserted_deliveries();

CREATE FUNCTION worker.count_updated_deliveries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' SET enable_hashjoin = on AS $$
BEGIN
    WITH moves AS MATERIALIZED (
        SELECT webhook_id, status, 1 AS sign FROM new_rows
        UNION ALL SELECT webhook_id, status, -1 FROM old_rows
    ), changes AS MATERIALIZED (
        SELECT webhook_id, coalesce(sum(sign) FILTER (WHERE status = 'delivered'), 0) AS delivered,
               coalesce(sum(sign) FILTER (WHERE status IN ('failed', 'blocked')), 0) AS failed
        FROM moves GROUP BY webhook_id
    ), locked AS MATERIALIZED (
        SELECT w.id FROM public.webhooks AS w
        WHERE w.id IN (SELECT webhook_id FROM changes WHERE delivered <> 0 OR failed <> 0)
        ORDER BY w.id FOR NO KEY UPDATE
    )
    UPDATE public.webhooks AS w
    SET total_deliveries = w.total_deliveries + c.delivered + c.failed,
        successful_deliveries = w.successful_deliveries + c.delivered,
        failed_deliveries = w.failed_deliveries + c.failed
    FROM locked JOIN changes AS c ON c.webhook_id = locked.id WHERE w.id = locked.id;
    RETURN NULL;
END $$;
CREATE TRIGGER count_updated_deliveries AFTER UPDATE ON public.webhook_deliveries
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.count_updated_deliveries();

-- Whoever gives the job up (its worker by a bug, the rescuer, an operator), no delivery waits for
-- ever. What the engine says of processes and bugs is not for customers. IS TRUE keeps the planner
-- off the index of all that waits, which it takes for empty.
CREATE FUNCTION worker.fail_delivery() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    wanted uuid := (NEW.args ->> 'delivery_id')::uuid;
BEGIN
    PERFORM FROM public.webhooks AS w
    WHERE w.id = (SELECT d.webhook_id FROM public.webhook_deliveries AS d
                  WHERE d.id = wanted AND (d.status IN ('pending', 'retrying')) IS TRUE)
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE public.webhook_deliveries AS d
    SET status = CASE NEW.state WHEN 'cancelled' THEN 'cancelled' ELSE 'failed' END,
        next_retry_at = NULL,
        error_message = CASE NEW.state
            WHEN 'cancelled' THEN 'cancelled: delivering was stopped before this arrived'
            ELSE 'internal: delivering failed because of a fault on our side; please send it '
                 'again, or contact support' END
    WHERE d.id = wanted AND (d.status IN ('pending', 'retrying')) IS TRUE;
    RETURN NULL;
END $$;
CREATE TRIGGER fail_delivery AFTER UPDATE OF state ON worker.jobs
    FOR EACH ROW WHEN (NEW.kind = 'deliver_webhook' AND OLD.state <> NEW.state
                       AND NEW.state IN ('discarded', 'cancelled'))
    EXECUTE FUNCTION worker.fail_delivery();

-- An operator who retries such a job means its delivery.
CREATE FUNCTION worker.retry_delivery() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.webhook_deliveries AS d SET status = 'pending', next_retry_at = NEW.run_at
    WHERE d.id = (NEW.args ->> 'delivery_id')::uuid AND d.status IN ('failed', 'cancelled');
    RETURN NULL;
END $$;
CREATE TRIGGER retry_delivery AFTER UPDATE OF state ON worker.jobs
    FOR EACH ROW WHEN (NEW.kind = 'deliver_webhook'
                       AND OLD.state IN ('discarded', 'cancelled') AND NEW.state = 'available')
    EXECUTE FUNCTION worker.retry_delivery();

-- The jobs of deliveries that nobody waits for any more. What runs ends by itself.
CREATE FUNCTION worker.end_delivery_jobs(delivery_ids uuid[], reason text) RETURNS void
LANGUAGE sql SET search_path = ''
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    WITH wanted AS MATERIALIZED (
        SELECT found.id FROM unnest(delivery_ids) AS d (id)
        CROSS JOIN LATERAL (
            SELECT j.id FROM worker.jobs AS j
            WHERE j.kind = 'deliver_webhook' AND j.unique_key = d.id::text
              AND j.state IN ('scheduled', 'available', 'dispatched', 'retryable')
            FOR UPDATE SKIP LOCKED) AS found
    )
    UPDATE worker.jobs AS j
    SET state = 'cancelled', finished_at = clock_timestamp(),
        errors = j.errors || jsonb_build_object(
            'attempt', j.attempt, 'at', clock_timestamp(), 'error', reason, 'trace', NULL)
    FROM wanted WHERE j.id = wanted.id
$$;

CREATE FUNCTION worker.forget_deliveries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    waiting uuid[] := ARRAY(
        SELECT o.id FROM old_rows AS o WHERE o.status IN ('pending', 'retrying'));
BEGIN
    IF waiting <> '{}' THEN
        PERFORM worker.end_delivery_jobs(waiting, 'The delivery was deleted.');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_deliveries AFTER DELETE ON public.webhook_deliveries
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.forget_deliveries();

REVOKE EXECUTE ON FUNCTION worker.due_at, worker.lane_key, worker.enqueue_deliveries,
    worker.begin_plan, worker.lock_delivery_jobs, worker.queue_deliveries,
    worker.renew_deliveries, worker.count_inserted_deliveries, worker.count_updated_deliveries,
    worker.fail_delivery, worker.retry_delivery, worker.end_delivery_jobs,
    worker.forget_deliveries FROM PUBLIC;

-- What stood here before anybody delivered.

UPDATE public.webhook_deliveries
SET status = 'cancelled', next_retry_at = NULL,
    error_message = 'cancelled: this event was more than a day old when delivering began'
WHERE status IN ('pending', 'retrying') AND created_at < now() - interval '1 day';
UPDATE public.webhook_deliveries SET status = 'pending', next_retry_at = now()
WHERE status IN ('pending', 'retrying');
UPDATE public.webhooks AS w
SET total_deliveries = counted.delivered + counted.failed,
    successful_deliveries = counted.delivered, failed_deliveries = counted.failed
FROM (SELECT d.webhook_id, count(*) FILTER (WHERE d.status = 'delivered') AS delivered,
             count(*) FILTER (WHERE d.status IN ('failed', 'blocked')) AS failed
      FROM public.webhook_deliveries AS d GROUP BY d.webhook_id) AS counted
WHERE counted.webhook_id = w.id;
