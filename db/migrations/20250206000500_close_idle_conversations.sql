-- Housekeeping begins: conversations that nobody goes on with are closed.

INSERT INTO worker.kinds (kind, queue, args, max_attempts, cap) VALUES
    ('close_idle_conversations', 'default', '{}', 3, 1);

-- All that is open, oldest first: a run goes through it page by page, whatever else there is.
CREATE INDEX conversations_open_idx ON public.conversations (created_at, id)
    WHERE status = 'active';
