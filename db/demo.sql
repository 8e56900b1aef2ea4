-- The account that `avivro demo` works for.

-- name: ensure_user
-- The sign-up trigger makes the profile. Nobody reads its mail: this transaction writes none.
WITH quiet AS MATERIALIZED (
    SELECT set_config('avivro.quiet', 'on', true)
), made AS (
    INSERT INTO auth.users (id, email, raw_user_meta_data)
    SELECT gen_random_uuid(), %(email)s::text, jsonb_build_object('full_name', %(full_name)s::text)
    FROM quiet
    WHERE NOT EXISTS (SELECT FROM auth.users WHERE email = %(email)s::text)
    RETURNING id
)
SELECT id FROM made UNION ALL SELECT id FROM auth.users WHERE email = %(email)s::text LIMIT 1

-- name: create_agent
INSERT INTO public.agents (user_id, name, description, system_prompt, is_published)
VALUES (%(user_id)s, %(name)s, %(description)s, %(system_prompt)s, true) RETURNING id

-- name: list_sections
-- Headings of an agent's knowledge, spread over its sources: something to ask about.
SELECT section FROM (
    SELECT DISTINCT ON (c.source_id, c.metadata -> 'heading_path' ->> -1)
           c.metadata -> 'heading_path' ->> -1 AS section, c.source_id,
           row_number() OVER (PARTITION BY c.source_id ORDER BY c.chunk_index) AS place
    FROM public.knowledge_chunks AS c
    WHERE c.agent_id = %(agent_id)s AND c.metadata -> 'heading_path' ->> -1 IS NOT NULL) AS found
ORDER BY place, source_id LIMIT %(limit)s
