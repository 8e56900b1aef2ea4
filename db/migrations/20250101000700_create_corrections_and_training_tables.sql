-- Corrections of answers, and the training examples that approved ones become.

CREATE TABLE public.corrections (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id uuid NOT NULL REFERENCES public.agents (id) ON DELETE CASCADE,
    message_id uuid REFERENCES public.messages (id) ON DELETE SET NULL,
    conversation_id uuid REFERENCES public.conversations (id) ON DELETE SET NULL,
    original_response text NOT NULL,
    corrected_response text NOT NULL,
    reason text,
    correction_type text,
    status text NOT NULL DEFAULT 'pending',
    was_helpful boolean,
    feedback_notes text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT corrections_status_check
        CHECK (status IN ('pending', 'approved', 'rejected', 'applied'))
);
CREATE INDEX corrections_agent_id_status_idx ON public.corrections (agent_id, status);
CREATE INDEX corrections_message_id_idx ON public.corrections (message_id);
CREATE INDEX corrections_conversation_id_idx ON public.corrections (conversation_id);

ALTER TABLE public.messages ADD CONSTRAINT messages_correction_id_fkey
    FOREIGN KEY (correction_id) REFERENCES public.corrections (id) ON DELETE SET NULL;
CREATE INDEX messages_correction_id_idx ON public.messages (correction_id)
    WHERE correction_id IS NOT NULL;

CREATE TABLE public.training_examples (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id uuid NOT NULL REFERENCES public.agents (id) ON DELETE CASCADE,
    correction_id uuid UNIQUE REFERENCES public.corrections (id) ON DELETE SET NULL,
    input text NOT NULL,
    expected_output text NOT NULL,
    category text,
    tags text[] NOT NULL DEFAULT '{}',
    source text NOT NULL DEFAULT 'manual',
    quality_score numeric(5, 2),
    times_used int NOT NULL DEFAULT 0,
    success_rate numeric(5, 4),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT training_examples_source_check
        CHECK (source IN ('manual', 'correction', 'conversation', 'import')),
    CONSTRAINT training_examples_quality_score_check CHECK (quality_score >= 0),
    CONSTRAINT training_examples_times_used_check CHECK (times_used >= 0),
    CONSTRAINT training_examples_success_rate_check CHECK (success_rate BETWEEN 0 AND 1)
);
COMMENT ON COLUMN public.training_examples.correction_id IS
    'The correction it was made of: one example each, however often it is approved.';
CREATE INDEX training_examples_agent_id_idx ON public.training_examples (agent_id);

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.corrections
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.training_examples
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();

CREATE FUNCTION private.message_agent(message_id uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT c.agent_id
    FROM public.messages AS m JOIN public.conversations AS c ON c.id = m.conversation_id
    WHERE m.id = message_agent.message_id
$$;
REVOKE EXECUTE ON FUNCTION private.message_agent FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.message_agent TO authenticated, service_role;

-- What a correction points at is the same agent's.
CREATE FUNCTION private.is_own_correction(agent_id uuid, message_id uuid, conversation_id uuid)
RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT agent_id = ANY (ARRAY(SELECT private.own_agent_ids()))
       AND (message_id IS NULL OR private.message_agent(message_id) = agent_id)
       AND (conversation_id IS NULL OR private.conversation_agent(conversation_id) = agent_id)
$$;
REVOKE EXECUTE ON FUNCTION private.is_own_correction FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.is_own_correction TO authenticated, service_role;

ALTER TABLE public.corrections ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.training_examples ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.corrections, public.training_examples FROM anon, authenticated;
GRANT ALL ON public.corrections, public.training_examples TO service_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.corrections TO authenticated;
GRANT SELECT, DELETE,
    INSERT (id, agent_id, input, expected_output, category, tags, source, quality_score, is_active),
    UPDATE (input, expected_output, category, tags, quality_score, is_active)
    ON public.training_examples TO authenticated;

CREATE POLICY "owners read corrections" ON public.corrections
    FOR SELECT TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "owners write corrections" ON public.corrections
    FOR INSERT TO authenticated
    WITH CHECK (private.is_own_correction(agent_id, message_id, conversation_id));
CREATE POLICY "owners edit corrections" ON public.corrections
    FOR UPDATE TO authenticated
    USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())))
    WITH CHECK (private.is_own_correction(agent_id, message_id, conversation_id));
CREATE POLICY "owners delete corrections" ON public.corrections
    FOR DELETE TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));

CREATE POLICY "owners read examples" ON public.training_examples
    FOR SELECT TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "owners add examples" ON public.training_examples
    FOR INSERT TO authenticated
    WITH CHECK (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "owners edit examples" ON public.training_examples
    FOR UPDATE TO authenticated
    USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())))
    WITH CHECK (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));
CREATE POLICY "owners delete examples" ON public.training_examples
    FOR DELETE TO authenticated USING (agent_id = ANY (ARRAY(SELECT private.own_agent_ids())));

-- An approved correction teaches: the visitor's question before the corrected answer becomes the
-- input. Approving it again, or editing it, keeps the one example.
CREATE FUNCTION private.learn_from_correction() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    question text;
BEGIN
    SELECT q.content INTO question
    FROM public.messages AS answer
    JOIN public.messages AS q ON q.conversation_id = answer.conversation_id
    WHERE answer.id = NEW.message_id AND q.role = 'user' AND q.id <> answer.id
      AND q.created_at <= answer.created_at
    ORDER BY q.created_at DESC, q.id
    LIMIT 1;
    INSERT INTO public.training_examples AS example
        (agent_id, correction_id, input, expected_output, category, source)
    VALUES (NEW.agent_id, NEW.id, coalesce(question, NEW.original_response),
            NEW.corrected_response, NEW.correction_type, 'correction')
    ON CONFLICT (correction_id) DO UPDATE SET expected_output = excluded.expected_output;
    UPDATE public.messages SET was_corrected = true, correction_id = NEW.id
    WHERE id = NEW.message_id AND (NOT was_corrected OR correction_id IS DISTINCT FROM NEW.id);
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION private.learn_from_correction FROM PUBLIC;
CREATE TRIGGER learn_from_correction_on_insert AFTER INSERT ON public.corrections
    FOR EACH ROW WHEN (NEW.status IN ('approved', 'applied'))
    EXECUTE FUNCTION private.learn_from_correction();
CREATE TRIGGER learn_from_correction_on_update
    AFTER UPDATE OF status, corrected_response ON public.corrections
    FOR EACH ROW WHEN (NEW.status IN ('approved', 'applied')
        AND (OLD.status, OLD.corrected_response)
            IS DISTINCT FROM (NEW.status, NEW.corrected_response))
    EXECUTE FUNCTION private.learn_from_correction();
