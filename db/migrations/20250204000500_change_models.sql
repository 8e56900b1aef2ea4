-- An agent moves to another embedding model: its chunks are embedded again beside the old ones,
-- which serve until the new set is complete.

ALTER TABLE worker.chunk_spans ADD COLUMN context text;
COMMENT ON COLUMN worker.chunk_spans.context IS
    'What was embedded above the chunk''s content: title, headings, table header. Null: not noted.';

-- The same place in a source once for each model. chunk_index stands second, for neighbours.
ALTER TABLE public.knowledge_chunks
    DROP CONSTRAINT knowledge_chunks_source_id_chunk_index_key,
    ADD CONSTRAINT knowledge_chunks_source_id_chunk_index_model_key
        UNIQUE NULLS NOT DISTINCT (source_id, chunk_index, embedding_model)
        DEFERRABLE INITIALLY DEFERRED;

-- What embedding an agent's chunks with a model would cost: with its own, as after a re-index in
-- which nothing changed; with another, as in a change. Texts that are remembered are free.
CREATE FUNCTION private.estimate_reindex(agent_id uuid, model text) RETURNS TABLE (
    model text, chunks bigint, tokens bigint, chunks_kept bigint, chunks_recalled bigint,
    chunks_paid bigint, tokens_paid bigint, cost_usd numeric, cost_usd_max numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    WITH agent AS MATERIALIZED (
        SELECT a.id, a.embedding_model AS current,
               coalesce(estimate_reindex.model, a.embedding_model) AS target
        FROM public.agents AS a WHERE a.id = estimate_reindex.agent_id
    ), stored AS MATERIALIZED (
        SELECT coalesce(c.content_hash, c.id::text) AS text_key, a.target,
               (c.embedding_model = a.target AND c.content_hash IS NOT NULL) IS TRUE AS is_kept,
               -- What stands above it is embedded with it: about four bytes to the token.
               c.tokens + ceil(coalesce(octet_length(p.context),
                   octet_length(c.metadata ->> 'heading_path'), 0) / 4.0)::int AS tokens
        FROM agent AS a JOIN public.knowledge_chunks AS c ON c.agent_id = a.id
        LEFT JOIN worker.chunk_spans AS p ON p.chunk_id = c.id
        WHERE c.embedding_model IS NULL OR c.embedding_model = a.current
    ), judged AS MATERIALIZED (
        SELECT s.*, row_number() OVER (PARTITION BY s.text_key ORDER BY s.is_kept DESC) > 1
                    OR EXISTS (
                SELECT FROM worker.embedding_cache AS m
                WHERE m.model = s.target AND m.text_hash = CASE
                    WHEN s.text_key ~ '^[0-9a-f]{64}$' THEN decode(s.text_key, 'hex') END)
               AS is_recalled
        FROM stored AS s
    ), counted AS (
        SELECT count(*) AS chunks, coalesce(sum(j.tokens), 0)::bigint AS tokens,
               count(*) FILTER (WHERE j.is_kept) AS kept,
               count(*) FILTER (WHERE NOT j.is_kept AND j.is_recalled) AS recalled,
               count(*) FILTER (WHERE NOT j.is_kept AND NOT j.is_recalled) AS paid,
               coalesce(sum(j.tokens) FILTER (WHERE NOT j.is_kept AND NOT j.is_recalled),
                        0)::bigint AS tokens_paid
        FROM judged AS j
    )
    SELECT a.target, n.chunks, n.tokens, n.kept, n.recalled, n.paid, n.tokens_paid,
           n.tokens_paid * p.usd_per_million / 1000000, n.tokens * p.usd_per_million / 1000000
    FROM agent AS a CROSS JOIN counted AS n
    LEFT JOIN worker.embedding_prices AS p ON p.model = a.target
$$;

CREATE FUNCTION private.owned_agent(agent_id uuid) RETURNS uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.agents AS a WHERE a.id = owned_agent.agent_id
          AND (a.user_id = (SELECT auth.uid()) OR (SELECT auth.role()) = 'service_role'))
    THEN
        RAISE EXCEPTION 'no agent %', agent_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN agent_id;
