-- Analytics: raw events, one row of figures per agent and day, and sentiment. Written by the
-- system, read by owners.

CREATE TABLE public.analytics_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id uuid NOT NULL REFERENCES public.agents (id) ON DELETE CASCADE,
    event_type text NOT NULL,
    event_data jsonb NOT NULL DEFAULT '{}',
    visitor_id text,
    session_id text,
    conversation_id uuid REFERENCES public.conversations (id) ON DELETE SET NULL,
    ip_address inet,
    user_agent text,
    device_type text,
    browser text,
    os text,
    country text,
    city text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- An open list: conversation_started, message_sent, lead_captured, widget_opened, ...
    CONSTRAINT analytics_events_event_type_check CHECK (event_type ~ '^[a-z][a-z0-9_.]*$')
);
CREATE INDEX analytics_events_agent_id_created_at_idx
    ON public.analytics_events (agent_id, created_at DESC);
CREATE INDEX analytics_events_conversation_id_idx
    ON public.analytics_events (conversation_id);

CREATE TABLE public.daily_stats (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id uuid NOT NULL REFERENCES public.agents (id) ON DELETE CASCADE,
    date date NOT NULL,
    total_conversations int NOT NULL DEFAULT 0,
    active_conversations int NOT NULL DEFAULT 0,
    avg_conversation_duration numeric(14, 3),
    total_messages int NOT NULL DEFAULT 0,
    user_messages int NOT NULL DEFAULT 0,
    assistant_messages int NOT NULL DEFAULT 0,
    avg_response_time_ms numeric(14, 3),
    total_leads int NOT NULL DEFAULT 0,
    conversion_rate numeric(10, 6),
    positive_sentiment_count int NOT NULL DEFAULT 0,
    neutral_sentiment_count int NOT NULL DEFAULT 0,
    negative_sentiment_count int NOT NULL DEFAULT 0,
    widget_opens int NOT NULL DEFAULT 0,
    unique_visitors int NOT NULL DEFAULT 0,
    returning_visitors int NOT NULL DEFAULT 0,
    total_tokens_used bigint NOT NULL DEFAULT 0,
    total_ai_cost numeric(20, 10) NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT daily_stats_agent_id_date_key UNIQUE (agent_id, date)
);
COMMENT ON COLUMN public.daily_stats.date IS 'A day in the time zone of the agent''s owner.';
COMMENT ON COLUMN public.daily_stats.conversion_rate IS
    'Leads per conversation, 0.25 for a quarter; null on a day without conversations.';

CREATE TABLE public.sentiment_analysis (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL REFERENCES public.conversations (id) ON DELETE CASCADE,
    message_id uuid REFERENCES public.messages (id) ON DELETE CASCADE,
    agent_id uuid NOT NULL REFERENCES public.agents (id) ON DELETE CASCADE,
    overall_score numeric(4, 3) NOT NULL,
    label text NOT NULL,
    confidence numeric(4, 3),
    emotions jsonb NOT NULL DEFAULT '{}',
    topics text[] NOT NULL DEFAULT '{}',
    keywords text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sentiment_analysis_overall_score_check CHECK (overall_score BETWEEN -1 AND 1),
    CONSTRAINT sentiment_analysis_label_check
        CHECK (label IN ('positive', 'neutral', 'negative')),
    CONSTRAINT sentiment_analysis_confidence_check CHECK (confidence BETWEEN 0 AND 1)
);
COMMENT ON COLUMN public.sentiment_analysis.message_id IS
    'Null for the score of the whole conversation.';
CREATE INDEX sentiment_analysis_conversation_id_idx
    ON public.sentiment_analysis (conversation_id);
CREATE INDEX sentiment_analysis_message_id_idx ON public.sentiment_analysis (message_id);
CREATE INDEX sentiment_analysis_agent_id_created_at_idx
    ON public.sentiment_analysis (agent_id, created_at DESC);

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.daily_stats
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.sentiment_analysis
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();

ALTER TABLE public.analytics_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.daily_stats ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.sentiment_analysis ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.analytics_events, public.daily_stats, public.sentiment_analysis
    FROM anon, authenticated;
GRANT ALL ON public.analytics_events, public.daily_stats, public.sentiment_analysis
    TO service_role;
GRANT SELECT ON public.analytics_events, public.daily_stats, public.sentiment_analysis
    TO authenticated;

CREATE POLICY "owners read events" ON public.analytics_events
    FOR SELECT TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "owners read daily stats" ON public.daily_stats
    FOR SELECT TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "owners read sentiment" ON public.sentiment_analysis
    FOR SELECT TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
