-- Visitors who want to be forgotten: who asked for it, and how far it came.

INSERT INTO worker.kinds (kind, queue, args, max_attempts, unique_by, rerun) VALUES
    ('erase_visitor', 'default', '{"request_id": "uuid"}', 5, 'request_id', true);

CREATE TABLE worker.erasure_requests (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- Neither is a reference: that somebody was erased is known after the account is gone.
    agent_id uuid NOT NULL,
    user_id uuid NOT NULL,
    identity_hash bytea NOT NULL,
    visitor_id text,
    email text,
    visitor_ids text[] NOT NULL DEFAULT '{}',
    emails text[] NOT NULL DEFAULT '{}',
    phones text[] NOT NULL DEFAULT '{}',
    names text[] NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'requested',
    requested_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    counts jsonb NOT NULL DEFAULT '{}',
    remains jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT erasure_requests_state_check
        CHECK (state IN ('requested', 'running', 'done', 'incomplete'))
);
COMMENT ON COLUMN worker.erasure_requests.identity_hash IS
    'SHA-256 of the agent''s id and what was asked for: all that stays once it is done.';
COMMENT ON COLUMN worker.erasure_requests.visitor_id IS
    'As asked for, as email is. All that names the visitor is blank once nothing remains.';
COMMENT ON COLUMN worker.erasure_requests.visitor_ids IS
    'What was found to name them, as emails, phones (digits) and names do.';
COMMENT ON COLUMN worker.erasure_requests.counts IS 'Rows that were deleted or emptied, by table.';
COMMENT ON COLUMN worker.erasure_requests.remains IS
    'Rows that still tell of the visitor, by table: somebody else''s words, to be looked at.';
-- Asked again before it is done, it is the same request.
CREATE UNIQUE INDEX erasure_requests_open_idx
    ON worker.erasure_requests (agent_id, identity_hash) WHERE state <> 'done';
CREATE INDEX erasure_requests_user_idx ON worker.erasure_requests (user_id, requested_at DESC);

