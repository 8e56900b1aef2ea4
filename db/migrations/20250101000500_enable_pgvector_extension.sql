-- pgvector 0.8 or newer: searches rely on its iterative index scans.

CREATE SCHEMA IF NOT EXISTS extensions;
CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA extensions;

DO $$
DECLARE
    installed text := (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector');
BEGIN
    IF string_to_array(installed, '.')::int[] < ARRAY[0, 8] THEN
        RAISE EXCEPTION 'pgvector % is too old, 0.8.0 or newer is needed', installed
            USING HINT = 'ALTER EXTENSION vector UPDATE;';
    END IF;
    -- Ids come from gen_random_uuid(); this one is for code that still calls uuid_generate_v4().
    IF EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'uuid-ossp') THEN
        CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA extensions;
    END IF;
END $$;
