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
