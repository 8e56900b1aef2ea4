-- What keeps strangers out of the dashboard, and operators in.

ALTER TABLE worker.operators ADD COLUMN subject text;
COMMENT ON COLUMN worker.operators.subject IS
    'What the identity provider calls this person for ever; bound at their first login there.';

ALTER TABLE worker.operator_sessions
    ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN address text NOT NULL DEFAULT '';
CREATE UNIQUE INDEX operator_sessions_id_idx ON worker.operator_sessions (id);
COMMENT ON COLUMN worker.operator_sessions.id IS 'To name a session on a page; it opens nothing.';

CREATE TABLE worker.operator_devices (
    token_hash bytea PRIMARY KEY,
    operator_id uuid NOT NULL REFERENCES worker.operators (id) ON DELETE CASCADE,
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX operator_devices_operator_idx ON worker.operator_devices (operator_id, seen_at);
COMMENT ON TABLE worker.operator_devices IS
    'Browsers in which an operator gave the right password: '
    'wrong ones from elsewhere do not lock these.';

CREATE INDEX login_failures_name_idx ON worker.login_failures (name, at);
CREATE INDEX login_failures_address_idx ON worker.login_failures (address, at);
COMMENT ON TABLE worker.login_failures IS
    'Wrong passwords of the last day. An attempt is noted before it is judged, '
    'so that a thousand at once are not free.';
COMMENT ON COLUMN worker.login_failures.address IS
    'A network address, or "device" and the hash of a known browser.';

ALTER TABLE worker.operator_devices ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.operator_devices TO service_role;
