-- Sources that refresh themselves: when each is due, how often it failed, and when it gave up.

-- What keeps a source fresh moves last_synced_at and nothing else: its row did not change.
CREATE OR REPLACE TRIGGER touch_updated_at
    BEFORE UPDATE OF agent_id, name, type, content, url, file_url, file_name, file_size, file_type,
        settings, status, error_message, progress, chunks_count, tokens_count, auto_sync,
        sync_frequency, parent_id ON public.knowledge_sources
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();

-- A row for each source that refreshes itself, or whose last refresh failed.
CREATE TABLE worker.source_syncs (
    source_id uuid PRIMARY KEY REFERENCES public.knowledge_sources (id) ON DELETE CASCADE,
    due_at timestamptz,
    failures int NOT NULL DEFAULT 0,
    refusals int NOT NULL DEFAULT 0,
    failing_since timestamptz,
    paused_at timestamptz
);
COMMENT ON COLUMN worker.source_syncs.due_at IS 'Null: not by itself.';
COMMENT ON COLUMN worker.source_syncs.failures IS 'In a row; none since the last success.';
COMMENT ON COLUMN worker.source_syncs.refusals IS
    'Those at the end of the row that trying again would not have helped, such as 404.';
CREATE INDEX source_syncs_due_idx ON worker.source_syncs (due_at) WHERE due_at IS NOT NULL;
ALTER TABLE worker.source_syncs ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.source_syncs TO service_role;

-- The numbers that one field of a cron expression stands for; null where it cannot be understood.
-- `names` begin with the name of the lowest number.
CREATE FUNCTION worker.cron_field(
    field text, lowest int, highest int, names text[] DEFAULT '{}'
) RETURNS int[]
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
DECLARE
    part text;
    m text[];
    ends int[];
    found int[] := ARRAY[]::int[];
BEGIN
    FOREACH part IN ARRAY coalesce(string_to_array(lower(field), ','), '{}') LOOP
        m := regexp_match(part, '^(?:(\*)|(\d{1,2}|[a-z]{3})(?:-(\d{1,2}|[a-z]{3}))?)(?:/(\d\d?))?$');
        IF m IS NULL THEN
            RETURN NULL;
        END IF;
        SELECT array_agg(CASE WHEN value ~ '^\d' THEN value::int
                              ELSE array_position(names, value) - 1 + lowest END ORDER BY place)
        INTO ends
        FROM unnest(ARRAY[
            coalesce(m[2], lowest::text),
            CASE WHEN m[1] IS NOT NULL OR (m[3] IS NULL AND m[4] IS NOT NULL) THEN highest::text
                 ELSE coalesce(m[3], m[2]) END]) WITH ORDINALITY AS given (value, place);
        -- Sunday ends a week as well as it begins one.
        IF cardinality(names) = 7 AND ends[2] = 0 AND ends[1] > 0 THEN
            ends[2] := 7;
        END IF;
        IF (ends[1] BETWEEN lowest AND ends[2] AND ends[2] <= highest
            AND coalesce(m[4], '1')::int > 0) IS NOT TRUE THEN
            RETURN NULL;
        END IF;
        found := found || ARRAY(
            SELECT generate_series(ends[1], ends[2], coalesce(m[4], '1')::int));
    END LOOP;
    RETURN nullif(found, '{}');
END $$;

