-- What an edit of a webhook means for what is on its way.

-- Not those in the middle of an attempt: that may well arrive. What is left, because it is locked
-- or because there is very much of it, finds the webhook inactive when its turn comes.
CREATE FUNCTION worker.cancel_deliveries(webhook_id uuid, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = '' SET enable_seqscan = off AS $$
DECLARE
    rows_max CONSTANT int := 20000;
    cancelled uuid[];
BEGIN
    WITH waiting AS MATERIALIZED (
        SELECT d.id FROM public.webhook_deliveries AS d
        WHERE d.webhook_id = cancel_deliveries.webhook_id AND d.status IN ('pending', 'retrying')
          AND d.event_type <> 'webhook.test'
          AND (SELECT j.state = 'running' FROM worker.jobs AS j
               WHERE j.kind = 'deliver_webhook' AND j.unique_key = d.id::text
                 AND j.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable')
               LIMIT 1) IS NOT TRUE
        LIMIT rows_max FOR UPDATE OF d SKIP LOCKED
    ), ended AS (
        UPDATE public.webhook_deliveries AS d
        SET status = 'cancelled', next_retry_at = NULL, error_message = reason
        FROM waiting WHERE d.id = waiting.id
        RETURNING d.id
    )
    SELECT array_agg(id) INTO cancelled FROM ended;
    PERFORM worker.end_delivery_jobs(cancelled, reason);
END $$;

CREATE FUNCTION worker.retire_secret(webhook_id uuid, secret text, replaced_by text) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    grace CONSTANT interval := interval '24 hours';
    secrets_max CONSTANT int := 3;
BEGIN
    INSERT INTO worker.retired_secrets (webhook_id, secret, until_at)
    VALUES (retire_secret.webhook_id, retire_secret.secret, now() + grace);
    DELETE FROM worker.retired_secrets AS r
    WHERE r.webhook_id = retire_secret.webhook_id
      AND (r.until_at <= now() OR r.secret = replaced_by OR r.id NOT IN (
          SELECT kept.id FROM worker.retired_secrets AS kept
          WHERE kept.webhook_id = retire_secret.webhook_id
          ORDER BY kept.id DESC LIMIT secrets_max));
END $$;

CREATE FUNCTION worker.follow_webhook() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF OLD.secret <> NEW.secret THEN
        PERFORM worker.retire_secret(NEW.id, OLD.secret, NEW.secret);
    END IF;
    IF OLD.is_active AND NOT NEW.is_active THEN
        PERFORM worker.cancel_deliveries(NEW.id, coalesce(
            (SELECT 'cancelled: the webhook was disabled before this was delivered, because '
                    || e.disabled_reason
             FROM worker.endpoints AS e WHERE e.webhook_id = NEW.id),
            'cancelled: the webhook was deactivated before this was delivered'));
    END IF;
    -- What was learnt of the receiver is of another one, or of one that was mended.
    IF OLD.url <> NEW.url OR OLD.secret <> NEW.secret OR (NEW.is_active AND NOT OLD.is_active) THEN
        DELETE FROM worker.endpoints AS e WHERE e.webhook_id = NEW.id;
        DELETE FROM worker.lane_holds AS h WHERE h.lane = 'deliver_webhook:' || NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER follow_webhook AFTER UPDATE OF url, secret, is_active ON public.webhooks
    FOR EACH ROW WHEN ((OLD.url, OLD.secret, OLD.is_active)
                       IS DISTINCT FROM (NEW.url, NEW.secret, NEW.is_active))
    EXECUTE FUNCTION worker.follow_webhook();

CREATE FUNCTION worker.forget_webhook() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    DELETE FROM worker.lane_holds AS h WHERE h.lane = 'deliver_webhook:' || OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_webhook AFTER DELETE ON public.webhooks
    FOR EACH ROW EXECUTE FUNCTION worker.forget_webhook();

-- Told once, however many decide it at a time: the first one locks the row, and both make the
-- same ids of it. False where it is inactive already.
CREATE FUNCTION worker.disable_webhook(
    webhook_id uuid, reason text, failing_since timestamptz
) RETURNS boolean
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    hook public.webhooks;
    called text;
    told_id uuid := md5('webhook_disabled:' || webhook_id || ':'
                        || extract(epoch FROM failing_since))::uuid;
BEGIN
    SELECT w.* INTO hook FROM public.webhooks AS w
    WHERE w.id = disable_webhook.webhook_id AND w.is_active FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    called := coalesce(nullif(btrim(hook.name), ''), hook.url);
    INSERT INTO worker.endpoints AS e (webhook_id, disabled_reason, failing_since)
    VALUES (hook.id, reason, disable_webhook.failing_since)
    ON CONFLICT ON CONSTRAINT endpoints_pkey DO UPDATE
    SET disabled_reason = excluded.disabled_reason, updated_at = now();
    UPDATE public.webhooks AS w SET is_active = false WHERE w.id = hook.id;
    INSERT INTO public.notifications
        (id, user_id, agent_id, type, title, message, priority, action_url, action_label)
    VALUES (told_id, hook.user_id, hook.agent_id, 'webhook_disabled', 'Webhook disabled',
            format('%s was disabled: %s. Nothing is sent to %s until you activate it again; what '
                   'was missed can be recovered then.', called, reason, hook.url),
            'high', '/webhooks/' || hook.id, 'Open webhook')
    ON CONFLICT ON CONSTRAINT notifications_pkey DO NOTHING;
    PERFORM private.write_email(
        hook.user_id, 'webhook_disabled', jsonb_build_object(
            'webhook_id', hook.id, 'webhook_name', called, 'url', hook.url, 'reason', reason,
            'failing_since', disable_webhook.failing_since),
        id => told_id);
    RETURN true;
END $$;

REVOKE EXECUTE ON FUNCTION worker.cancel_deliveries, worker.retire_secret, worker.follow_webhook,
    worker.forget_webhook, worker.disable_webhook FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.disable_webhook TO service_role;
