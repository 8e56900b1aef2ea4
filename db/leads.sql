-- Leads, as owners keep them and visitors submit them.

-- name: create
INSERT INTO public.leads (
    id, agent_id, conversation_id, name, email, phone, company, custom_fields, status, score,
    interest_level, utm_source, utm_medium, utm_campaign, assigned_to, next_follow_up_at, notes,
    tags)
SELECT coalesce(n.id, gen_random_uuid()), n.agent_id, n.conversation_id, n.name, n.email, n.phone,
       n.company, coalesce(n.custom_fields, '{}'), coalesce(n.status, 'new'),
       coalesce(n.score, 0), n.interest_level, n.utm_source, n.utm_medium, n.utm_campaign,
       n.assigned_to, n.next_follow_up_at, n.notes, coalesce(n.tags, '{}')
FROM jsonb_populate_record(NULL::public.leads, %(row)s) AS n
RETURNING *

-- name: submit
-- Returns nothing: a visitor may leave an address, not read it back.
INSERT INTO public.leads (
    id, agent_id, conversation_id, name, email, phone, company, custom_fields, interest_level,
    utm_source, utm_medium, utm_campaign)
SELECT n.id, n.agent_id, n.conversation_id, n.name, n.email, n.phone, n.company,
       coalesce(n.custom_fields, '{}'), n.interest_level, n.utm_source, n.utm_medium,
       n.utm_campaign
FROM jsonb_populate_record(NULL::public.leads, %(row)s) AS n

-- name: get
SELECT * FROM public.leads WHERE id = %(lead_id)s

-- name: list
SELECT * FROM public.leads
WHERE agent_id = %(agent_id)s AND status = coalesce(%(status)s, status)
ORDER BY created_at DESC, id LIMIT %(limit)s OFFSET %(offset)s

-- name: update
-- A column that is not given keeps its value; null is a value.
UPDATE public.leads AS l
SET (agent_id, conversation_id, name, email, phone, company, custom_fields, status, score,
     interest_level, utm_source, utm_medium, utm_campaign, assigned_to, next_follow_up_at, notes,
     tags) = (
    SELECT n.agent_id, n.conversation_id, n.name, n.email, n.phone, n.company, n.custom_fields,
           n.status, n.score, n.interest_level, n.utm_source, n.utm_medium, n.utm_campaign,
           n.assigned_to, n.next_follow_up_at, n.notes, n.tags
    FROM jsonb_populate_record(l, %(row)s) AS n)
WHERE l.id = %(lead_id)s
RETURNING l.*
