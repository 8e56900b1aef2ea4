-- Marks carry moments, not days: the owner's time zone may change between the write and the
-- counting. One mark for each agent and UTC day of a statement, from its first moment to its last.

-- Marks of days are replaced by one of everything, for each agent.
DELETE FROM worker.stats_marks;
ALTER TABLE worker.stats_marks DROP COLUMN day;
ALTER TABLE worker.stats_marks
    ADD COLUMN from_at timestamptz NOT NULL,
    ADD COLUMN until_at timestamptz NOT NULL,
    ADD COLUMN visitor_id text,
    ADD COLUMN conversation_id uuid,
    SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
COMMENT ON TABLE worker.stats_marks IS
    'Moments of an agent whose daily_stats no longer agree with the raw rows.';
COMMENT ON COLUMN worker.stats_marks.from_at IS
    'To until_at, both within one UTC day; -infinity to infinity is everything of the agent.';
COMMENT ON COLUMN worker.stats_marks.visitor_id IS
    'Who came or went at these moments: whether their next day is a return may have changed.';
COMMENT ON COLUMN worker.stats_marks.conversation_id IS
    'A conversation that moved while some of its messages were locked: they follow it late.';
CREATE INDEX stats_marks_agent_id_from_at_idx ON worker.stats_marks (agent_id, from_at);
INSERT INTO worker.stats_marks (agent_id, from_at, until_at)
SELECT id, '-infinity', 'infinity' FROM public.agents;

CREATE TABLE worker.kept_opens (
    agent_id uuid NOT NULL,
    at timestamptz NOT NULL,
    opens int NOT NULL CHECK (opens > 0),
    PRIMARY KEY (agent_id, at)
);
COMMENT ON TABLE worker.kept_opens IS
    'Widget opens whose events were deleted for their age, by quarter of an hour. No foreign key: '
    'who deletes old events must not meet who deletes an agent.';

CREATE TABLE worker.stats_differences (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_id uuid NOT NULL,
    date date NOT NULL,
    stored jsonb,
    expected jsonb,
    found_at timestamptz NOT NULL DEFAULT now(),
    repaired_at timestamptz
);
COMMENT ON TABLE worker.stats_differences IS
    'Rows of daily_stats that the nightly recount found wrong although nothing had marked them.';
COMMENT ON COLUMN worker.stats_differences.stored IS 'Null: there was no row.';
COMMENT ON COLUMN worker.stats_differences.expected IS 'Null: there should be no row.';
CREATE INDEX stats_differences_found_at_idx ON worker.stats_differences (found_at);
CREATE INDEX stats_differences_open_idx ON worker.stats_differences (agent_id, date)
    WHERE repaired_at IS NULL;

ALTER TABLE worker.kept_opens ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.stats_differences ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.kept_opens, worker.stats_differences TO service_role;

-- The agent may be gone: then its figures are gone with it, and need no mark.
CREATE OR REPLACE FUNCTION worker.mark_days(agent_ids uuid[], moments timestamptz[])
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    INSERT INTO worker.stats_marks (agent_id, from_at, until_at)
    SELECT stale.agent_id, min(stale.at), max(stale.at)
    FROM unnest(agent_ids, moments) AS stale (agent_id, at)
    WHERE stale.at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
      AND (SELECT true FROM public.agents AS a WHERE a.id = stale.agent_id)
    GROUP BY stale.agent_id, (stale.at AT TIME ZONE 'UTC')::date
$$;

-- Who deletes rows for their age alone keeps what is counted of them, and says so:
-- SET LOCAL avivro.retention = 'on'.
CREATE FUNCTION worker.is_retention() RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT coalesce(current_setting('avivro.retention', true), '') = 'on'
$$;

-- New and deleted rows of messages, leads and usage_logs. Days are of the years 1 to 9999.
CREATE OR REPLACE FUNCTION worker.mark_stats() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO worker.stats_marks (agent_id, from_at, until_at)
        SELECT n.agent_id, min(n.created_at), max(n.created_at)
        FROM new_rows AS n
        WHERE n.agent_id IS NOT NULL
          AND n.created_at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
        GROUP BY n.agent_id, (n.created_at AT TIME ZONE 'UTC')::date;
    ELSIF NOT worker.is_retention() THEN
        INSERT INTO worker.stats_marks (agent_id, from_at, until_at)
        SELECT o.agent_id, min(o.created_at), max(o.created_at)
        FROM old_rows AS o
        WHERE o.created_at BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'
          AND (SELECT true FROM public.agents AS a WHERE a.id = o.agent_id)
        GROUP BY o.agent_id, (o.created_at AT TIME ZONE 'UTC')::date;
    END IF;
    RETURN NULL;
