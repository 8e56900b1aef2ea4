-- What owners ask of the workers. The public functions run as their caller; what the caller's
-- role may not write is done by a private one that first looks whose it is.

CREATE TABLE worker.source_credentials (
    source_id uuid PRIMARY KEY REFERENCES public.knowledge_sources (id) ON DELETE CASCADE,
    credentials jsonb,
    sealed bytea,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT source_credentials_form_check CHECK (num_nonnulls(credentials, sealed) = 1)
);
COMMENT ON TABLE worker.source_credentials IS
    'Entered in the clear, sealed with CREDENTIALS_KEY by the worker that first uses them.';
ALTER TABLE worker.source_credentials ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.source_credentials TO service_role;

CREATE FUNCTION public.retry_knowledge_source(source_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
BEGIN
    UPDATE public.knowledge_sources SET status = 'pending' WHERE id = source_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no knowledge source %', source_id USING ERRCODE = 'no_data_found';
    END IF;
END $$;

CREATE FUNCTION private.store_source_credentials(source_id uuid, credentials jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.knowledge_sources AS s JOIN public.agents AS a ON a.id = s.agent_id
        WHERE s.id = store_source_credentials.source_id AND a.user_id = auth.uid())
    THEN
        RAISE EXCEPTION 'no knowledge source %', source_id USING ERRCODE = 'no_data_found';
    END IF;
    IF jsonb_typeof(credentials) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'credentials must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO worker.source_credentials AS c (source_id, credentials)
    VALUES (store_source_credentials.source_id, store_source_credentials.credentials)
    ON CONFLICT ON CONSTRAINT source_credentials_pkey DO UPDATE
    SET credentials = excluded.credentials, sealed = NULL, updated_at = now();
END $$;

CREATE FUNCTION public.set_source_credentials(source_id uuid, credentials jsonb) RETURNS void
LANGUAGE sql SECURITY INVOKER SET search_path = '' AS $$
    SELECT private.store_source_credentials(source_id, credentials)
$$;

CREATE FUNCTION private.add_test_delivery(webhook_id uuid) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    delivery_id uuid;
BEGIN
    INSERT INTO public.webhook_deliveries AS d (webhook_id, event_type, event_data)
    SELECT w.id, 'webhook.test', jsonb_build_object('webhook_id', w.id, 'name', w.name)
    FROM public.webhooks AS w
    WHERE w.id = add_test_delivery.webhook_id AND w.user_id = auth.uid()
    RETURNING d.id INTO delivery_id;
    IF delivery_id IS NULL THEN
        RAISE EXCEPTION 'no webhook %', webhook_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN delivery_id;
END $$;

CREATE FUNCTION public.send_test_webhook(webhook_id uuid) RETURNS uuid
LANGUAGE sql SECURITY INVOKER SET search_path = '' AS $$
    SELECT private.add_test_delivery(webhook_id)
$$;
COMMENT ON FUNCTION public.send_test_webhook IS
    'Returns the delivery, also of an inactive webhook.';

-- The same row again: its receiver knows the event by the same id.
CREATE FUNCTION private.renew_delivery(delivery_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.webhook_deliveries AS d
    SET status = 'pending', next_retry_at = now(), delivered_at = NULL, error_message = NULL
    FROM public.webhooks AS w
    WHERE d.id = delivery_id AND w.id = d.webhook_id AND w.user_id = auth.uid();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no webhook delivery %', delivery_id USING ERRCODE = 'no_data_found';
    END IF;
END $$;

CREATE FUNCTION public.redeliver_webhook(delivery_id uuid) RETURNS void
LANGUAGE sql SECURITY INVOKER SET search_path = '' AS $$
    SELECT private.renew_delivery(delivery_id)
$$;

REVOKE EXECUTE ON FUNCTION private.store_source_credentials, private.add_test_delivery,
    private.renew_delivery FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION public.retry_knowledge_source, public.set_source_credentials,
    public.send_test_webhook, public.redeliver_webhook FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION private.store_source_credentials, private.add_test_delivery,
    private.renew_delivery, public.retry_knowledge_source, public.set_source_credentials,
    public.send_test_webhook, public.redeliver_webhook TO authenticated, service_role;
