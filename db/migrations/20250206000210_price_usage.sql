-- What models cost, since when, and what each row of usage_logs cost by it.

CREATE TABLE worker.model_prices (
    model text NOT NULL,
    valid_from timestamptz NOT NULL,
    input_usd_per_million numeric(20, 10),
    output_usd_per_million numeric(20, 10),
    embedding_usd_per_million numeric(20, 10),
    PRIMARY KEY (model, valid_from),
    CONSTRAINT model_prices_usd_check CHECK (
        input_usd_per_million >= 0 AND output_usd_per_million >= 0
        AND embedding_usd_per_million >= 0),
    CONSTRAINT model_prices_some_check CHECK (
        num_nonnulls(input_usd_per_million, output_usd_per_million,
                     embedding_usd_per_million) > 0)
);
COMMENT ON TABLE worker.model_prices IS
    'List prices: US dollars for a million tokens, valid until the model''s next row.';
ALTER TABLE worker.model_prices ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.model_prices TO service_role;

INSERT INTO worker.model_prices
    (model, valid_from, input_usd_per_million, output_usd_per_million)
SELECT model, '2000-01-01 00:00+00', input, output FROM (VALUES
    ('local', 0, 0),
    ('anthropic/claude-3-haiku', 0.25, 1.25),
    ('anthropic/claude-3-sonnet', 3, 15),
    ('anthropic/claude-3-opus', 15, 75),
    ('anthropic/claude-3.5-haiku', 0.80, 4),
    ('anthropic/claude-3.5-sonnet', 3, 15),
    ('anthropic/claude-3.7-sonnet', 3, 15),
    ('anthropic/claude-sonnet-4', 3, 15),
    ('anthropic/claude-opus-4', 15, 75),
    ('openai/gpt-3.5-turbo', 0.50, 1.50),
    ('openai/gpt-4', 30, 60),
    ('openai/gpt-4-turbo', 10, 30),
    ('openai/gpt-4o', 2.50, 10),
    ('openai/gpt-4o-mini', 0.15, 0.60),
    ('openai/gpt-4.1', 2, 8),
    ('openai/gpt-4.1-mini', 0.40, 1.60),
    ('openai/gpt-4.1-nano', 0.10, 0.40),
    ('google/gemini-flash-1.5', 0.075, 0.30),
    ('google/gemini-pro-1.5', 1.25, 5),
    ('google/gemini-2.0-flash-001', 0.10, 0.40)
) AS listed (model, input, output);
-- OpenAI's own interface has the same models at the same price, without the maker's name.
INSERT INTO worker.model_prices
    (model, valid_from, input_usd_per_million, output_usd_per_million)
SELECT substr(p.model, 8), p.valid_from, p.input_usd_per_million, p.output_usd_per_million
FROM worker.model_prices AS p WHERE p.model LIKE 'openai/%';

-- What was there, with what an operator may have added to it.
INSERT INTO worker.model_prices (model, valid_from, embedding_usd_per_million)
SELECT e.model, '2000-01-01 00:00+00', e.usd_per_million FROM worker.embedding_prices AS e
ON CONFLICT (model, valid_from) DO UPDATE
SET embedding_usd_per_million = excluded.embedding_usd_per_million;
DROP TABLE worker.embedding_prices;
CREATE VIEW worker.embedding_prices WITH (security_invoker = true) AS
SELECT DISTINCT ON (p.model) p.model, p.embedding_usd_per_million AS usd_per_million
FROM worker.model_prices AS p
WHERE p.valid_from <= now() AND p.embedding_usd_per_million IS NOT NULL
ORDER BY p.model, p.valid_from DESC;
COMMENT ON VIEW worker.embedding_prices IS 'Of worker.model_prices, what is valid now.';
GRANT SELECT ON worker.embedding_prices TO service_role;

-- Exact to the tenth digit: all factors are decimals, and it is rounded once. Null where the price
-- was not known at that time.
CREATE FUNCTION worker.usage_cost_usd(
    model text, usage_type text, prompt_tokens int, completion_tokens int, at timestamptz
) RETURNS numeric
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT round(0.000001 * CASE usage_cost_usd.usage_type
        WHEN 'embedding' THEN
            usage_cost_usd.prompt_tokens
            * coalesce(p.embedding_usd_per_million, p.input_usd_per_million)
        ELSE
            usage_cost_usd.prompt_tokens
            * coalesce(p.input_usd_per_million, p.embedding_usd_per_million)
            + CASE usage_cost_usd.completion_tokens WHEN 0 THEN 0 ELSE
                usage_cost_usd.completion_tokens * p.output_usd_per_million END
        END, 10)
    FROM worker.model_prices AS p
    WHERE p.model = usage_cost_usd.model AND p.valid_from <= usage_cost_usd.at
    ORDER BY p.valid_from DESC LIMIT 1
