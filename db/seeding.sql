-- Rows for load tests, by COPY. Triggers stay on: they keep the counters and leave their marks.

-- name: copy_users
COPY auth.users (id, email, raw_user_meta_data, created_at, email_confirmed_at) FROM STDIN

-- name: copy_agents
COPY public.agents (id, user_id, name, description, system_prompt, welcome_message, tone,
    is_published, created_at, updated_at) FROM STDIN

-- name: copy_conversations
COPY public.conversations (id, agent_id, visitor_id, visitor_name, visitor_email, visitor_location,
    source, status, created_at) FROM STDIN

-- name: copy_messages
COPY public.messages (id, conversation_id, role, content, model, tokens_used, response_time_ms,
    created_at, updated_at) FROM STDIN

-- name: copy_leads
COPY public.leads (id, agent_id, conversation_id, name, email, company, status, score,
    interest_level, utm_source, utm_medium, tags, created_at) FROM STDIN

-- name: read_clock
SELECT now()

-- name: is_seeded
SELECT EXISTS (SELECT FROM auth.users WHERE id = %(user_id)s)

-- name: date_notifications
-- Triggers date them now; they belong to the day of what they tell of. Old ones have been read.
UPDATE public.notifications AS n
SET created_at = told.at, is_read = told.at < now() - interval '3 days'
FROM (SELECT '/conversations/' || id AS url, agent_id, created_at AS at FROM public.conversations
      WHERE agent_id = ANY(%(agent_ids)s::uuid[])
      UNION ALL
      SELECT '/leads/' || id, agent_id, created_at FROM public.leads
      WHERE agent_id = ANY(%(agent_ids)s::uuid[])) AS told
WHERE n.agent_id = told.agent_id AND n.action_url = told.url

-- name: analyze
DO $$
BEGIN
    ANALYZE public.agents, public.conversations, public.messages, public.leads,
        public.notifications;
END $$
