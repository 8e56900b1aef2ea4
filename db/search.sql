-- Passages that answer a question, and what it cost to ask.

-- name: search
SELECT f.id AS chunk_id, f.source_id, s.name AS source_name, s.url, f.content, f.metadata, f.score,
       f.vector_rank, f.similarity, f.lexical_rank, f.lexical_score,
       coalesce(f.matched_words, '{}') AS matched_words
FROM public.search_knowledge(
    %(agent_id)s, %(text)s, %(embedding)s::extensions.vector, %(limit)s, %(threshold)s,
    %(source_ids)s::uuid[], %(filter)s::jsonb) AS f
JOIN public.knowledge_sources AS s ON s.id = f.source_id
ORDER BY f.score DESC, f.vector_rank, f.id

-- name: list_neighbours
SELECT m.id AS of_chunk_id, n.id AS chunk_id, n.content, n.metadata, n.distance
FROM unnest(%(chunk_ids)s::uuid[]) AS m (id)
CROSS JOIN LATERAL public.knowledge_chunk_neighbours(m.id, %(count)s, %(count)s) AS n
ORDER BY m.id, n.distance

-- name: is_model_used
SELECT EXISTS (SELECT FROM public.agents WHERE embedding_model = %(model)s)

-- name: log_question
-- A question to a paid model costs the agent's owner as indexing does.
INSERT INTO public.usage_logs
    (user_id, agent_id, usage_type, ai_model, prompt_tokens, total_tokens, unit_cost, total_cost)
SELECT a.user_id, a.id, 'embedding', %(model)s, %(tokens)s::int, %(tokens)s::int,
       paid.usd / %(tokens)s::int, paid.usd
FROM public.agents AS a CROSS JOIN (
    SELECT coalesce(worker.usage_cost_usd(%(model)s, 'embedding', %(tokens)s::int, 0, now()),
                    %(cost)s::numeric) AS usd) AS paid
WHERE a.id = %(agent_id)s
