-- Who may look at the dashboard and press its buttons, and what was pressed.

CREATE TABLE worker.operators (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    origin text NOT NULL DEFAULT 'password' CHECK (origin IN ('password', 'header', 'oidc')),
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    password_hash text,
    must_change_password boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz,
    disabled_at timestamptz
);
CREATE UNIQUE INDEX operators_name_idx ON worker.operators (lower(name));
COMMENT ON TABLE worker.operators IS
    'Those who may use the dashboard; not the users of the platform.';
COMMENT ON COLUMN worker.operators.password_hash IS
    'Argon2id in its own text form; null where a proxy or an identity provider vouches.';

CREATE TABLE worker.operator_sessions (
    token_hash bytea PRIMARY KEY,
    operator_id uuid NOT NULL REFERENCES worker.operators (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    user_agent text
);
CREATE INDEX operator_sessions_operator_idx ON worker.operator_sessions (operator_id);
COMMENT ON COLUMN worker.operator_sessions.token_hash IS
    'SHA-256 of what the cookie holds: who reads this table cannot log in with it.';

CREATE TABLE worker.login_failures (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    name text NOT NULL,
    address text NOT NULL
);
CREATE INDEX login_failures_at_idx ON worker.login_failures (at);

CREATE TABLE worker.audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    operator text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    why text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_operator_idx ON worker.audit_log (operator, id);
CREATE INDEX audit_log_action_idx ON worker.audit_log (action, id);
COMMENT ON TABLE worker.audit_log IS
    'What operators did, in the transaction that did it. '
    'Append-only: rows are neither changed nor deleted.';
COMMENT ON COLUMN worker.audit_log.operator IS
    'The name at that time, as text: it outlives its operator. "cli:root@host" for a command.';

CREATE FUNCTION worker.keep_audit_log() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'worker.audit_log is append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER keep_audit_log BEFORE UPDATE OR DELETE OR TRUNCATE ON worker.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION worker.keep_audit_log();
REVOKE EXECUTE ON FUNCTION worker.keep_audit_log FROM PUBLIC;

ALTER TABLE worker.operators ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.operator_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.login_failures ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.audit_log ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.operators, worker.operator_sessions, worker.login_failures TO service_role;
GRANT SELECT, INSERT ON worker.audit_log TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA worker TO service_role;
