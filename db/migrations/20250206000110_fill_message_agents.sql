-- The messages that were there before. Visitors' writes wait while this runs, readers do not: a
-- file of its own, for the lock of the one before would have stopped readers, too. Triggers rest,
-- or every message would look edited today and be told to whoever listens.
ALTER TABLE public.messages DISABLE TRIGGER USER;
UPDATE public.messages AS m SET agent_id = c.agent_id
FROM public.conversations AS c
WHERE c.id = m.conversation_id AND m.agent_id IS DISTINCT FROM c.agent_id;
ALTER TABLE public.messages ENABLE TRIGGER USER;

-- With all that a day counts of a message: its rows lie scattered over hundreds of pages, here on
-- one or two. That holds for pages which vacuum has seen, so it comes sooner to new messages.
CREATE INDEX messages_agent_id_created_at_idx ON public.messages (agent_id, created_at)
    INCLUDE (role, response_time_ms, tokens_used);
ALTER TABLE public.messages SET (autovacuum_vacuum_insert_scale_factor = 0.02);

-- A visitor's first and next conversation are one step away; the time comes last for that.
CREATE INDEX conversations_agent_id_visitor_id_created_at_idx
    ON public.conversations (agent_id, visitor_id, created_at);
DROP INDEX public.conversations_agent_id_visitor_id_idx;

-- Of an agent's events only opens are counted, among thousands of others.
CREATE INDEX analytics_events_opens_idx ON public.analytics_events (agent_id, created_at)
    WHERE event_type IN ('widget_opened', 'widget_open', 'widget.opened');
