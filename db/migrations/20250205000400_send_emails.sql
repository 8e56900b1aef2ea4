-- A row of email_logs is its own job request: whoever writes one with status `queued` has it
-- sent, whoever sets one back to `queued` has it sent again.

INSERT INTO worker.kinds (kind, queue, args, max_attempts, unique_by, rerun) VALUES
    ('send_email', 'email', '{"email_id": "uuid"}', 5, 'email_id', true);

-- How far a mail came, for whoever has to go on after a crash. A row is there from the first
-- attempt on.
CREATE TABLE worker.email_sendings (
    email_id uuid PRIMARY KEY REFERENCES public.email_logs (id) ON DELETE CASCADE,
    number int NOT NULL DEFAULT 1,
    message_id text,
    provider text,
    failures int NOT NULL DEFAULT 0,
    queued_at timestamptz NOT NULL DEFAULT now(),
    handed_at timestamptz,
    request bytea
);
COMMENT ON COLUMN worker.email_sendings.number IS
    'Grows when the mail is sent again on purpose: it is part of the idempotency key.';
COMMENT ON COLUMN worker.email_sendings.message_id IS
    'Stays when nobody knows whether the mail arrived, so that mailboxes show a second copy once.';
COMMENT ON COLUMN worker.email_sendings.failures IS
    'In a row, for the wait before the next attempt.';
COMMENT ON COLUMN worker.email_sendings.handed_at IS
    'Committed right before the last bytes go out: from here on the provider may have it.';
COMMENT ON COLUMN worker.email_sendings.request IS
    'What a provider with idempotency keys was sent, to be sent again byte for byte.';
ALTER TABLE worker.email_sendings ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.email_sendings TO service_role;

CREATE FUNCTION worker.enqueue_email() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM worker.enqueue('send_email', jsonb_build_object('email_id', NEW.id),
                           tenant => NEW.user_id, unique_key => NEW.id::text,
                           on_conflict => 'replace');
    RETURN NULL;
END $$;

-- A mail that arrived is a new one when it is sent again; one of which nobody knows is not.
CREATE FUNCTION worker.renew_email() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    NEW.error_message := NULL;
    NEW.provider_message_id := NULL;
    NEW.sent_at := NULL;
    NEW.delivered_at := NULL;
    NEW.opened_at := NULL;
    NEW.clicked_at := NULL;
    INSERT INTO worker.email_sendings AS s (email_id) VALUES (NEW.id)
    ON CONFLICT (email_id) DO UPDATE
    SET number = s.number + 1,
        message_id = CASE WHEN OLD.status IN ('failed', 'uncertain') THEN s.message_id END,
        failures = 0, queued_at = now(), handed_at = NULL, request = NULL;
    RETURN NEW;
END $$;

-- Whoever gives the job up (its worker, the rescuer, an operator), no mail stays in "sending"
-- for ever, and none that may have arrived is called failed.
CREATE FUNCTION worker.fail_email() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    handed CONSTANT boolean := EXISTS (
        SELECT FROM worker.email_sendings AS s
        WHERE s.email_id = (NEW.args ->> 'email_id')::uuid AND s.handed_at IS NOT NULL);
BEGIN
    UPDATE public.email_logs AS e
    SET status = CASE WHEN handed THEN 'uncertain' ELSE 'failed' END,
        error_message = CASE
            WHEN handed THEN
                'Sending broke off after the mail was handed over: it may have arrived or not.'
            WHEN NEW.state = 'cancelled' THEN 'Sending was cancelled.'
            WHEN NEW.errors -> -1 ->> 'error' LIKE 'Internal error%' THEN
                'Sending failed because of a fault on our side. Nothing was sent.'
            ELSE coalesce(NEW.errors -> -1 ->> 'error', 'Sending failed.') END
    WHERE e.id = (NEW.args ->> 'email_id')::uuid AND e.status IN ('queued', 'sending');
    RETURN NULL;
