-- Accounts: one profile for each row of auth.users, made by the sign-up itself.

-- Policy helpers and trigger functions live here: PostgREST exposes `public` only.
CREATE SCHEMA private;
REVOKE ALL ON SCHEMA private FROM PUBLIC;
GRANT USAGE ON SCHEMA private TO anon, authenticated, service_role;

CREATE TABLE private.settings (
    name text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE private.settings IS 'What SQL must know of the installation, by name.';
INSERT INTO private.settings (name, value) VALUES ('public_url', 'https://app.avivro.com');
ALTER TABLE private.settings ENABLE ROW LEVEL SECURITY;
GRANT ALL ON private.settings TO service_role;

CREATE TABLE public.user_profiles (
    id uuid PRIMARY KEY REFERENCES auth.users (id) ON DELETE CASCADE,
    email text,
    full_name text,
    company_name text,
    avatar_url text,
    phone text,
    time_zone text NOT NULL DEFAULT 'UTC',
    subscription_tier text NOT NULL DEFAULT 'free',
    subscription_status text NOT NULL DEFAULT 'active',
    monthly_message_limit int NOT NULL DEFAULT 1000,
    monthly_messages_used int NOT NULL DEFAULT 0,
    usage_period_start date NOT NULL
        DEFAULT date_trunc('month', now() AT TIME ZONE 'UTC')::date,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT user_profiles_subscription_tier_check
        CHECK (subscription_tier IN ('free', 'starter', 'professional', 'enterprise')),
    CONSTRAINT user_profiles_subscription_status_check
        CHECK (subscription_status IN ('active', 'cancelled', 'past_due', 'trialing')),
    -- Refuses a zone Postgres does not know: triggers compute days in it, for visitors' writes too.
    CONSTRAINT user_profiles_time_zone_check
        CHECK (timezone(time_zone, '2000-01-01 00:00+00'::timestamptz) IS NOT NULL),
    CONSTRAINT user_profiles_monthly_message_limit_check CHECK (monthly_message_limit >= 0),
    CONSTRAINT user_profiles_monthly_messages_used_check CHECK (monthly_messages_used >= 0)
);
COMMENT ON COLUMN public.user_profiles.email IS
    'A copy of auth.users.email; null for an account that signed up by phone.';
COMMENT ON COLUMN public.user_profiles.usage_period_start IS
    'First day (UTC) of the period that monthly_messages_used counts.';
CREATE INDEX user_profiles_email_idx ON public.user_profiles (lower(email));

-- Only what a person changes moves updated_at: counters are moved by other triggers, and an agent
-- that answers a visitor was not edited.
CREATE FUNCTION private.touch_updated_at() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
REVOKE EXECUTE ON FUNCTION private.touch_updated_at FROM PUBLIC;

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.user_profiles
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION private.touch_updated_at();

-- Metadata is whatever the sign-up form sent; it must never make a sign-up fail.
CREATE FUNCTION private.profile_text(metadata jsonb, VARIADIC names text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT left(btrim(metadata ->> name), 500)
    FROM unnest(names) WITH ORDINALITY AS wanted (name, place)
    WHERE jsonb_typeof(metadata) = 'object'
      AND jsonb_typeof(metadata -> name) IN ('string', 'number')
      AND btrim(metadata ->> name) <> ''
    ORDER BY place
    LIMIT 1
$$;
REVOKE EXECUTE ON FUNCTION private.profile_text FROM PUBLIC;

CREATE FUNCTION private.keep_user_profile() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO public.user_profiles AS profile
        (id, email, phone, full_name, company_name, avatar_url)
    VALUES (
        NEW.id, NEW.email, nullif(NEW.phone, ''),
        private.profile_text(NEW.raw_user_meta_data, 'full_name', 'name'),
        private.profile_text(NEW.raw_user_meta_data, 'company_name', 'company'),
        private.profile_text(NEW.raw_user_meta_data, 'avatar_url', 'picture'))
    -- Names and pictures are the profile's own after sign-up; the address is auth's.
    ON CONFLICT (id) DO UPDATE
        SET email = excluded.email, phone = coalesce(excluded.phone, profile.phone);
    RETURN NEW;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'profile of user %: %', NEW.id, SQLERRM;
    INSERT INTO public.user_profiles (id, email) VALUES (NEW.id, NEW.email)
    ON CONFLICT DO NOTHING;
    RETURN NEW;
END $$;
REVOKE EXECUTE ON FUNCTION private.keep_user_profile FROM PUBLIC;

CREATE TRIGGER keep_user_profile AFTER INSERT OR UPDATE OF email, phone ON auth.users
    FOR EACH ROW EXECUTE FUNCTION private.keep_user_profile();

ALTER TABLE public.user_profiles ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON public.user_profiles FROM anon, authenticated;
GRANT ALL ON public.user_profiles TO service_role;
-- Not the tier, the limit or the counter: nobody raises their own.
GRANT SELECT, UPDATE (full_name, company_name, avatar_url, phone, time_zone)
    ON public.user_profiles TO authenticated;

CREATE POLICY "owners read their profile" ON public.user_profiles
    FOR SELECT TO authenticated USING (id = (SELECT auth.uid()));
CREATE POLICY "owners edit their profile" ON public.user_profiles
    FOR UPDATE TO authenticated
    USING (id = (SELECT auth.uid())) WITH CHECK (id = (SELECT auth.uid()));
