-- Domain events: what happened becomes one delivery row per subscribed active webhook, in the
-- transaction it happened in. All rows of one event share its event_id.

-- The entries of webhooks.events that an event name answers to.
CREATE FUNCTION private.event_patterns(event_type text) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT ARRAY[event_type, split_part(event_type, '.', 1) || '.*', '*']
$$;

-- Those of the agents whose owner listens; asked first, because mostly nobody does.
CREATE FUNCTION private.listening_agents(event_type text, agent_ids uuid[]) RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    patterns text[] := private.event_patterns(event_type);
BEGIN
    RETURN (
        SELECT array_agg(a.id) FROM public.agents AS a
        WHERE a.id = ANY (agent_ids) AND EXISTS (
            SELECT FROM public.webhooks AS w
            WHERE w.user_id = a.user_id AND w.is_active AND w.events && patterns
              AND (w.agent_id IS NULL OR w.agent_id = a.id)));
END $$;

-- One event for each pair of agent and content.
CREATE FUNCTION private.emit_events(event_type text, agent_ids uuid[], contents jsonb[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    patterns text[] := private.event_patterns(event_type);
BEGIN
    INSERT INTO public.webhook_deliveries (webhook_id, event_id, event_type, event_data)
    WITH events AS MATERIALIZED (
        SELECT agent_id, content, gen_random_uuid() AS event_id
        FROM unnest(agent_ids, contents) AS happened (agent_id, content)
    )
    SELECT w.id, e.event_id, emit_events.event_type, e.content
    FROM events AS e
    JOIN public.agents AS a ON a.id = e.agent_id
    JOIN public.webhooks AS w ON w.user_id = a.user_id
    WHERE w.is_active AND w.events && patterns
      AND (w.agent_id IS NULL OR w.agent_id = a.id);
END $$;

-- An event of the account, not of one agent: only webhooks for all agents hear it.
CREATE FUNCTION private.emit_user_event(event_type text, user_id uuid, content jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    shared_id uuid := gen_random_uuid();
    patterns text[] := private.event_patterns(event_type);
BEGIN
    INSERT INTO public.webhook_deliveries (webhook_id, event_id, event_type, event_data)
    SELECT w.id, shared_id, emit_user_event.event_type, content
    FROM public.webhooks AS w
    WHERE w.user_id = emit_user_event.user_id AND w.agent_id IS NULL
      AND w.is_active AND w.events && patterns;
END $$;

-- What a receiver may know of a conversation: not the visitor's address.
CREATE FUNCTION private.conversation_content(c public.conversations) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT to_jsonb(c) - '{visitor_ip,visitor_location,visitor_metadata,updated_at}'::text[]
$$;

CREATE FUNCTION private.emit_conversation_started() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    listening uuid[] := private.listening_agents(
        'conversation.started', ARRAY(SELECT DISTINCT agent_id FROM new_rows));
BEGIN
    IF listening IS NOT NULL THEN
        PERFORM private.emit_events(
            'conversation.started', array_agg(n.agent_id),
            array_agg(private.conversation_content(n::public.conversations)))
        FROM new_rows AS n WHERE n.agent_id = ANY (listening);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER emit_conversation_started AFTER INSERT ON public.conversations
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION private.emit_conversation_started();

CREATE FUNCTION private.emit_conversation_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM private.emit_events(
        TG_ARGV[0], ARRAY[NEW.agent_id], ARRAY[private.conversation_content(NEW)]);
    RETURN NULL;
END $$;
CREATE TRIGGER emit_conversation_resolved AFTER UPDATE OF status ON public.conversations
    FOR EACH ROW WHEN (NEW.status = 'resolved' AND OLD.status <> 'resolved')
    EXECUTE FUNCTION private.emit_conversation_change('conversation.resolved');
CREATE TRIGGER emit_conversation_negative AFTER UPDATE OF sentiment_label ON public.conversations
    FOR EACH ROW WHEN (NEW.sentiment_label = 'negative'
        AND OLD.sentiment_label IS DISTINCT FROM 'negative')
    EXECUTE FUNCTION private.emit_conversation_change('conversation.negative');

-- Long texts are cut: a receiver gets an event, not a document.
CREATE FUNCTION private.message_content(m public.messages, agent_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT jsonb_build_object(
        'id', m.id, 'conversation_id', m.conversation_id, 'agent_id', agent_id,
        'role', m.role, 'content', left(m.content, 4000),
        'content_cut', length(m.content) > 4000, 'created_at', m.created_at)
$$;

CREATE FUNCTION private.emit_message_created() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    listening uuid[] := private.listening_agents('message.created', ARRAY(
        SELECT DISTINCT c.agent_id FROM public.conversations AS c
        WHERE c.id IN (SELECT conversation_id FROM new_rows)));
BEGIN
    IF listening IS NOT NULL THEN
        PERFORM private.emit_events(
            'message.created', array_agg(c.agent_id),
            array_agg(private.message_content(n::public.messages, c.agent_id)))
        FROM new_rows AS n JOIN public.conversations AS c ON c.id = n.conversation_id
        WHERE c.agent_id = ANY (listening);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER emit_message_created AFTER INSERT ON public.messages
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION private.emit_message_created();

CREATE FUNCTION private.lead_content(l public.leads) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$ SELECT to_jsonb(l) - 'updated_at' $$;

CREATE FUNCTION private.emit_lead_captured() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    listening uuid[] := private.listening_agents(
        'lead.captured', ARRAY(SELECT DISTINCT agent_id FROM new_rows));
BEGIN
    IF listening IS NOT NULL THEN
        PERFORM private.emit_events('lead.captured', array_agg(n.agent_id),
                                    array_agg(private.lead_content(n::public.leads)))
        FROM new_rows AS n WHERE n.agent_id = ANY (listening);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER emit_lead_captured AFTER INSERT ON public.leads
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION private.emit_lead_captured();

CREATE FUNCTION private.emit_lead_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF private.lead_content(OLD) <> private.lead_content(NEW) THEN
        PERFORM private.emit_events(
            'lead.updated', ARRAY[NEW.agent_id], ARRAY[private.lead_content(NEW)]);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER emit_lead_updated AFTER UPDATE ON public.leads
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.emit_lead_updated();

CREATE FUNCTION private.emit_knowledge_result() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM private.emit_events('knowledge.' || NEW.status, ARRAY[NEW.agent_id], ARRAY[
        jsonb_build_object(
            'id', NEW.id, 'agent_id', NEW.agent_id, 'name', NEW.name, 'type', NEW.type,
            'status', NEW.status, 'error_message', NEW.error_message,
            'chunks_count', NEW.chunks_count, 'tokens_count', NEW.tokens_count)]);
    RETURN NULL;
END $$;
CREATE TRIGGER emit_knowledge_result AFTER UPDATE OF status ON public.knowledge_sources
    FOR EACH ROW WHEN (NEW.status IN ('completed', 'failed') AND OLD.status <> NEW.status)
    EXECUTE FUNCTION private.emit_knowledge_result();

CREATE FUNCTION private.emit_correction_approved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM private.emit_events(
        'correction.approved', ARRAY[NEW.agent_id], ARRAY[to_jsonb(NEW) - 'updated_at']);
    RETURN NULL;
END $$;
CREATE TRIGGER emit_correction_approved AFTER UPDATE OF status ON public.corrections
    FOR EACH ROW WHEN (NEW.status = 'approved' AND OLD.status <> 'approved')
    EXECUTE FUNCTION private.emit_correction_approved();

CREATE FUNCTION private.emit_usage_limit_reached() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM private.emit_user_event('usage.limit_reached', NEW.id, jsonb_build_object(
        'user_id', NEW.id, 'messages_used', NEW.monthly_messages_used,
        'messages_limit', NEW.monthly_message_limit,
        'usage_period_start', NEW.usage_period_start));
    RETURN NULL;
END $$;
CREATE TRIGGER emit_usage_limit_reached
    AFTER UPDATE OF monthly_messages_used, monthly_message_limit ON public.user_profiles
    FOR EACH ROW WHEN (NEW.monthly_messages_used >= NEW.monthly_message_limit
        AND OLD.monthly_messages_used < OLD.monthly_message_limit)
    EXECUTE FUNCTION private.emit_usage_limit_reached();

REVOKE EXECUTE ON FUNCTION private.event_patterns, private.listening_agents, private.emit_events,
    private.emit_user_event, private.conversation_content, private.emit_conversation_started,
    private.emit_conversation_change, private.message_content, private.emit_message_created,
    private.lead_content, private.emit_lead_captured, private.emit_lead_updated,
    private.emit_knowledge_result, private.emit_correction_approved,
    private.emit_usage_limit_reached FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.emit_events, private.emit_user_event TO service_role;