-- Ids of what was deleted: other tables tell of it by these, and a run that was killed goes on.
CREATE TABLE worker.erased_rows (
    request_id uuid NOT NULL REFERENCES worker.erasure_requests (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    place text NOT NULL,
    CONSTRAINT erased_rows_pkey PRIMARY KEY (request_id, id)
);
ALTER TABLE worker.erasure_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.erased_rows ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.erasure_requests, worker.erased_rows TO service_role;

CREATE FUNCTION private.check_erased_identity(visitor_id text, email text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
DECLARE
    chars_max CONSTANT int := 1000;
BEGIN
    IF visitor_id IS NULL AND email IS NULL THEN
        RAISE EXCEPTION 'a visitor id or an email address is needed, none was given'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF btrim(visitor_id) = '' THEN
        RAISE EXCEPTION 'the visitor id is empty' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF email !~ '^[^@[:space:]]+@[^@[:space:]]+$' THEN
        RAISE EXCEPTION '"%" is no email address', left(email, chars_max)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF greatest(length(visitor_id), length(email)) > chars_max THEN
        RAISE EXCEPTION 'the visitor''s id or address has % characters, limit %',
            greatest(length(visitor_id), length(email)), chars_max
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END $$;

-- The job before the request, as the worker locks them: else who asks again while it runs and the
-- worker wait for each other. A request that is done meanwhile is followed by a new one; one that
-- runs is run again, for it may have passed what came since.
CREATE FUNCTION private.add_erasure(asked_agent uuid, asked_visitor text, asked_email text)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    spelt CONSTANT text := lower(btrim(asked_email));
    asked_hash CONSTANT bytea := sha256(convert_to(
        jsonb_build_array(asked_agent, asked_visitor, spelt)::text, 'UTF8'));
    owner_id uuid;
    request_id uuid;
BEGIN
    PERFORM private.check_erased_identity(asked_visitor, spelt);
    SELECT a.user_id INTO owner_id FROM public.agents AS a
    WHERE a.id = asked_agent AND private.is_caller(a.user_id);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no agent %', asked_agent USING ERRCODE = 'no_data_found';
    END IF;
    LOOP
        INSERT INTO worker.erasure_requests
            (agent_id, user_id, identity_hash, visitor_id, email, visitor_ids, emails)
        VALUES (asked_agent, owner_id, asked_hash, asked_visitor, spelt,
                array_remove(ARRAY[asked_visitor], NULL), array_remove(ARRAY[spelt], NULL))
        ON CONFLICT (agent_id, identity_hash) WHERE state <> 'done' DO NOTHING;
        SELECT r.id INTO request_id FROM worker.erasure_requests AS r
        WHERE r.agent_id = asked_agent AND r.identity_hash = asked_hash AND r.state <> 'done';
        CONTINUE WHEN request_id IS NULL;
        PERFORM worker.enqueue('erase_visitor', jsonb_build_object('request_id', request_id),
                               tenant => owner_id, unique_key => request_id::text);
        UPDATE worker.erasure_requests AS r SET state = 'requested'
        WHERE r.id = request_id AND r.state <> 'done';
        EXIT WHEN FOUND;
    END LOOP;
    RETURN request_id;
END $$;

CREATE FUNCTION public.request_visitor_erasure(
    agent_id uuid, visitor_id text DEFAULT NULL, email text DEFAULT NULL
) RETURNS uuid
LANGUAGE sql SECURITY INVOKER SET search_path = '' AS $$
    SELECT private.add_erasure(agent_id, visitor_id, email)
$$;
COMMENT ON FUNCTION public.request_visitor_erasure IS
    'Has everything deleted that is known of a visitor of one of the caller''s agents; the id of '
    'the request. Asked again before it is done, it is the same request.';

CREATE FUNCTION private.read_erasures(agent_id uuid) RETURNS TABLE (
    id uuid, state text, requested_at timestamptz, finished_at timestamptz, counts jsonb,
    remains jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    rows_max CONSTANT int := 1000;
BEGIN
    RETURN QUERY
        SELECT r.id, r.state, r.requested_at, r.finished_at, r.counts, r.remains
        FROM worker.erasure_requests AS r
        WHERE r.agent_id = read_erasures.agent_id AND private.is_caller(r.user_id)
        ORDER BY r.requested_at DESC, r.id LIMIT rows_max;
END $$;

CREATE FUNCTION public.get_visitor_erasures(agent_id uuid) RETURNS TABLE (
    id uuid, state text, requested_at timestamptz, finished_at timestamptz, counts jsonb,
    remains jsonb)
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
    SELECT * FROM private.read_erasures(agent_id)
$$;
COMMENT ON FUNCTION public.get_visitor_erasures IS
    'How far erasures of an agent''s visitors came, the newest first: requested, running, done, '
    'or incomplete with the number of rows that remain, by table.';

-- An event whose content was erased is never sent, nor sent again.
CREATE FUNCTION worker.keep_erased() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    NEW.status := OLD.status;
    NEW.attempt_count := OLD.attempt_count;
    NEW.delivered_at := OLD.delivered_at;
    NEW.error_message := 'cancelled: this event told of a visitor who was erased';
    NEW.next_retry_at := NULL;
    RETURN NEW;
END $$;
-- After begin_plan, by its name.
CREATE TRIGGER keep_erased BEFORE UPDATE OF status ON public.webhook_deliveries
    FOR EACH ROW WHEN (OLD.event_data = '{"erased": true}'
                       AND NEW.status IN ('pending', 'retrying')
                       AND OLD.status NOT IN ('pending', 'retrying'))
    EXECUTE FUNCTION worker.keep_erased();

REVOKE EXECUTE ON FUNCTION private.check_erased_identity, private.add_erasure,
    private.read_erasures, worker.keep_erased FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION public.request_visitor_erasure, public.get_visitor_erasures
    FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION private.add_erasure, private.read_erasures,
    public.request_visitor_erasure, public.get_visitor_erasures TO authenticated, service_role;