END $$;
CREATE TRIGGER fail_email AFTER UPDATE OF state ON worker.jobs
    FOR EACH ROW WHEN (NEW.kind = 'send_email' AND OLD.state <> NEW.state
                       AND NEW.state IN ('discarded', 'cancelled'))
    EXECUTE FUNCTION worker.fail_email();

-- An operator who retries the job of a failed mail means the mail.
CREATE FUNCTION worker.retry_email() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.email_logs AS e SET status = 'queued'
    WHERE e.id = (NEW.args ->> 'email_id')::uuid AND e.status = 'failed';
    RETURN NULL;
END $$;
CREATE TRIGGER retry_email AFTER UPDATE OF state ON worker.jobs
    FOR EACH ROW WHEN (NEW.kind = 'send_email' AND NEW.state = 'available'
                       AND OLD.state IN ('discarded', 'cancelled', 'completed'))
    EXECUTE FUNCTION worker.retry_email();

-- An operator's word on a mail that is `uncertain` (or `failed`): it arrived, it shall be sent
-- again, or it did not and shall not. The new status.
CREATE FUNCTION worker.settle_email(email_id uuid, outcome text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    found_status text;
    new_status CONSTANT text :=
        CASE outcome WHEN 'sent' THEN 'sent' WHEN 'resend' THEN 'queued'
                     WHEN 'failed' THEN 'failed' END;
BEGIN
    IF new_status IS NULL THEN
        RAISE EXCEPTION 'outcome must be sent, resend or failed, not %', coalesce(outcome, 'null')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT e.status INTO found_status FROM public.email_logs AS e
    WHERE e.id = email_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no email %', email_id
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF found_status <> 'uncertain' AND (found_status, outcome) <> ('failed', 'resend') THEN
        RAISE EXCEPTION 'email % is %: there is nothing to settle', email_id, found_status
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Uncertain mails are settled, failed ones may be sent again.';
    END IF;
    UPDATE public.email_logs AS e
    SET status = new_status,
        sent_at = CASE WHEN outcome = 'sent' THEN coalesce(
            (SELECT s.handed_at FROM worker.email_sendings AS s WHERE s.email_id = e.id), now())
            ELSE e.sent_at END,
        error_message = CASE outcome WHEN 'failed' THEN
            'Nobody could say whether this mail arrived; an operator settled that it did not.' END
    WHERE e.id = email_id;
    RETURN new_status;
END $$;

REVOKE EXECUTE ON FUNCTION worker.enqueue_email, worker.renew_email, worker.fail_email,
    worker.retry_email, worker.settle_email FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.settle_email TO service_role;

-- Rows from before there was anybody to send them.
UPDATE public.email_logs
SET status = 'failed',
    error_message = 'Not sent: it had waited for more than a day when sending began to work.'
WHERE status = 'queued' AND created_at < now() - interval '1 day';
UPDATE public.email_logs
SET status = 'uncertain',
    error_message = 'It was being sent when this version began: it may have arrived or not.'
WHERE status = 'sending';
SELECT worker.enqueue('send_email', jsonb_build_object('email_id', e.id), tenant => e.user_id)
FROM public.email_logs AS e WHERE e.status = 'queued' ORDER BY e.created_at, e.id;

CREATE TRIGGER enqueue_email_on_insert AFTER INSERT ON public.email_logs
    FOR EACH ROW WHEN (NEW.status = 'queued') EXECUTE FUNCTION worker.enqueue_email();
-- The worker itself sets `sending` back to `queued` while it waits for its next attempt.
CREATE TRIGGER renew_email BEFORE UPDATE OF status ON public.email_logs
    FOR EACH ROW WHEN (NEW.status = 'queued' AND OLD.status NOT IN ('queued', 'sending'))
    EXECUTE FUNCTION worker.renew_email();
CREATE TRIGGER enqueue_email_on_update AFTER UPDATE OF status ON public.email_logs
    FOR EACH ROW WHEN (NEW.status = 'queued' AND OLD.status NOT IN ('queued', 'sending'))
    EXECUTE FUNCTION worker.enqueue_email();
