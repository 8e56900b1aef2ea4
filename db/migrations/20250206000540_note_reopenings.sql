-- A conversation that somebody opens again is not idle at once, however old its messages are.
CREATE TABLE worker.reopened_conversations (
    conversation_id uuid PRIMARY KEY REFERENCES public.conversations (id) ON DELETE CASCADE,
    reopened_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reopened_conversations_reopened_idx
    ON worker.reopened_conversations (reopened_at);
ALTER TABLE worker.reopened_conversations ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.reopened_conversations TO service_role;

-- The row of the conversation is locked by its own update: nobody waits for anybody here.
CREATE FUNCTION worker.note_reopening() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.reopened_conversations (conversation_id) VALUES (NEW.id)
    ON CONFLICT (conversation_id) DO UPDATE SET reopened_at = now();
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION worker.note_reopening FROM PUBLIC;
CREATE TRIGGER note_reopening AFTER UPDATE OF status ON public.conversations
    FOR EACH ROW WHEN (NEW.status = 'active' AND OLD.status <> 'active')
    EXECUTE FUNCTION worker.note_reopening();
