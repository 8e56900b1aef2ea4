-- Each message names its agent, so that a day of an agent is found by index and not through all
-- its conversations. It is kept by the database; nobody writes it.

-- No foreign key: it would lock the agent's row at each message, before the counters lock the
-- conversation's, and a message goes with its conversation anyway.
ALTER TABLE public.messages ADD COLUMN agent_id uuid;
COMMENT ON COLUMN public.messages.agent_id IS
    'The agent of its conversation, kept by triggers. Of a message that is locked while its '
    'conversation moves to another agent, a worker corrects it within seconds.';

CREATE FUNCTION private.fill_message_agent() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    NEW.agent_id := (
        SELECT c.agent_id FROM public.conversations AS c WHERE c.id = NEW.conversation_id);
    RETURN NEW;
END $$;
CREATE TRIGGER fill_message_agent_on_insert BEFORE INSERT ON public.messages
    FOR EACH ROW WHEN (NEW.agent_id IS NULL) EXECUTE FUNCTION private.fill_message_agent();
CREATE TRIGGER fill_message_agent_on_update
    BEFORE UPDATE OF conversation_id, agent_id ON public.messages
    FOR EACH ROW WHEN ((OLD.conversation_id, OLD.agent_id)
        IS DISTINCT FROM (NEW.conversation_id, NEW.agent_id))
    EXECUTE FUNCTION private.fill_message_agent();

-- That is no edit, whoever corrects it; by its name it comes after touch_updated_at.
CREATE FUNCTION private.keep_updated_at() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    NEW.updated_at := OLD.updated_at;
    RETURN NEW;
END $$;
CREATE TRIGGER untouch_updated_at BEFORE UPDATE OF agent_id ON public.messages
    FOR EACH ROW WHEN (OLD.conversation_id = NEW.conversation_id
        AND OLD.agent_id IS DISTINCT FROM NEW.agent_id)
    EXECUTE FUNCTION private.keep_updated_at();

-- Its conversation may be moving in a transaction that the row trigger could not see. The
-- counters, whose triggers come first by name, have waited for that one and hold the conversation
-- until we commit: what is read now stays.
CREATE FUNCTION private.fix_message_agents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF EXISTS (
        SELECT FROM new_rows AS n
        WHERE n.agent_id IS DISTINCT FROM (
            SELECT c.agent_id FROM public.conversations AS c WHERE c.id = n.conversation_id)
    ) THEN
        UPDATE public.messages AS m SET agent_id = c.agent_id
        FROM new_rows AS n JOIN public.conversations AS c ON c.id = n.conversation_id
        WHERE m.id = n.id AND m.agent_id IS DISTINCT FROM c.agent_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fix_message_agents AFTER INSERT ON public.messages
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION private.fix_message_agents();

-- The same for a message that moves; by its name it comes after move_message.
CREATE FUNCTION private.remain_with_conversation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.messages AS m SET agent_id = c.agent_id
    FROM public.conversations AS c
    WHERE m.id = NEW.id AND c.id = NEW.conversation_id
      AND m.agent_id IS DISTINCT FROM c.agent_id;
    RETURN NULL;
END $$;
CREATE TRIGGER remain_with_conversation AFTER UPDATE OF conversation_id ON public.messages
    FOR EACH ROW WHEN (OLD.conversation_id <> NEW.conversation_id)
    EXECUTE FUNCTION private.remain_with_conversation();

REVOKE EXECUTE ON FUNCTION private.fill_message_agent, private.keep_updated_at,
    private.fix_message_agents, private.remain_with_conversation FROM PUBLIC;
