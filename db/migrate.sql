-- name: lock_migrations
-- One constant for all versions of this program: two releases must not migrate at once.
SELECT pg_advisory_lock(4738821061)

-- name: unlock_migrations
SELECT pg_advisory_unlock(4738821061)

-- name: has_auth_users
SELECT to_regclass('auth.users') IS NOT NULL

-- name: has_history
SELECT to_regclass('supabase_migrations.schema_migrations') IS NOT NULL

-- name: create_history
-- Column for column what the Supabase CLI makes, so that either may come first.
DO $$
BEGIN
    IF to_regclass('supabase_migrations.schema_migrations') IS NULL THEN
        CREATE SCHEMA IF NOT EXISTS supabase_migrations;
        CREATE TABLE supabase_migrations.schema_migrations (
            version text NOT NULL PRIMARY KEY, statements text[], name text
        );
    END IF;
END $$

-- name: load_applied
SELECT version, coalesce(name, '') FROM supabase_migrations.schema_migrations ORDER BY version

-- name: reset_session
RESET ALL

-- name: limit_waits
-- A migration that waits for a lock makes everyone behind it wait too: better to fail and retry.
SET LOCAL lock_timeout = '4s'

-- name: record_migration
INSERT INTO supabase_migrations.schema_migrations (version, name, statements)
VALUES (%(version)s, %(name)s, %(statements)s)
