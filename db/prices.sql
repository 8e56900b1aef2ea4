-- What models cost, and the usage that nobody could price.

-- name: list_prices
-- The newest of a model first; the first one whose time has come is in force.
SELECT p.model, p.valid_from, p.input_usd_per_million AS input_usd,
       p.output_usd_per_million AS output_usd, p.embedding_usd_per_million AS embedding_usd,
       p.valid_from = max(p.valid_from) FILTER (WHERE p.valid_from <= now())
           OVER (PARTITION BY p.model) AS is_current
FROM worker.model_prices AS p
WHERE %(model)s::text IS NULL OR p.model = %(model)s
ORDER BY p.model, p.valid_from DESC LIMIT %(rows_max)s

-- name: set_price
-- What is not given stays as it was at that time.
INSERT INTO worker.model_prices AS p
    (model, valid_from, input_usd_per_million, output_usd_per_million, embedding_usd_per_million)
SELECT %(model)s, f.at, coalesce(%(input_usd)s::numeric, b.input_usd_per_million),
       coalesce(%(output_usd)s::numeric, b.output_usd_per_million),
       coalesce(%(embedding_usd)s::numeric, b.embedding_usd_per_million)
FROM (SELECT coalesce(%(valid_from)s::timestamptz, now()) AS at) AS f
LEFT JOIN LATERAL (
    SELECT * FROM worker.model_prices AS m
    WHERE m.model = %(model)s AND m.valid_from <= f.at ORDER BY m.valid_from DESC LIMIT 1
) AS b ON true
ON CONFLICT (model, valid_from) DO UPDATE
SET input_usd_per_million = excluded.input_usd_per_million,
    output_usd_per_million = excluded.output_usd_per_million,
    embedding_usd_per_million = excluded.embedding_usd_per_million

-- name: list_unpriced
SELECT u.ai_model AS model, count(*) AS rows,
       coalesce(sum(u.prompt_tokens), 0)::bigint AS prompt_tokens,
       coalesce(sum(u.completion_tokens), 0)::bigint AS completion_tokens,
       min(u.created_at) AS first_at, max(u.created_at) AS last_at
FROM public.usage_logs AS u WHERE u.metadata @> '{"unpriced": true}'
GROUP BY u.ai_model ORDER BY rows DESC, model LIMIT %(rows_max)s

-- name: reprice_usage
SELECT worker.reprice_usage(%(model)s, %(since)s, %(rows_max)s)
