-- Agents: what a customer publishes on a website.

CREATE TABLE public.agents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES public.user_profiles (id) ON DELETE CASCADE,
    name text NOT NULL,
    description text,
    avatar_url text,
    ai_model text NOT NULL DEFAULT 'anthropic/claude-3.5-sonnet',
    temperature numeric(3, 2) NOT NULL DEFAULT 0.7,
    max_tokens int NOT NULL DEFAULT 1000,
    system_prompt text,
    welcome_message text,
    tone text NOT NULL DEFAULT 'professional',
    embedding_model text,
    enable_sentiment_analysis boolean NOT NULL DEFAULT true,
    enable_lead_capture boolean NOT NULL DEFAULT true,
    primary_color text NOT NULL DEFAULT '#4F46E5',
    widget_position text NOT NULL DEFAULT 'bottom-right',
    widget_size text NOT NULL DEFAULT 'medium',
    is_published boolean NOT NULL DEFAULT false,
    public_url text,
    embed_code text,
    total_conversations int NOT NULL DEFAULT 0,
    total_messages int NOT NULL DEFAULT 0,
    total_leads int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT agents_name_check CHECK (btrim(name) <> ''),
    CONSTRAINT agents_temperature_check CHECK (temperature BETWEEN 0 AND 2),
    CONSTRAINT agents_max_tokens_check CHECK (max_tokens > 0),
    CONSTRAINT agents_tone_check
        CHECK (tone IN ('professional', 'friendly', 'casual', 'formal', 'empathetic')),
    CONSTRAINT agents_counters_check
        CHECK (total_conversations >= 0 AND total_messages >= 0 AND total_leads >= 0)
) WITH (fillfactor = 80);
COMMENT ON COLUMN public.agents.embedding_model IS
    'The model its searches use; null until something was embedded. Vectors of two models never '
    'meet in one search.';
COMMENT ON COLUMN public.agents.ai_model IS 'OpenRouter model identifier.';
CREATE INDEX agents_user_id_idx ON public.agents (user_id);
CREATE INDEX agents_published_idx ON public.agents (id) WHERE is_published;

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.agents
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();

-- Both stay when an agent is taken offline, so that publishing it again breaks no web page.
CREATE FUNCTION private.give_public_address() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    base text := coalesce(
        (SELECT rtrim(value, '/') FROM private.settings WHERE name = 'public_url'), '');
BEGIN
    NEW.public_url := coalesce(NEW.public_url, base || '/a/' || NEW.id);
    NEW.embed_code := coalesce(NEW.embed_code, format(
        '<script src="%s/widget.js" data-agent-id="%s" async></script>', base, NEW.id));
    RETURN NEW;
END $$;
REVOKE EXECUTE ON FUNCTION private.give_public_address FROM PUBLIC;

CREATE TRIGGER give_public_address BEFORE INSERT OR UPDATE OF is_published ON public.agents
    FOR EACH ROW WHEN (NEW.is_published) EXECUTE FUNCTION private.give_public_address();

-- The caller's agents, read once per statement: `agent_id = ANY (ARRAY(SELECT ...))` is computed
-- before the scan and can use an index, which a join inside a policy cannot.
CREATE FUNCTION private.own_agent_ids() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT id FROM public.agents WHERE user_id = (SELECT auth.uid())
$$;
REVOKE EXECUTE ON FUNCTION private.own_agent_ids FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.own_agent_ids TO authenticated, service_role;

CREATE FUNCTION private.is_published(agent_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT EXISTS (
        SELECT FROM public.agents AS a WHERE a.id = is_published.agent_id AND a.is_published)
$$;
REVOKE EXECUTE ON FUNCTION private.is_published FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.is_published TO anon, authenticated, service_role;

ALTER TABLE public.agents ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.agents FROM anon, authenticated;
GRANT ALL ON public.agents TO service_role;
-- Counters and public addresses are kept by triggers, so nobody writes them.
GRANT SELECT, DELETE,
    INSERT (id, user_id, name, description, avatar_url, ai_model, temperature, max_tokens,
        system_prompt, welcome_message, tone, enable_sentiment_analysis, enable_lead_capture,
        primary_color, widget_position, widget_size, is_published),
    UPDATE (name, description, avatar_url, ai_model, temperature, max_tokens,
        system_prompt, welcome_message, tone, enable_sentiment_analysis, enable_lead_capture,
        primary_color, widget_position, widget_size, is_published)
    ON public.agents TO authenticated;
-- What a widget shows; above all not the system prompt.
GRANT SELECT (id, name, description, avatar_url, welcome_message, tone, enable_lead_capture,
        primary_color, widget_position, widget_size, is_published, public_url)
    ON public.agents TO anon;

CREATE POLICY "owners read their agents" ON public.agents
    FOR SELECT TO authenticated USING (user_id = (SELECT auth.uid()));
CREATE POLICY "visitors read published agents" ON public.agents
    FOR SELECT TO anon USING (is_published);
CREATE POLICY "owners create agents" ON public.agents
    FOR INSERT TO authenticated WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY "owners edit their agents" ON public.agents
    FOR UPDATE TO authenticated
    USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY "owners delete their agents" ON public.agents
    FOR DELETE TO authenticated USING (user_id = (SELECT auth.uid()));

-- A signed-in visitor has the owner's column rights, so row-level security shows them only their
-- own agents; what anyone may see of the published ones comes through here.
CREATE FUNCTION private.published_agents() RETURNS TABLE (
    id uuid, name text, description text, avatar_url text, welcome_message text, tone text,
    enable_lead_capture boolean, primary_color text, widget_position text, widget_size text,
    public_url text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT id, name, description, avatar_url, welcome_message, tone, enable_lead_capture,
           primary_color, widget_position, widget_size, public_url
    FROM public.agents WHERE is_published
$$;
REVOKE EXECUTE ON FUNCTION private.published_agents FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.published_agents TO anon, authenticated, service_role;

CREATE VIEW public.published_agents WITH (security_invoker = true) AS
    SELECT * FROM private.published_agents();
REVOKE ALL ON public.published_agents FROM anon, authenticated;
GRANT SELECT ON public.published_agents TO anon, authenticated, service_role;
