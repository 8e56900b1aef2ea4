-- Webhooks that we disabled because their receivers failed are tried now and then.

INSERT INTO worker.kinds (kind, queue, args, max_attempts, cap) VALUES
    ('probe_webhooks', 'default', '{}', 3, 1);

-- Goes with the endpoint's row, when the webhook is activated or gets another address.
CREATE TABLE worker.endpoint_probes (
    webhook_id uuid PRIMARY KEY REFERENCES worker.endpoints (webhook_id) ON DELETE CASCADE,
    probes int NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    delivery_id uuid
);
COMMENT ON COLUMN worker.endpoint_probes.probes IS 'How often it was tried since it was disabled.';
COMMENT ON COLUMN worker.endpoint_probes.next_at IS 'Infinity: never again.';
COMMENT ON COLUMN worker.endpoint_probes.delivery_id IS 'Of the last one: an event webhook.test.';
CREATE INDEX endpoint_probes_next_idx ON worker.endpoint_probes (next_at);
ALTER TABLE worker.endpoint_probes ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.endpoint_probes TO service_role;

-- As it was, but that the message tells of the probes.
CREATE OR REPLACE FUNCTION worker.disable_webhook(
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
            format('%s was disabled: %s. Nothing is sent to %s until you activate it again%s; what '
                   'was missed can be recovered then.', called, reason, hook.url,
                   CASE WHEN reason LIKE 'the receiver answered 410%' THEN ''
                        ELSE ', or it answers one of the tests that we send in the next ten days'
                   END),
            'high', '/webhooks/' || hook.id, 'Open webhook')
    ON CONFLICT ON CONSTRAINT notifications_pkey DO NOTHING;
    PERFORM private.write_email(
        hook.user_id, 'webhook_disabled', jsonb_build_object(
            'webhook_id', hook.id, 'webhook_name', called, 'url', hook.url, 'reason', reason,
            'failing_since', disable_webhook.failing_since),
        id => told_id);
    RETURN true;
END $$;
