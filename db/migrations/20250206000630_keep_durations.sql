-- A deleted message made its conversation 2,147,483,647 seconds long, for least() passes over a
-- null; and a message of 68 years before its conversation was refused.
CREATE OR REPLACE FUNCTION private.add_to_conversations(
    conversation_ids uuid[], messages int[], last_at timestamptz[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    agent_ids uuid[];
BEGIN
    PERFORM FROM public.conversations WHERE id = ANY (conversation_ids)
    ORDER BY id FOR NO KEY UPDATE;
    WITH counted AS (
        UPDATE public.conversations AS c
        SET message_count = c.message_count + change.messages,
            duration_seconds = CASE
                WHEN isfinite(c.created_at) AND isfinite(change.last_at)
                    AND change.last_at > c.created_at
                THEN greatest(c.duration_seconds, least(
                    extract(epoch FROM change.last_at - c.created_at), 2147483647)::int)
                ELSE c.duration_seconds END,
            updated_at = now()
        FROM (SELECT conversation_id, sum(m)::int AS messages, max(at) AS last_at
              FROM unnest(conversation_ids, messages, last_at) AS each (conversation_id, m, at)
              GROUP BY conversation_id) AS change
        WHERE c.id = change.conversation_id
        RETURNING c.agent_id, change.messages
    )
    SELECT array_agg(agent_id), array_agg(counted.messages)
    INTO agent_ids, messages FROM counted;
    IF agent_ids IS NOT NULL THEN
        PERFORM private.add_to_agents(
            agent_ids, array_fill(0, ARRAY[cardinality(agent_ids)]), messages);
    END IF;
END $$;

-- What is that long by now gets the length that its messages have.
UPDATE public.conversations AS c
SET duration_seconds = least(greatest(extract(epoch FROM last.at - c.created_at), 0),
                             2147483647)::int
FROM public.conversations AS k CROSS JOIN LATERAL (
    SELECT coalesce(max(m.created_at), k.created_at) AS at FROM public.messages AS m
    WHERE m.conversation_id = k.id AND isfinite(m.created_at)) AS last
WHERE k.id = c.id AND c.duration_seconds = 2147483647 AND isfinite(c.created_at);
