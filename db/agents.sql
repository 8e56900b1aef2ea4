-- Agents, as their owner writes and reads them.

-- name: create
-- A column that is not given gets the table's default.
INSERT INTO public.agents (
    id, user_id, name, description, avatar_url, ai_model, temperature, max_tokens, system_prompt,
    welcome_message, tone, enable_sentiment_analysis, enable_lead_capture, primary_color,
    widget_position, widget_size, is_published)
SELECT coalesce(n.id, gen_random_uuid()), n.user_id, n.name, n.description, n.avatar_url,
       coalesce(n.ai_model, 'anthropic/claude-3.5-sonnet'), coalesce(n.temperature, 0.7),
       coalesce(n.max_tokens, 1000), n.system_prompt, n.welcome_message,
       coalesce(n.tone, 'professional'), coalesce(n.enable_sentiment_analysis, true),
       coalesce(n.enable_lead_capture, true), coalesce(n.primary_color, '#4F46E5'),
       coalesce(n.widget_position, 'bottom-right'), coalesce(n.widget_size, 'medium'),
       coalesce(n.is_published, false)
FROM jsonb_populate_record(NULL::public.agents, %(row)s) AS n
RETURNING agents.*

-- name: get
SELECT * FROM public.agents WHERE id = %(agent_id)s

-- name: list
SELECT * FROM public.agents
WHERE user_id = coalesce(%(user_id)s, user_id)
ORDER BY created_at DESC, id LIMIT %(limit)s OFFSET %(offset)s

-- name: update
-- A column that is not given keeps its value; null is a value.
UPDATE public.agents AS a
SET (name, description, avatar_url, ai_model, temperature, max_tokens, system_prompt,
     welcome_message, tone, enable_sentiment_analysis, enable_lead_capture, primary_color,
     widget_position, widget_size, is_published) = (
    SELECT n.name, n.description, n.avatar_url, n.ai_model, n.temperature, n.max_tokens,
           n.system_prompt, n.welcome_message, n.tone, n.enable_sentiment_analysis,
           n.enable_lead_capture, n.primary_color, n.widget_position, n.widget_size,
           n.is_published
    FROM jsonb_populate_record(a, %(row)s) AS n)
WHERE a.id = %(agent_id)s
RETURNING a.*

-- name: delete
DELETE FROM public.agents WHERE id = %(agent_id)s

-- name: get_analytics
SELECT * FROM public.get_agent_analytics(
    %(agent_id)s, coalesce(%(start_date)s::timestamptz, '-infinity'),
    coalesce(%(end_date)s::timestamptz, 'infinity'))