END $$;

CREATE FUNCTION private.estimate_own_reindex(agent_id uuid, model text) RETURNS TABLE (
    model text, chunks bigint, tokens bigint, chunks_kept bigint, chunks_recalled bigint,
    chunks_paid bigint, tokens_paid bigint, cost_usd numeric, cost_usd_max numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT * FROM private.estimate_reindex(
        private.owned_agent(estimate_own_reindex.agent_id), estimate_own_reindex.model)
$$;

CREATE FUNCTION public.estimate_reindex(agent_id uuid, model text DEFAULT NULL) RETURNS TABLE (
    model text, chunks bigint, tokens bigint, chunks_kept bigint, chunks_recalled bigint,
    chunks_paid bigint, tokens_paid bigint, cost_usd numeric, cost_usd_max numeric)
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
    SELECT * FROM private.estimate_own_reindex(
        estimate_reindex.agent_id, estimate_reindex.model)
$$;
COMMENT ON FUNCTION public.estimate_reindex IS
    'US dollars: cost_usd if nothing changed since, cost_usd_max if everything did; null where the '
    'price of the model is not known. Without a model, the agent''s own.';

CREATE FUNCTION private.request_model_change(agent_id uuid, model text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM worker.embedding_prices AS p
                   WHERE p.model = request_model_change.model) THEN
        RAISE EXCEPTION 'no embedding model %', to_json(coalesce(model, 'null'))
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = (SELECT 'Known: ' || string_agg(p.model, ', ' ORDER BY p.model)
                          FROM worker.embedding_prices AS p);
    END IF;
    RETURN worker.enqueue('change_model', jsonb_build_object(
        'agent_id', private.owned_agent(agent_id), 'model', model), on_conflict => 'replace');
END $$;

CREATE FUNCTION public.change_embedding_model(agent_id uuid, model text) RETURNS bigint
LANGUAGE sql SECURITY INVOKER SET search_path = '' AS $$
    SELECT private.request_model_change(agent_id, model)
$$;
COMMENT ON FUNCTION public.change_embedding_model IS
    'The old vectors serve until all new ones are there. Ask estimate_reindex first what it costs.';

-- What was embedded with the new model is deleted by the job that waits for the end of it.
CREATE FUNCTION private.end_model_change(agent_id uuid) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH ended AS (
        DELETE FROM worker.model_changes AS m
        WHERE m.agent_id = private.owned_agent(end_model_change.agent_id) RETURNING 1)
    SELECT EXISTS (SELECT FROM ended)
$$;

CREATE FUNCTION public.cancel_model_change(agent_id uuid) RETURNS boolean
LANGUAGE sql SECURITY INVOKER SET search_path = '' AS $$
    SELECT private.end_model_change(agent_id)
$$;
COMMENT ON FUNCTION public.cancel_model_change IS 'Whether there was one to cancel.';

REVOKE EXECUTE ON FUNCTION private.estimate_reindex, private.owned_agent,
    private.estimate_own_reindex, private.request_model_change, private.end_model_change
    FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION public.estimate_reindex, public.change_embedding_model,
    public.cancel_model_change FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION private.owned_agent, private.estimate_own_reindex,
    private.request_model_change, private.end_model_change, public.estimate_reindex,
    public.change_embedding_model, public.cancel_model_change TO authenticated, service_role;
GRANT EXECUTE ON FUNCTION private.estimate_reindex TO service_role;

INSERT INTO worker.kinds (kind, queue, args, max_attempts, unique_by) VALUES
    ('change_model', 'default', '{"agent_id": "uuid", "model": "text"}', 5, 'agent_id'),
    ('embed_again', 'knowledge', '{"source_id": "uuid", "model": "text"}', 5, 'source_id'),
    ('switch_model', 'default', '{"agent_id": "uuid", "model": "text"}', 5, NULL);
