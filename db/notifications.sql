-- What owners are told.

-- name: tell
-- Told once however often its job runs: whoever tells makes the id from what it tells of.
INSERT INTO public.notifications
    (id, user_id, agent_id, type, title, message, priority, action_url, action_label)
VALUES (%(id)s, %(user_id)s, %(agent_id)s, %(type)s, %(title)s, %(message)s, %(priority)s,
        %(action_url)s, %(action_label)s)
ON CONFLICT (id) DO NOTHING
