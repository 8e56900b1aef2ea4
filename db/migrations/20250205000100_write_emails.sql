-- A mail of the platform's is a row of email_logs: whoever has a reason writes it here, in the
-- transaction of the reason.

-- Written once however often it is asked for: whoever writes makes the id from what it tells of.
-- Users without an address get none.
CREATE FUNCTION private.write_email(
    user_id uuid, email_type text, template_data jsonb, id uuid DEFAULT gen_random_uuid()
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO public.email_logs (id, user_id, to_email, email_type, template_id, template_data)
    SELECT write_email.id, p.id, p.email, write_email.email_type, write_email.email_type,
           write_email.template_data
    FROM public.user_profiles AS p
    WHERE p.id = write_email.user_id AND btrim(p.email) <> ''
    ON CONFLICT ON CONSTRAINT email_logs_pkey DO NOTHING;
    RETURN FOUND;
END $$;
REVOKE EXECUTE ON FUNCTION private.write_email FROM PUBLIC;
GRANT EXECUTE ON FUNCTION private.write_email TO service_role;
