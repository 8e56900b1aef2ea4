-- What is done when its time has come: each statement serves one batch. Whoever is being deleted,
-- or edited, or is locked by somebody else, is left for the next run: nobody waits for these, and
-- they wait for nobody. Agents and users are locked first, as their own deletion does it.

-- name: plan_by_index
-- Before the others in the same transaction: on statistics from a quiet hour the planner would
-- read and sort the whole table for every batch.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)

-- name: find_open
-- Of conversations younger than that, only those can be idle whose messages are older than they
-- are, as imports have them.
WITH page AS MATERIALIZED (
    SELECT c.id, c.created_at FROM public.conversations AS c
    WHERE c.status = 'active'
      AND (c.created_at, c.id) > (
          coalesce(%(since_at)s::timestamptz, '-infinity'),
          coalesce(%(since_id)s::uuid, '00000000-0000-0000-0000-000000000000'))
      AND (c.created_at <= now() - make_interval(secs => %(idle_s)s)
           OR (c.message_count > 0 AND c.duration_seconds = 0))
    ORDER BY c.created_at, c.id LIMIT %(rows_max)s
)
SELECT p.created_at::text, p.id,
       coalesce((SELECT max(m.created_at) FROM public.messages AS m
                 WHERE m.conversation_id = p.id), p.created_at)
           <= now() - make_interval(secs => %(idle_s)s) AS idle
FROM page AS p ORDER BY p.created_at, p.id

-- name: lock_open
-- A message locks its conversation, too: from here on either it is seen, or it waits.
SELECT c.id FROM public.conversations AS c JOIN public.agents AS a ON a.id = c.agent_id
WHERE c.id = ANY(%(conversation_ids)s) AND c.status = 'active'
ORDER BY c.id
FOR KEY SHARE OF a SKIP LOCKED FOR NO KEY UPDATE OF c SKIP LOCKED

-- name: close_idle
-- A statement of its own, for its snapshot must be younger than the locks.
UPDATE public.conversations AS c
SET status = 'resolved',
    duration_seconds = CASE WHEN isfinite(c.created_at) AND isfinite(last.at)
        THEN floor(least(greatest(extract(epoch FROM last.at - c.created_at), 0), 2147483647))::int
        ELSE 0 END
FROM (SELECT k.id, coalesce((SELECT max(m.created_at) FROM public.messages AS m
                             WHERE m.conversation_id = k.id), k.created_at) AS at
      FROM public.conversations AS k WHERE k.id = ANY(%(conversation_ids)s)) AS last
WHERE c.id = last.id AND last.at <= now() - make_interval(secs => %(idle_s)s)
