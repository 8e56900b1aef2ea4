-- The audit trail: who changed what, with before and after, in activity_logs. Conversations and
-- messages are not here, they are a trail themselves.

CREATE FUNCTION private.request_header(name text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
BEGIN
    RETURN nullif(current_setting('request.headers', true), '')::jsonb ->> name;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN NULL;
END $$;

CREATE FUNCTION private.request_ip() RETURNS inet
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
BEGIN
    RETURN btrim(split_part(private.request_header('x-forwarded-for'), ',', 1))::inet;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN NULL;
END $$;

-- A row as the trail keeps it: no secrets, no counters, no documents.
CREATE FUNCTION private.audited(whole jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT jsonb_object_agg(key, CASE
        WHEN value = 'null' THEN value
        WHEN key IN ('secret', 'key_hash', 'custom_headers', 'settings')
            THEN to_jsonb('*** ' || left(md5(value::text), 8))
        WHEN key = 'content' THEN to_jsonb(length(value #>> '{}') || ' characters '
            || left(md5(value #>> '{}'), 8))
        ELSE value END)
    FROM jsonb_each(whole)
    WHERE key NOT IN ('created_at', 'updated_at', 'status_changed_at',
        'total_conversations', 'total_messages', 'total_leads', 'chunks_count', 'tokens_count',
        'progress', 'last_synced_at', 'total_requests', 'last_used_at', 'times_used',
        'success_rate', 'total_deliveries', 'successful_deliveries', 'failed_deliveries',
        'monthly_messages_used')
$$;

-- Written for the acting user, or where the system acts for the owner of the row; without a user
-- when the account itself is being deleted.
CREATE FUNCTION private.audit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN private.audited(to_jsonb(OLD)) END;
    after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN private.audited(to_jsonb(NEW)) END;
    row_now jsonb := coalesce(after, before);
    actor uuid := coalesce(
        auth.uid(), (row_now ->> 'user_id')::uuid,
        (SELECT a.user_id FROM public.agents AS a WHERE a.id = (row_now ->> 'agent_id')::uuid),
        CASE WHEN TG_ARGV[0] = 'user_profile' THEN (row_now ->> 'id')::uuid END);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT jsonb_object_agg(b.key, b.value), jsonb_object_agg(b.key, after -> b.key)
        INTO before, after
        FROM jsonb_each(before) AS b WHERE b.value IS DISTINCT FROM after -> b.key;
        IF before IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO public.activity_logs
        (user_id, action, resource_type, resource_id, description, changes, ip_address, user_agent)
    VALUES (
        (SELECT p.id FROM public.user_profiles AS p WHERE p.id = actor),
        CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'updated' ELSE 'deleted' END,
        TG_ARGV[0], (row_now ->> 'id')::uuid, row_now ->> 'name',
        jsonb_build_object('before', before, 'after', after),
        private.request_ip(), left(private.request_header('user-agent'), 500));
    RETURN NULL;
END $$;

REVOKE EXECUTE ON FUNCTION private.request_header, private.request_ip, private.audited,
    private.audit FROM PUBLIC;

-- Columns that workers and counters write are not named, so their updates cost nothing here.
CREATE TRIGGER audit AFTER UPDATE OF full_name, company_name, avatar_url, phone, email, time_zone,
        subscription_tier, subscription_status, monthly_message_limit
    ON public.user_profiles
    FOR EACH ROW EXECUTE FUNCTION private.audit('user_profile');
CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF user_id, name, description, avatar_url,
        ai_model, temperature, max_tokens, system_prompt, welcome_message, tone,
        enable_sentiment_analysis, enable_lead_capture, primary_color, widget_position,
        widget_size, is_published
    ON public.agents
    FOR EACH ROW EXECUTE FUNCTION private.audit('agent');
CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF agent_id, name, type, content, url,
        file_url, settings, auto_sync, sync_frequency
    ON public.knowledge_sources
    FOR EACH ROW EXECUTE FUNCTION private.audit('knowledge_source');
CREATE TRIGGER audit AFTER DELETE OR UPDATE ON public.leads
    FOR EACH ROW EXECUTE FUNCTION private.audit('lead');
CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON public.corrections
    FOR EACH ROW EXECUTE FUNCTION private.audit('correction');
CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF input, expected_output, category, tags,
        quality_score, is_active
    ON public.training_examples
    FOR EACH ROW EXECUTE FUNCTION private.audit('training_example');
CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF agent_id, name, scopes,
        rate_limit_per_minute, rate_limit_per_day, is_active, expires_at
    ON public.api_keys
    FOR EACH ROW EXECUTE FUNCTION private.audit('api_key');
CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF agent_id, name, url, secret, events,
        is_active, retry_failed, max_retries, custom_headers
    ON public.webhooks
    FOR EACH ROW EXECUTE FUNCTION private.audit('webhook');
