-- Accounts of the embedded database. Under Supabase its Auth service writes this table.

-- name: insert_user
-- Nothing where the address is taken: an error would spoil the caller's transaction.
INSERT INTO auth.users (id, aud, role, email, encrypted_password, email_confirmed_at,
    last_sign_in_at, raw_user_meta_data)
VALUES (%(id)s, 'authenticated', 'authenticated', %(email)s, %(password_hash)s, now(), now(),
        %(data)s)
ON CONFLICT DO NOTHING
RETURNING id, email, role, coalesce(raw_app_meta_data, '{}') AS app_metadata,
          coalesce(raw_user_meta_data, '{}') AS user_metadata, created_at, email_confirmed_at,
          last_sign_in_at

-- name: read_password_hash
SELECT id, encrypted_password FROM auth.users
WHERE lower(email) = lower(%(email)s) AND NOT is_sso_user AND encrypted_password IS NOT NULL
  AND deleted_at IS NULL AND coalesce(banned_until <= now(), true)

-- name: touch_sign_in
UPDATE auth.users SET last_sign_in_at = now() WHERE id = %(id)s
RETURNING id, email, role, coalesce(raw_app_meta_data, '{}') AS app_metadata,
          coalesce(raw_user_meta_data, '{}') AS user_metadata, created_at, email_confirmed_at,
          last_sign_in_at

-- name: load_user
SELECT id, email, role, coalesce(raw_app_meta_data, '{}') AS app_metadata,
       coalesce(raw_user_meta_data, '{}') AS user_metadata, created_at, email_confirmed_at,
       last_sign_in_at
FROM auth.users
WHERE id = %(id)s AND deleted_at IS NULL AND coalesce(banned_until <= now(), true)
