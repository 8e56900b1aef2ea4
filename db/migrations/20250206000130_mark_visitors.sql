-- Marks of conversations, and of what changes the days of an agent as a whole.

-- With the visitor, where the day they came on may have changed.
CREATE FUNCTION worker.mark_visits() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO worker.stats_marks (agent_id, visitor_id, from_at, until_at)
        SELECT n.agent_id, n.visitor_id, min(n.created_at), max(n.created_at)
        FROM new_rows AS n
        WHERE n.created_at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
        GROUP BY n.agent_id, n.visitor_id, (n.created_at AT TIME ZONE 'UTC')::date;
    ELSIF NOT worker.is_retention() THEN
        INSERT INTO worker.stats_marks (agent_id, visitor_id, from_at, until_at)
        SELECT o.agent_id, o.visitor_id, min(o.created_at), max(o.created_at)
        FROM old_rows AS o
        WHERE o.created_at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
          AND (SELECT true FROM public.agents AS a WHERE a.id = o.agent_id)
        GROUP BY o.agent_id, o.visitor_id, (o.created_at AT TIME ZONE 'UTC')::date;
    END IF;
    RETURN NULL;
END $$;

-- Every message of a visitor updates its conversation's counters: mostly nothing is marked here
-- but the day of the conversation, whose duration grew.
CREATE FUNCTION worker.mark_changed_visits() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.stats_marks (agent_id, visitor_id, from_at, until_at)
    SELECT stale.agent_id, stale.visitor_id, min(stale.at), max(stale.at)
    FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
    CROSS JOIN LATERAL (
        SELECT (o.agent_id, o.visitor_id, o.created_at)
            IS DISTINCT FROM (n.agent_id, n.visitor_id, n.created_at) AS moved) AS way
    CROSS JOIN LATERAL (VALUES
        (o.agent_id, o.created_at, CASE WHEN way.moved THEN o.visitor_id END),
        (n.agent_id, n.created_at, CASE WHEN way.moved THEN n.visitor_id END))
        AS stale (agent_id, at, visitor_id)
    WHERE (way.moved OR (o.status = 'active', o.sentiment_label, o.duration_seconds)
            IS DISTINCT FROM (n.status = 'active', n.sentiment_label, n.duration_seconds))
      AND stale.at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
    GROUP BY stale.agent_id, stale.visitor_id, (stale.at AT TIME ZONE 'UTC')::date;
    RETURN NULL;
END $$;

DROP TRIGGER mark_stats_on_insert ON public.conversations;
DROP TRIGGER mark_stats_on_delete ON public.conversations;
DROP TRIGGER mark_stats_on_update ON public.conversations;
CREATE TRIGGER mark_stats_on_insert AFTER INSERT ON public.conversations
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_visits();
CREATE TRIGGER mark_stats_on_delete AFTER DELETE ON public.conversations
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_visits();
CREATE TRIGGER mark_stats_on_update AFTER UPDATE ON public.conversations
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_changed_visits();

-- Messages carry their agent, so their own triggers mark their days when a conversation goes.
DROP TRIGGER mark_message_days_on_delete ON public.conversations;
DROP TRIGGER mark_message_days_on_move ON public.conversations;
DROP FUNCTION worker.mark_conversation_days();
DROP FUNCTION worker.mark_messages();
DROP FUNCTION worker.mark_message_days(uuid[], timestamptz[]);

-- A conversation takes its messages along. It waits for none of them: who holds a message may wait
-- for this conversation. Those that somebody else holds follow late, a mark says so. By its name
-- it comes before the agents are locked.
CREATE FUNCTION private.carry_messages() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.messages AS m SET agent_id = NEW.agent_id
    FROM (SELECT f.id FROM public.messages AS f
          WHERE f.conversation_id = NEW.id AND f.agent_id IS DISTINCT FROM NEW.agent_id
          ORDER BY f.id FOR NO KEY UPDATE SKIP LOCKED) AS free
    WHERE m.id = free.id;
    INSERT INTO worker.stats_marks (agent_id, from_at, until_at, conversation_id)
    SELECT NEW.agent_id, now(), now(), NEW.id
    WHERE EXISTS (
        SELECT FROM public.messages AS m
        WHERE m.conversation_id = NEW.id AND m.agent_id IS DISTINCT FROM NEW.agent_id);
    RETURN NULL;
END $$;
CREATE TRIGGER carry_messages AFTER UPDATE OF agent_id ON public.conversations
    FOR EACH ROW WHEN (OLD.agent_id <> NEW.agent_id) EXECUTE FUNCTION private.carry_messages();

-- In another zone every day has other rows.
CREATE FUNCTION worker.mark_zone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO worker.stats_marks (agent_id, from_at, until_at)
    SELECT a.id, '-infinity', 'infinity' FROM public.agents AS a WHERE a.user_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER mark_zone AFTER UPDATE OF time_zone ON public.user_profiles
    FOR EACH ROW WHEN (OLD.time_zone <> NEW.time_zone) EXECUTE FUNCTION worker.mark_zone();

CREATE FUNCTION worker.mark_owner() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    -- See worker.settle_zones: its zone may be changing.
    PERFORM FROM public.user_profiles AS p WHERE p.id = NEW.user_id FOR NO KEY UPDATE;
    INSERT INTO worker.stats_marks (agent_id, from_at, until_at)
    VALUES (NEW.id, '-infinity', 'infinity');
    RETURN NULL;
END $$;
CREATE TRIGGER mark_owner AFTER UPDATE OF user_id ON public.agents
    FOR EACH ROW WHEN (OLD.user_id <> NEW.user_id) EXECUTE FUNCTION worker.mark_owner();

-- Whoever is changing an owner's zone cannot see yet which agents just came to it, and marks the
-- others: the newcomers wait for it, and it for them. Owners in the order of their ids.
CREATE FUNCTION worker.settle_zones() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM FROM public.user_profiles AS p
    WHERE p.id IN (SELECT n.user_id FROM new_rows AS n)
    ORDER BY p.id FOR NO KEY UPDATE;
    RETURN NULL;
END $$;
CREATE TRIGGER settle_zones_on_insert AFTER INSERT ON public.agents
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.settle_zones();

-- What lies beside an agent's rows without a foreign key.
CREATE FUNCTION worker.forget_stats() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    DELETE FROM worker.kept_opens WHERE agent_id = OLD.id;
    DELETE FROM worker.stats_differences WHERE agent_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_stats AFTER DELETE ON public.agents
    FOR EACH ROW EXECUTE FUNCTION worker.forget_stats();

REVOKE EXECUTE ON FUNCTION worker.mark_visits, worker.mark_changed_visits,
    private.carry_messages, worker.mark_zone, worker.mark_owner, worker.settle_zones,
    worker.forget_stats FROM PUBLIC;
