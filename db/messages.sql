-- Messages, as owners write and read them and visitors send them.

-- name: create
INSERT INTO public.messages (
    id, conversation_id, role, content, model, tokens_used, response_time_ms)
SELECT coalesce(n.id, gen_random_uuid()), n.conversation_id, n.role, n.content, n.model,
       coalesce(n.tokens_used, 0), n.response_time_ms
FROM jsonb_populate_record(NULL::public.messages, %(row)s) AS n
RETURNING *

-- name: send
-- Returns nothing: a visitor may write messages, not read them.
INSERT INTO public.messages (id, conversation_id, role, content)
VALUES (%(id)s, %(conversation_id)s, 'user', %(content)s)

-- name: list
SELECT * FROM public.messages WHERE conversation_id = %(conversation_id)s
ORDER BY created_at, id LIMIT %(limit)s

-- name: rate
UPDATE public.messages SET feedback_rating = %(rating)s WHERE id = %(message_id)s RETURNING *
