-- Conversations, as owners read them and visitors open them.

-- name: list
SELECT * FROM public.search_conversations(
    %(agent_id)s, %(search_term)s, %(status)s, %(start_date)s::timestamptz,
    %(end_date)s::timestamptz, %(limit)s, %(offset)s)

-- name: get
SELECT * FROM public.conversations WHERE id = %(conversation_id)s

-- name: open
-- Returns nothing: a visitor may write conversations, not read them.
INSERT INTO public.conversations (
    id, agent_id, visitor_id, visitor_name, visitor_email, visitor_phone, visitor_ip,
    visitor_location, visitor_metadata, source)
SELECT n.id, n.agent_id, coalesce(n.visitor_id, gen_random_uuid()::text), n.visitor_name,
       n.visitor_email, n.visitor_phone, n.visitor_ip, n.visitor_location,
       coalesce(n.visitor_metadata, '{}'), coalesce(n.source, 'website')
FROM jsonb_populate_record(NULL::public.conversations, %(row)s) AS n

-- name: update
-- A column that is not given keeps its value; null is a value.
UPDATE public.conversations AS c
SET (agent_id, visitor_name, visitor_email, visitor_phone, visitor_location, visitor_metadata,
     source, status) = (
    SELECT n.agent_id, n.visitor_name, n.visitor_email, n.visitor_phone, n.visitor_location,
           n.visitor_metadata, n.source, n.status
    FROM jsonb_populate_record(c, %(row)s) AS n)
WHERE c.id = %(conversation_id)s
RETURNING c.*
