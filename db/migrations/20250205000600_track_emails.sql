-- What became of mails that were sent: told by the provider, and by links and the pixel in them.

CREATE TABLE worker.email_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Null while no mail of ours is known by provider_message_id.
    email_id uuid REFERENCES public.email_logs (id) ON DELETE CASCADE,
    provider text NOT NULL,
    provider_event_id text,
    provider_message_id text,
    type text NOT NULL,
    at timestamptz NOT NULL,
    by_bot boolean NOT NULL DEFAULT false,
    applied boolean NOT NULL DEFAULT false,
    address_hash bytea,
    details jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    -- The vocabulary of django-anymail.
    CONSTRAINT email_events_type_check CHECK (type IN
        ('sent', 'delivered', 'deferred', 'bounced', 'rejected', 'failed', 'complained',
         'opened', 'clicked', 'unsubscribed', 'unknown')),
    CONSTRAINT email_events_provider_event_key UNIQUE (provider, provider_event_id)
);
COMMENT ON COLUMN worker.email_events.by_bot IS
    'A scanner, a proxy or a prefetch: it moves no opened_at and no clicked_at.';
COMMENT ON COLUMN worker.email_events.applied IS
    'False until the mail''s row has taken it in: the mail is unknown, or still being sent.';
CREATE INDEX email_events_email_idx ON worker.email_events (email_id, at);
CREATE INDEX email_events_waiting_idx ON worker.email_events (created_at) WHERE NOT applied;
CREATE INDEX email_events_at_idx ON worker.email_events (at);
CREATE INDEX email_events_address_idx ON worker.email_events (address_hash, at DESC)
    WHERE type IN ('delivered', 'bounced');

-- Addresses that get no mail, or none of a category. It outlives users and mails on purpose.
CREATE TABLE worker.suppressions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Null where only its hash is known: an unsubscribe link does not carry the address.
    address text,
    address_hash bytea NOT NULL,
    -- Null: every category.
    category text,
    -- Whose mails; null: everybody's.
    user_id uuid,
    reason text NOT NULL,
    note text,
    -- The mail that it came of.
    email_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT suppressions_reason_check
        CHECK (reason IN ('bounced', 'complained', 'unsubscribed', 'manual')),
    CONSTRAINT suppressions_key
        UNIQUE NULLS NOT DISTINCT (address_hash, category, user_id, reason)
);
COMMENT ON TABLE worker.suppressions IS
    'bounced and manual stop everything, complained everything but account mail, unsubscribed a'
    ' category of a user.';

-- So that a row written by hand is found: the address as it is looked for, and its hash.
CREATE FUNCTION worker.spell_address() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    NEW.address := lower(btrim(NEW.address));
    NEW.address_hash := sha256(convert_to(NEW.address, 'UTF8'));
    RETURN NEW;
END $$;
REVOKE EXECUTE ON FUNCTION worker.spell_address FROM PUBLIC;
CREATE TRIGGER spell_address BEFORE INSERT OR UPDATE OF address ON worker.suppressions
    FOR EACH ROW WHEN (NEW.address IS NOT NULL) EXECUTE FUNCTION worker.spell_address();

ALTER TABLE worker.email_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.suppressions ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.email_events, worker.suppressions TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA worker TO service_role;
