-- What users are reminded of, each of it once.

-- A follow-up that was moved is another one. Whoever is reminded of several leads in one run gets
-- a notification of each and one mail.
CREATE TABLE worker.lead_reminders (
    lead_id uuid NOT NULL REFERENCES public.leads (id) ON DELETE CASCADE,
    follow_up_at timestamptz NOT NULL,
    -- Gone with its user: who has the lead then is reminded of it.
    user_id uuid NOT NULL REFERENCES public.user_profiles (id) ON DELETE CASCADE,
    mailed boolean NOT NULL DEFAULT false,
    reminded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (lead_id, follow_up_at)
);
COMMENT ON TABLE worker.lead_reminders IS 'Follow-ups that somebody was reminded of.';
COMMENT ON COLUMN worker.lead_reminders.mailed IS
    'False between the notification and the mail, which comes once all leads of the run are known.';
CREATE INDEX lead_reminders_user_idx ON worker.lead_reminders (user_id);
CREATE INDEX lead_reminders_waiting_idx ON worker.lead_reminders (user_id) WHERE NOT mailed;
CREATE INDEX lead_reminders_follow_up_idx ON worker.lead_reminders (follow_up_at);

CREATE TABLE worker.reminders (
    id uuid PRIMARY KEY,
    reminded_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE worker.reminders IS
    'Other reminders, by the words that private.email_id makes their mail''s id of: also of what '
    'nobody was told, because there was no address or nothing to tell.';
CREATE INDEX reminders_reminded_idx ON worker.reminders (reminded_at);

ALTER TABLE worker.lead_reminders ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.reminders ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.lead_reminders, worker.reminders TO service_role;

CREATE INDEX subscription_history_trial_idx ON public.subscription_history (trial_ends_at)
    WHERE ended_at IS NULL;

INSERT INTO worker.kinds (kind, queue, args, max_attempts, cap) VALUES
    ('remind_follow_ups', 'default', '{}', 3, 1),
    ('remind_trials', 'default', '{}', 3, 1),
    ('send_weekly_digests', 'default', '{}', 3, 1);