END $$;

-- Updates: both keys of a row of which something counted changed, and nothing of any other.

CREATE FUNCTION worker.mark_changed_messages() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM worker.mark_days(array_agg(stale.agent_id), array_agg(stale.at))
    FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
    CROSS JOIN LATERAL (VALUES (o.agent_id, o.created_at), (n.agent_id, n.created_at))
        AS stale (agent_id, at)
    WHERE (o.agent_id, o.created_at, o.role, o.response_time_ms, o.tokens_used)
        IS DISTINCT FROM (n.agent_id, n.created_at, n.role, n.response_time_ms, n.tokens_used)
    HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION worker.mark_changed_leads() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM worker.mark_days(array_agg(stale.agent_id), array_agg(stale.at))
    FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
    CROSS JOIN LATERAL (VALUES (o.agent_id, o.created_at), (n.agent_id, n.created_at))
        AS stale (agent_id, at)
    WHERE (o.agent_id, o.created_at) IS DISTINCT FROM (n.agent_id, n.created_at)
    HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION worker.mark_changed_usage() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM worker.mark_days(array_agg(stale.agent_id), array_agg(stale.at))
    FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
    CROSS JOIN LATERAL (VALUES (o.agent_id, o.created_at), (n.agent_id, n.created_at))
        AS stale (agent_id, at)
    WHERE (o.agent_id, o.created_at, o.usage_type, o.total_tokens, o.total_cost)
        IS DISTINCT FROM (n.agent_id, n.created_at, n.usage_type, n.total_tokens, n.total_cost)
    HAVING count(*) > 0;
    RETURN NULL;
END $$;

-- Of all events only opens are counted, and they are few.
CREATE FUNCTION worker.is_open(event_type text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT event_type IN ('widget_opened', 'widget_open', 'widget.opened')
$$;

CREATE FUNCTION worker.mark_opens() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM worker.mark_days(array_agg(n.agent_id), array_agg(n.created_at))
        FROM new_rows AS n WHERE worker.is_open(n.event_type) HAVING count(*) > 0;
    ELSIF TG_OP = 'UPDATE' THEN
        PERFORM worker.mark_days(array_agg(stale.agent_id), array_agg(stale.at))
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
        CROSS JOIN LATERAL (VALUES (o.agent_id, o.created_at), (n.agent_id, n.created_at))
            AS stale (agent_id, at)
        WHERE (o.agent_id, o.created_at, worker.is_open(o.event_type))
            IS DISTINCT FROM (n.agent_id, n.created_at, worker.is_open(n.event_type))
          AND (worker.is_open(o.event_type) OR worker.is_open(n.event_type))
        HAVING count(*) > 0;
    ELSIF NOT worker.is_retention() THEN
        PERFORM worker.mark_days(array_agg(o.agent_id), array_agg(o.created_at))
        FROM old_rows AS o WHERE worker.is_open(o.event_type) HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER mark_stats_on_update ON public.messages;
DROP TRIGGER mark_stats_on_insert ON public.messages;
DROP TRIGGER mark_stats_on_delete ON public.messages;
DROP TRIGGER mark_stats_on_update ON public.leads;
DROP TRIGGER mark_stats_on_update ON public.usage_logs;
DROP TRIGGER mark_stats_on_insert ON public.analytics_events;
DROP TRIGGER mark_stats_on_delete ON public.analytics_events;
DROP TRIGGER mark_stats_on_update ON public.analytics_events;

CREATE TRIGGER mark_stats_on_insert AFTER INSERT ON public.messages
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_delete AFTER DELETE ON public.messages
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_stats();
CREATE TRIGGER mark_stats_on_update AFTER UPDATE ON public.messages
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_changed_messages();
CREATE TRIGGER mark_stats_on_update AFTER UPDATE ON public.leads
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_changed_leads();
CREATE TRIGGER mark_stats_on_update AFTER UPDATE ON public.usage_logs
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_changed_usage();
CREATE TRIGGER mark_stats_on_insert AFTER INSERT ON public.analytics_events
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_opens();
CREATE TRIGGER mark_stats_on_delete AFTER DELETE ON public.analytics_events
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_opens();
CREATE TRIGGER mark_stats_on_update AFTER UPDATE ON public.analytics_events
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION worker.mark_opens();

REVOKE EXECUTE ON FUNCTION worker.is_retention, worker.is_open, worker.mark_changed_messages,
    worker.mark_changed_leads, worker.mark_changed_usage, worker.mark_opens FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.is_retention, worker.is_open TO service_role;
