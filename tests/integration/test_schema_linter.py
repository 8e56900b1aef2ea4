"""The rules of Supabase's database linter, and of our own, as questions to the catalogue.

Each query lists what breaks its rule; the answer must be empty.
"""

from collections.abc import Iterator

import pytest

from db.embedded import Services
from db.pool import Connection, connect
from tests.conftest import fresh_database

OURS = "('public', 'private', 'worker')"
RULES = {
    "unindexed_foreign_keys": f"""
        SELECT c.conrelid::regclass || '.' || c.conname
        FROM pg_constraint AS c
        WHERE c.contype = 'f' AND c.connamespace::regnamespace::text IN {OURS}
          AND NOT EXISTS (
            SELECT FROM pg_index AS i
            WHERE i.indrelid = c.conrelid AND i.indisvalid
              AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
              AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) LIKE '%IS NOT NULL%'))
    """,
    "auth_rls_initplan": """
        SELECT tablename || ': ' || policyname FROM pg_policies,
            regexp_replace(coalesce(qual, '') || coalesce(with_check, ''),
                '\\( SELECT auth\\.(uid|jwt|role|email)\\(\\) AS \\w+\\)', '', 'g') AS bare
        WHERE schemaname = 'public' AND bare ~ 'auth\\.|current_setting'
    """,
    "multiple_permissive_policies": """
        SELECT tablename || ' ' || role || ' ' || command
        FROM pg_policies, unnest(roles) AS role,
            unnest(CASE cmd WHEN 'ALL' THEN ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']
                   ELSE ARRAY[cmd] END) AS command
        WHERE schemaname = 'public' AND permissive = 'PERMISSIVE'
        GROUP BY tablename, role, command HAVING count(*) > 1
    """,
    "policy_without_a_named_role": """
        SELECT tablename || ': ' || policyname FROM pg_policies
        WHERE schemaname = 'public' AND 'public' = ANY (roles)
    """,
    "update_policy_without_check": """
        SELECT tablename || ': ' || policyname FROM pg_policies
        WHERE schemaname = 'public' AND cmd IN ('UPDATE', 'ALL') AND with_check IS NULL
    """,
    "permissive_rls_policy": """
        SELECT tablename || ': ' || policyname FROM pg_policies
        WHERE schemaname = 'public' AND 'true' IN (qual, with_check)
    """,
    "rls_references_user_metadata": """
        SELECT tablename || ': ' || policyname FROM pg_policies
        WHERE coalesce(qual, '') || coalesce(with_check, '') ~ 'user_metadata|raw_user_meta'
          AND schemaname = 'public'
    """,
    "rls_disabled": f"""
        SELECT oid::regclass::text FROM pg_class
        WHERE relkind IN ('r', 'p') AND NOT relrowsecurity
          AND relnamespace::regnamespace::text IN {OURS}
    """,
    "rls_enabled_no_policy": """
        SELECT oid::regclass::text FROM pg_class AS c
        WHERE relkind IN ('r', 'p') AND relrowsecurity AND relnamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)
    """,
    "function_search_path_mutable": f"""
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace::regnamespace::text IN {OURS}
          AND NOT coalesce(array_to_string(proconfig, ' '), '') LIKE '%search_path=%'
    """,
    "security_definer_view": """
        SELECT oid::regclass::text FROM pg_class
        WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace
          AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)
    """,
    "auth_users_exposed": """
        SELECT v.oid::regclass::text FROM pg_class AS v
        JOIN pg_rewrite AS r ON r.ev_class = v.oid
        JOIN pg_depend AS d ON d.objid = r.oid AND d.refobjid = 'auth.users'::regclass
        WHERE v.relnamespace = 'public'::regnamespace
    """,
    "exposed_security_definer_function": """
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prosecdef
          AND (has_function_privilege('anon', oid, 'EXECUTE')
               OR has_function_privilege('authenticated', oid, 'EXECUTE'))
    """,
    "no_primary_key": f"""
        SELECT oid::regclass::text FROM pg_class AS c
        WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text IN {OURS}
          AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)
    """,
    "duplicate_index": f"""
        SELECT string_agg(i.indexrelid::regclass::text, ', ')
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
        WHERE c.relnamespace::regnamespace::text IN {OURS}
        GROUP BY i.indrelid, i.indkey, i.indclass, i.indoption,
            pg_get_expr(i.indpred, i.indrelid), pg_get_expr(i.indexprs, i.indrelid)
        HAVING count(*) > 1
    """,
    "extension_in_public": """
        SELECT extname FROM pg_extension WHERE extnamespace = 'public'::regnamespace
    """,
    "materialized_view_in_api": """
        SELECT oid::regclass::text FROM pg_class
        WHERE relkind IN ('m', 'f') AND relnamespace = 'public'::regnamespace
    """,
    "function_open_to_everyone": f"""
        SELECT p.oid::regprocedure::text
        FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS grants
        WHERE p.pronamespace::regnamespace::text IN {OURS} AND grants.grantee = 0
    """,
    "engine_function_open_to_web_roles": """
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'worker'::regnamespace
          AND (has_function_privilege('anon', oid, 'EXECUTE')
               OR has_function_privilege('authenticated', oid, 'EXECUTE'))
    """,
    "trigger_function_not_security_definer": f"""
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE prorettype = 'trigger'::regtype AND NOT prosecdef
          AND pronamespace::regnamespace::text IN {OURS}
    """,
    "policy_column_without_an_index": """
        SELECT DISTINCT p.tablename || '.' || a.attname FROM pg_policies AS p
        JOIN pg_attribute AS a ON a.attrelid = ('public.' || p.tablename)::regclass
        WHERE p.schemaname = 'public' AND a.attname ~ '_id$'
          AND p.qual ~ ('\\(' || a.attname || ' (=|IN)')
          AND NOT EXISTS (SELECT FROM pg_index AS i
            WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum AND i.indpred IS NULL)
    """,
    "table_open_to_anon": """
        SELECT oid::regclass::text FROM pg_class
        WHERE relkind IN ('r', 'v') AND relnamespace = 'public'::regnamespace
          AND relname <> 'published_agents'
          AND has_table_privilege('anon', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
    """,
    "truncate_open_to_signed_in_users": """
        SELECT oid::regclass::text FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
          AND has_table_privilege('authenticated', oid, 'TRUNCATE, TRIGGER, REFERENCES')
    """,
}
# What a rule must be able to catch: made, found, and rolled back.
BREACHES = {
    "unindexed_foreign_keys": "ALTER TABLE public.leads ADD x uuid REFERENCES public.agents",
    "auth_rls_initplan": """CREATE POLICY p ON public.leads AS RESTRICTIVE FOR SELECT TO anon
        USING (assigned_to = auth.uid())""",
    "multiple_permissive_policies": """CREATE POLICY p ON public.leads FOR ALL TO authenticated
        USING (score > 0)""",
    "policy_without_a_named_role": "CREATE POLICY p ON public.leads USING (score > 0)",
    "update_policy_without_check": """CREATE POLICY p ON public.leads FOR UPDATE TO anon
        USING (score > 0)""",
    "permissive_rls_policy": "CREATE POLICY p ON public.leads TO anon USING (true)",
    "rls_references_user_metadata": """CREATE POLICY p ON public.leads TO anon
        USING ((SELECT auth.jwt()) -> 'user_metadata' ? 'admin')""",
    "rls_disabled": "CREATE TABLE worker.open_table (id int PRIMARY KEY)",
    "rls_enabled_no_policy": """CREATE TABLE public.closed_table (id int PRIMARY KEY);
        ALTER TABLE public.closed_table ENABLE ROW LEVEL SECURITY""",
    "function_search_path_mutable": "CREATE FUNCTION private.f() RETURNS int RETURN 1",
    "security_definer_view": "CREATE VIEW public.v AS SELECT id FROM public.leads",
    "auth_users_exposed": "CREATE VIEW public.v AS SELECT email FROM auth.users",
    "exposed_security_definer_function": """CREATE FUNCTION public.f() RETURNS int
        LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'""",
    "no_primary_key": "CREATE TABLE worker.keyless (id int)",
    "duplicate_index": "CREATE INDEX again ON public.leads (assigned_to)",
    "extension_in_public": "CREATE EXTENSION citext WITH SCHEMA public",
    "materialized_view_in_api": "CREATE MATERIALIZED VIEW public.m AS SELECT 1 AS one",
    "function_open_to_everyone": "CREATE FUNCTION private.f() RETURNS int RETURN 1",
    "engine_function_open_to_web_roles": "CREATE FUNCTION worker.f() RETURNS int RETURN 1",
    "trigger_function_not_security_definer": """CREATE FUNCTION private.f() RETURNS trigger
        LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'""",
    "policy_column_without_an_index": "DROP INDEX public.webhooks_user_id_idx",
    "table_open_to_anon": "GRANT SELECT ON public.leads TO anon",
    "truncate_open_to_signed_in_users": "GRANT TRUNCATE ON public.leads TO authenticated",
}


@pytest.fixture(scope="module")
def shared(services: Services, template: str) -> Iterator[Connection]:
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture
def conn(shared: Connection) -> Iterator[Connection]:
    """One database for the module; each test's writes are undone."""
    with shared.transaction(force_rollback=True):
        yield shared


@pytest.mark.parametrize("rule", RULES)
def test_nothing_breaks_the_rule(conn: Connection, rule: str) -> None:
    found = [row[0] for row in conn.execute(RULES[rule].encode())]

    assert found == []


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_catches_a_breach(conn: Connection, rule: str) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute(BREACHES[rule].encode())
        found = conn.execute(RULES[rule].encode()).fetchall()

    assert len(found) > 0
