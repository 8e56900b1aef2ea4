-- What triggers marked becomes jobs: one for each agent or table, however many marks there are.

-- name: enqueue_marked
-- By level, not by edge: what still has marks when its job has ended gets another one. Hops from
-- one marked agent to the next, whatever number of marks lies between; reads the oldest mark by
-- the key, for a scan would walk over all that was deleted since the last vacuum.
WITH RECURSIVE agents AS (
    (SELECT m.agent_id, 1 AS place FROM worker.sentiment_marks AS m
     WHERE %(after)s::uuid IS NULL OR m.agent_id > %(after)s::uuid ORDER BY m.agent_id LIMIT 1)
    UNION ALL
    SELECT following.agent_id, agents.place + 1
    FROM agents CROSS JOIN LATERAL (
        SELECT m.agent_id FROM worker.sentiment_marks AS m
        WHERE m.agent_id > agents.agent_id ORDER BY m.agent_id LIMIT 1) AS following
    WHERE agents.place < %(agents_max)s
), wanted AS (
    SELECT 'analyze_sentiment' AS kind, jsonb_build_object('agent_id', a.agent_id) AS args,
           a.agent_id::text AS unique_key
    FROM agents AS a
    UNION ALL
    SELECT 'aggregate_daily_stats', '{}', 'marks'
    FROM (SELECT m.id FROM worker.stats_marks AS m ORDER BY m.id LIMIT 1) AS oldest
    UNION ALL
    SELECT 'summarize_usage', '{}', 'marks'
    FROM (SELECT m.id FROM worker.usage_marks AS m ORDER BY m.id LIMIT 1) AS oldest
), enqueued AS (
    SELECT worker.enqueue(w.kind, w.args, unique_key => w.unique_key) AS id
    FROM wanted AS w JOIN worker.kinds AS k ON k.kind = w.kind
    WHERE NOT EXISTS (
        SELECT FROM worker.jobs AS j
        WHERE j.kind = w.kind AND j.unique_key = w.unique_key
          AND j.state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable'))
)
SELECT (SELECT count(*) FROM enqueued) AS enqueued,
       (SELECT a.agent_id FROM agents AS a WHERE a.place = %(agents_max)s) AS next_agent