-- The first time after `since`, in UTC; null where the expression cannot be understood, or never
-- comes true. As in cron, a day of the month and one of the week that are both given are either.
CREATE FUNCTION worker.next_cron(cron text, since timestamptz) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
DECLARE
    days_max CONSTANT int := 366 * 8 + 2;
    fields CONSTANT text[] := regexp_split_to_array(btrim(left(cron, 200)), '\s+');
    minutes CONSTANT int[] := worker.cron_field(fields[1], 0, 59);
    hours CONSTANT int[] := worker.cron_field(fields[2], 0, 23);
    month_days CONSTANT int[] := worker.cron_field(fields[3], 1, 31);
    months CONSTANT int[] := worker.cron_field(
        fields[4], 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}');
    week_days CONSTANT int[] := worker.cron_field(
        fields[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}');
    is_either CONSTANT boolean := fields[3] !~ '^\*' AND fields[5] !~ '^\*';
    earliest CONSTANT timestamp :=
        date_trunc('minute', since AT TIME ZONE 'UTC') + interval '1 minute';
    day date := earliest::date;
    in_month boolean;
    in_week boolean;
    found timestamp;
BEGIN
    IF cardinality(fields) <> 5 OR num_nulls(minutes, hours, month_days, months, week_days) > 0
    THEN
        RETURN NULL;
    END IF;
    WHILE day < earliest::date + days_max LOOP
        in_month := extract(day FROM day)::int = ANY (month_days);
        in_week := (ARRAY[extract(dow FROM day)::int, extract(isodow FROM day)::int])
                   && week_days;
        IF extract(month FROM day)::int = ANY (months)
           AND (in_month AND in_week OR is_either AND (in_month OR in_week)) THEN
            SELECT min(day + make_time(h, m, 0)) INTO found
            FROM unnest(hours) AS h, unnest(minutes) AS m
            WHERE day + make_time(h, m, 0) >= earliest;
            IF found IS NOT NULL THEN
                RETURN found AT TIME ZONE 'UTC';
            END IF;
        END IF;
        day := day + 1;
    END LOOP;
    RETURN NULL;
END $$;

-- Between two refreshes; null for a cron expression.
CREATE FUNCTION worker.sync_interval(frequency text) RETURNS interval
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT CASE lower(btrim(coalesce(frequency, 'daily')))
        WHEN 'hourly' THEN interval '1 hour'
        WHEN 'daily' THEN interval '1 day'
        WHEN 'weekly' THEN interval '7 days'
        WHEN 'monthly' THEN interval '1 month' END
$$;

-- What the owner has to correct; null when there is nothing.
CREATE FUNCTION worker.sync_problem(frequency text) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT format('The sync_frequency "%s" cannot be understood, so this source does not refresh '
                  'itself. Write hourly, daily, weekly, monthly, or five cron fields in UTC, such '
                  'as "30 6 * * mon".', left(frequency, 100))
    WHERE worker.sync_interval(frequency) IS NULL AND worker.next_cron(frequency, now()) IS NULL
$$;

-- When a source that was refreshed at `since` is due. Each has its own second of the hour, or many
-- that were added together would fire together for ever; that second comes before the interval is
-- over, never after. A cron expression is kept to within spread_max, and to gap_min.
CREATE FUNCTION worker.next_sync(source_id uuid, frequency text, since timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = '' SET timezone = 'UTC' AS $$
DECLARE
    spread_max CONSTANT interval := interval '2 minutes';
    gap_min CONSTANT interval := interval '5 minutes';
    share CONSTANT float8 :=
        (hashtextextended(source_id::text, 0) & 2147483647)::float8 / 2147483648;
    step CONSTANT interval := worker.sync_interval(frequency);
    slot timestamptz;
BEGIN
    IF step IS NULL THEN
        slot := worker.next_cron(frequency, since - share * spread_max);
        RETURN CASE WHEN slot IS NOT NULL
                    THEN greatest(slot + share * spread_max, since + gap_min) END;
    END IF;
    slot := date_bin('1 hour', since + step,
                     timestamptz '2000-01-01 00:00+00' + share * interval '1 hour');
    RETURN CASE WHEN slot >= since + step / 4 THEN slot
                ELSE since + step - share * step / 2 END;
END $$;

-- An owner who says how often means: from now on, whatever went wrong before.
CREATE FUNCTION worker.explain_sync() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    NEW.error_message := CASE
        WHEN NEW.status = 'failed' THEN
            regexp_replace(NEW.error_message, ' Automatic refreshing is paused .*$', '')
        WHEN NEW.auto_sync THEN worker.sync_problem(NEW.sync_frequency) END;
    RETURN NEW;
END $$;
CREATE TRIGGER explain_sync_on_insert BEFORE INSERT ON public.knowledge_sources
    FOR EACH ROW WHEN (NEW.auto_sync) EXECUTE FUNCTION worker.explain_sync();
CREATE TRIGGER explain_sync BEFORE UPDATE OF auto_sync, sync_frequency ON public.knowledge_sources
    FOR EACH ROW EXECUTE FUNCTION worker.explain_sync();
CREATE TRIGGER explain_retry BEFORE UPDATE OF status ON public.knowledge_sources
    FOR EACH ROW WHEN (NEW.status = 'pending' AND OLD.status <> 'pending')
    EXECUTE FUNCTION worker.explain_sync();

-- A text is all there is: nothing of it can be fresher elsewhere.
CREATE FUNCTION worker.plan_sync() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    due timestamptz := CASE WHEN NEW.auto_sync AND NEW.type <> 'text' THEN
        worker.next_sync(NEW.id, NEW.sync_frequency,
                         coalesce(NEW.last_synced_at, NEW.created_at)) END;
BEGIN
    UPDATE worker.source_syncs AS y
    SET due_at = due, failures = 0, refusals = 0, failing_since = NULL, paused_at = NULL
    WHERE y.source_id = NEW.id;
    IF NOT FOUND AND due IS NOT NULL THEN
        INSERT INTO worker.source_syncs (source_id, due_at) VALUES (NEW.id, due)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER plan_sync_on_insert AFTER INSERT ON public.knowledge_sources
    FOR EACH ROW WHEN (NEW.auto_sync) EXECUTE FUNCTION worker.plan_sync();
-- Also when it is set to what it was: that is how an owner resumes what was paused.
CREATE TRIGGER plan_sync_on_request
    AFTER UPDATE OF auto_sync, sync_frequency ON public.knowledge_sources
    FOR EACH ROW EXECUTE FUNCTION worker.plan_sync();
CREATE TRIGGER plan_sync_on_result AFTER UPDATE ON public.knowledge_sources
    FOR EACH ROW WHEN (NEW.last_synced_at IS DISTINCT FROM OLD.last_synced_at
                       OR NEW.status = 'pending' AND OLD.status <> 'pending')
    EXECUTE FUNCTION worker.plan_sync();

-- New credentials may be what was missing.
CREATE FUNCTION worker.resume_sync() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.knowledge_sources AS s SET auto_sync = s.auto_sync
    WHERE s.id = NEW.source_id AND EXISTS (
        SELECT FROM worker.source_syncs AS y WHERE y.source_id = s.id AND y.failures > 0);
    RETURN NULL;
END $$;
CREATE TRIGGER resume_sync AFTER INSERT OR UPDATE OF credentials ON worker.source_credentials
    FOR EACH ROW WHEN (NEW.credentials IS NOT NULL) EXECUTE FUNCTION worker.resume_sync();

-- Enqueues what is due, the longest overdue first, each once however late it is; how many were
-- due. What is being read already is only planned anew. No row is due twice: it is planned for
-- its next time here, and again when it was refreshed.
CREATE FUNCTION worker.enqueue_due_resyncs(rows_max int, priority int) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH due AS MATERIALIZED (
        SELECT y.source_id FROM worker.source_syncs AS y
        WHERE y.due_at <= now() ORDER BY y.due_at LIMIT rows_max FOR UPDATE SKIP LOCKED
    ), planned AS (
        UPDATE worker.source_syncs AS y
        SET due_at = worker.next_sync(s.id, s.sync_frequency, now())
        FROM due JOIN public.knowledge_sources AS s ON s.id = due.source_id
        JOIN public.agents AS a ON a.id = s.agent_id
        WHERE y.source_id = due.source_id
        RETURNING s.id, s.status, a.user_id
    )
    SELECT count(*) + 0 * count(CASE WHEN p.status IN ('completed', 'failed') THEN
        worker.enqueue('resync_source', jsonb_build_object('source_id', p.id),
                       tenant => p.user_id, priority => enqueue_due_resyncs.priority) END)
    FROM planned AS p
$$;

REVOKE EXECUTE ON FUNCTION worker.cron_field, worker.next_cron, worker.sync_interval,
    worker.sync_problem, worker.next_sync, worker.explain_sync, worker.plan_sync,
    worker.resume_sync, worker.enqueue_due_resyncs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.cron_field, worker.next_cron, worker.sync_interval,
    worker.sync_problem, worker.next_sync, worker.enqueue_due_resyncs TO service_role;

INSERT INTO worker.kinds (kind, queue, args, max_attempts, unique_by, cap) VALUES
    ('resync_source', 'knowledge', '{"source_id": "uuid"}', 3, 'source_id', NULL),
    ('schedule_resyncs', 'default', '{}', 3, NULL, 1);
