-- Who is at the database itself, without a token, is an operator: their role says what they may.
-- Inside a SECURITY DEFINER function the setting `role` still names who called.
CREATE OR REPLACE FUNCTION private.is_caller(user_id uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT user_id = (SELECT auth.uid()) OR (SELECT auth.role()) = 'service_role'
        OR ((SELECT auth.role()) IS NULL AND (SELECT auth.uid()) IS NULL AND EXISTS (
            SELECT FROM pg_catalog.pg_roles AS r
            WHERE r.rolname = CASE current_setting('role')
                      WHEN 'none' THEN session_user::text ELSE current_setting('role') END
              AND (r.rolsuper OR r.rolbypassrls)))
$$;
COMMENT ON FUNCTION private.is_caller IS
    'Whether that user calls, or somebody who reaches all: service_role, or an operator at the '
    'database.';