$$;

CREATE FUNCTION private.mark_unpriced(metadata jsonb, is_unpriced boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT CASE
        WHEN NOT is_unpriced THEN metadata - 'unpriced'
        WHEN jsonb_typeof(metadata) = 'object' THEN metadata || '{"unpriced": true}'
        ELSE jsonb_build_object('unpriced', true, 'value', metadata) END
$$;

-- Tokens that nobody split are taken for tokens of the prompt. A row is never refused for a price:
-- one that cannot be told or stored is noted as missing.
CREATE FUNCTION private.price_usage() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    cost numeric(20, 10);
BEGIN
    IF NEW.total_tokens = 0 THEN
        NEW.total_tokens := least(
            NEW.prompt_tokens::bigint + NEW.completion_tokens::bigint, 2147483647)::int;
    END IF;
    IF NEW.ai_model IS NULL OR NEW.total_cost <> 0 THEN
        RETURN NEW;
    END IF;
    IF NEW.prompt_tokens = 0 AND NEW.completion_tokens = 0 THEN
        NEW.prompt_tokens := NEW.total_tokens;
    END IF;
    cost := worker.usage_cost_usd(
        NEW.ai_model, NEW.usage_type, NEW.prompt_tokens, NEW.completion_tokens, NEW.created_at);
    IF cost IS NULL THEN
        NEW.metadata := private.mark_unpriced(NEW.metadata, true);
        RETURN NEW;
    END IF;
    NEW.total_cost := cost;
    NEW.unit_cost := coalesce(cost / nullif(NEW.total_tokens, 0), 0);
    RETURN NEW;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'price of %: %', NEW.ai_model, SQLERRM;
    NEW.metadata := private.mark_unpriced(NEW.metadata, true);
    RETURN NEW;
END $$;
CREATE TRIGGER price_usage BEFORE INSERT ON public.usage_logs
    FOR EACH ROW WHEN ((NEW.total_cost = 0 AND NEW.ai_model IS NOT NULL)
        OR (NEW.total_tokens = 0 AND (NEW.prompt_tokens > 0 OR NEW.completion_tokens > 0)))
    EXECUTE FUNCTION private.price_usage();

CREATE INDEX usage_logs_unpriced_idx ON public.usage_logs (ai_model, created_at)
    WHERE metadata @> '{"unpriced": true}';

-- Whoever learns a price later. Who else is at a row prices it.
CREATE FUNCTION worker.reprice_usage(model text, since timestamptz, rows_max int) RETURNS int
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
DECLARE
    rows_priced int;
BEGIN
    WITH chosen AS MATERIALIZED (
        SELECT u.id, found.cost FROM public.usage_logs AS u
        CROSS JOIN LATERAL worker.usage_cost_usd(
            u.ai_model, u.usage_type, u.prompt_tokens, u.completion_tokens, u.created_at)
            AS found (cost)
        WHERE u.ai_model = reprice_usage.model AND u.created_at >= reprice_usage.since
          AND u.metadata @> '{"unpriced": true}' AND found.cost < 10000000000
        ORDER BY u.created_at, u.id LIMIT reprice_usage.rows_max FOR UPDATE OF u SKIP LOCKED)
    UPDATE public.usage_logs AS u
    SET total_cost = c.cost, unit_cost = coalesce(c.cost / nullif(u.total_tokens, 0), 0),
        metadata = private.mark_unpriced(u.metadata, false)
    FROM chosen AS c WHERE u.id = c.id;
    GET DIAGNOSTICS rows_priced = ROW_COUNT;
    RETURN rows_priced;
END $$;
COMMENT ON FUNCTION worker.reprice_usage IS
    'Prices at most that many rows that had no price, by what is known now; how many.';

REVOKE EXECUTE ON FUNCTION worker.usage_cost_usd, private.mark_unpriced, private.price_usage,
    worker.reprice_usage FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.usage_cost_usd, private.mark_unpriced, worker.reprice_usage
    TO service_role;
