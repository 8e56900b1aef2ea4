-- A very negative conversation is told of once, however often its score crosses the line, and
-- whoever writes the score.

CREATE TABLE worker.negative_conversations (
    conversation_id uuid PRIMARY KEY REFERENCES public.conversations (id) ON DELETE CASCADE,
    told_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE worker.negative_conversations IS
    'Conversations whose owner was told that their visitor is unhappy.';
ALTER TABLE worker.negative_conversations ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.negative_conversations TO service_role;

-- Of these the event was sent before, when any negative label sent it.
INSERT INTO worker.negative_conversations (conversation_id)
SELECT id FROM public.conversations WHERE sentiment_label = 'negative';
DROP TRIGGER emit_conversation_negative ON public.conversations;

-- Nobody waits here: who sets the score holds the conversation's row. And no score is lost
-- because telling of it fails.
CREATE FUNCTION private.tell_of_negative_conversation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.negative_conversations (conversation_id) VALUES (NEW.id)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO public.notifications
        (user_id, agent_id, type, title, message, priority, action_url, action_label)
    SELECT a.user_id, a.id, 'negative_conversation', 'Unhappy visitor',
           format('%s is very unhappy in a conversation with %s.',
                  coalesce(nullif(btrim(NEW.visitor_name), ''), 'A visitor'), a.name),
           'high', '/conversations/' || NEW.id, 'Open conversation'
    FROM public.agents AS a WHERE a.id = NEW.agent_id;
    PERFORM private.emit_events('conversation.negative', ARRAY[NEW.agent_id],
                                ARRAY[private.conversation_content(NEW)]);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'negative conversation %: %', NEW.id, SQLERRM;
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION private.tell_of_negative_conversation FROM PUBLIC;

-- A label without a score is somebody's own judgement, and enough.
CREATE TRIGGER tell_of_negative_conversation
    AFTER INSERT OR UPDATE OF sentiment_score, sentiment_label ON public.conversations
    FOR EACH ROW WHEN (NEW.sentiment_label = 'negative'
        AND coalesce(NEW.sentiment_score, -1) <= -0.5)
    EXECUTE FUNCTION private.tell_of_negative_conversation();
