-- Leads: visitors who left an address.

CREATE TABLE public.leads (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id uuid NOT NULL REFERENCES public.agents (id) ON DELETE CASCADE,
    conversation_id uuid REFERENCES public.conversations (id) ON DELETE SET NULL,
    name text,
    email text,
    phone text,
    company text,
    custom_fields jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'new',
    score int NOT NULL DEFAULT 0,
    interest_level text,
    utm_source text,
    utm_medium text,
    utm_campaign text,
    assigned_to uuid REFERENCES public.user_profiles (id) ON DELETE SET NULL,
    next_follow_up_at timestamptz,
    notes text,
    tags text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT leads_status_check
        CHECK (status IN ('new', 'contacted', 'qualified', 'converted', 'lost')),
    CONSTRAINT leads_score_check CHECK (score BETWEEN 0 AND 100)
);
CREATE INDEX leads_agent_id_created_at_idx ON public.leads (agent_id, created_at DESC);
CREATE INDEX leads_conversation_id_idx ON public.leads (conversation_id);
CREATE INDEX leads_assigned_to_idx ON public.leads (assigned_to);
CREATE INDEX leads_next_follow_up_at_idx ON public.leads (next_follow_up_at)
    WHERE next_follow_up_at IS NOT NULL;

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.leads
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();

ALTER TABLE public.leads ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.leads FROM anon, authenticated;
GRANT ALL ON public.leads TO service_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.leads TO authenticated;
GRANT INSERT (id, agent_id, conversation_id, name, email, phone, company, custom_fields, status,
        interest_level, utm_source, utm_medium, utm_campaign)
    ON public.leads TO anon;

-- A visitor's form: a new lead of a published agent, of a conversation with that agent if any.
CREATE FUNCTION private.is_public_lead(agent_id uuid, conversation_id uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT private.is_published(agent_id)
       AND (conversation_id IS NULL OR private.conversation_agent(conversation_id) = agent_id)
$$;
REVOKE EXECUTE ON FUNCTION private.is_public_lead FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.is_public_lead TO anon, authenticated, service_role;

CREATE POLICY "owners read leads" ON public.leads
    FOR SELECT TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "visitors submit leads" ON public.leads
    FOR INSERT TO anon
    WITH CHECK (status = 'new' AND private.is_public_lead(agent_id, conversation_id));
CREATE POLICY "owners and visitors submit leads" ON public.leads
    FOR INSERT TO authenticated WITH CHECK (
        (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())) AND (
            conversation_id IS NULL OR private.conversation_agent(conversation_id) = agent_id))
        OR (status = 'new' AND score = 0 AND assigned_to IS NULL AND notes IS NULL
            AND tags = '{}' AND next_follow_up_at IS NULL
            AND private.is_public_lead(agent_id, conversation_id)));
CREATE POLICY "owners edit leads" ON public.leads
    FOR UPDATE TO authenticated
    USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())))
    WITH CHECK (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())) AND (
        conversation_id IS NULL OR private.conversation_agent(conversation_id) = agent_id));
CREATE POLICY "owners delete leads" ON public.leads
    FOR DELETE TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));

-- Counters and conversion, in the same order of locks as those of messages: conversations first.

CREATE FUNCTION private.count_leads(agent_ids uuid[], leads int[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM FROM public.agents WHERE id = ANY (agent_ids) ORDER BY id FOR NO KEY UPDATE;
    UPDATE public.agents AS a
    SET total_leads = a.total_leads + change.leads
    FROM (SELECT agent_id, sum(l) AS leads
          FROM unnest(agent_ids, leads) AS each (agent_id, l) GROUP BY agent_id) AS change
    WHERE a.id = change.agent_id;
END $$;

-- Computed from what is there, not added up: a conversation is a lead while it has one.
CREATE FUNCTION private.mark_lead_conversations(conversation_ids uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM FROM public.conversations WHERE id = ANY (conversation_ids)
    ORDER BY id FOR NO KEY UPDATE;
    UPDATE public.conversations AS c
    SET is_lead = first.at IS NOT NULL, lead_captured_at = first.at
    FROM (SELECT k.id, min(l.created_at) AS at
          FROM public.conversations AS k LEFT JOIN public.leads AS l ON l.conversation_id = k.id
          WHERE k.id = ANY (conversation_ids)
          GROUP BY k.id) AS first
    WHERE c.id = first.id
      AND (c.is_lead, c.lead_captured_at) IS DISTINCT FROM (first.at IS NOT NULL, first.at);
END $$;

CREATE FUNCTION private.keep_lead_counters() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    sign int := CASE TG_OP WHEN 'DELETE' THEN -1 ELSE 1 END;
BEGIN
    PERFORM private.mark_lead_conversations(array_agg(DISTINCT conversation_id))
    FROM changed WHERE conversation_id IS NOT NULL HAVING count(*) > 0;
    PERFORM private.count_leads(array_agg(agent_id), array_agg(sign * leads))
    FROM (SELECT agent_id, count(*)::int AS leads FROM changed GROUP BY agent_id) AS change
    HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_lead_counters_on_insert AFTER INSERT ON public.leads
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION private.keep_lead_counters();
CREATE TRIGGER keep_lead_counters_on_delete AFTER DELETE ON public.leads
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION private.keep_lead_counters();

CREATE FUNCTION private.move_lead() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM private.mark_lead_conversations(
        array_remove(ARRAY[OLD.conversation_id, NEW.conversation_id], NULL));
    PERFORM private.count_leads(ARRAY[OLD.agent_id, NEW.agent_id], ARRAY[-1, 1])
    WHERE OLD.agent_id <> NEW.agent_id;
    RETURN NULL;
END $$;
CREATE TRIGGER move_lead AFTER UPDATE OF agent_id, conversation_id, created_at ON public.leads
    FOR EACH ROW WHEN ((OLD.agent_id, OLD.conversation_id, OLD.created_at)
        IS DISTINCT FROM (NEW.agent_id, NEW.conversation_id, NEW.created_at))
    EXECUTE FUNCTION private.move_lead();

REVOKE EXECUTE ON FUNCTION private.count_leads, private.mark_lead_conversations,
    private.keep_lead_counters, private.move_lead FROM PUBLIC;
