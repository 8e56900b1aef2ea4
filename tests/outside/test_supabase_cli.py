"""The real Supabase CLI and `avivro migrate` are interchangeable on a Supabase project."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import db.types
from db.embedded import Services
from db.migrate import MIGRATIONS, migrate, read_folder, split, status
from db.pool import connect
from tests.outside.hosted import hosted_project
from tests.outside.node_tools import find_program, run_program
from tests.outside.postgres15 import serve_postgres_15
from tests.processes import avivro

ALL = [migration.version for migration in read_folder(MIGRATIONS)]
TYPES = Path(db.types.__file__).with_name("database.types.ts")

# What the advisors may say below a warning, and why it is so.
ADVICE = {
    "unused_index": "nothing has been asked of a new database",
    "rls_enabled_no_policy": "tables of the workers, closed to the web roles",
}
CLOSED_SCHEMAS = {"private", "worker"}
WRONG = """
CREATE TABLE public.open_to_all (id int PRIMARY KEY);
CREATE TABLE public.slow (id uuid PRIMARY KEY);
GRANT SELECT ON public.open_to_all, public.slow TO anon;
ALTER TABLE public.slow ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON public.slow FOR SELECT TO anon USING (id = auth.uid());
CREATE POLICY two ON public.slow FOR SELECT TO anon USING (true);
CREATE FUNCTION public.hijacked() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE VIEW public.as_owner AS SELECT * FROM public.slow;
GRANT SELECT ON public.as_owner TO anon;
"""
# The seed gives these two parameters their names.
LINT = {
    ("public.search_conversations", 'name of parameter "limit" is reserved keyword'),
    ("public.search_conversations", 'name of parameter "offset" is reserved keyword'),
}
WEB_ROLE_RIGHTS = """
SELECT role, object, wanted FROM unnest(ARRAY['anon', 'authenticated']) AS role, LATERAL (
    SELECT c.oid::regclass::text AS object, wanted
    FROM pg_class AS c,
         unnest(ARRAY['DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS wanted
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
      AND has_table_privilege(role, c.oid, wanted)
    UNION ALL
    SELECT format('%s.%s', a.attrelid::regclass, a.attname), wanted
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid,
         unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS wanted
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0
      AND has_column_privilege(role, c.oid, a.attnum, wanted)
    UNION ALL
    SELECT p.oid::regprocedure::text, 'EXECUTE' FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace AND has_function_privilege(role, p.oid, 'EXECUTE')
) AS granted
"""


@dataclass(frozen=True)
class Supabase:
    """The CLI, in a folder that holds our migrations as `supabase/migrations`."""

    folder: Path
    url: str

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        result = run_program(
            "node",
            find_program("supabase/dist/supabase.js"),
            *arguments,
            f"--remote={self.url}",
            "--yes",
            cwd=self.folder,
        )
        assert (result.returncode != 0) is fails, result.stdout + result.stderr
        return result.stdout

    def json(self, *arguments: str, fails: bool = False) -> Any:
        return json.loads(self(*arguments, "--output-format=json", fails=fails))


@pytest.fixture
def supabase(services: Services, tmp_path: Path) -> Iterator[Supabase]:
    """The CLI on a hosted project without our schema."""
    with hosted_project(services) as url:
        yield prepare(tmp_path / "project", url)


@pytest.fixture(scope="module")
def migrated(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supabase]:
    """The CLI on a hosted project with our schema, which nobody changes."""
    with hosted_project(services) as url:
        migrate(url)
        yield prepare(tmp_path_factory.mktemp("migrated"), url)


def prepare(folder: Path, url: str, *, versions: list[str] = ALL) -> Supabase:
    (folder / "supabase" / "migrations").mkdir(parents=True)
    for migration in read_folder(MIGRATIONS):
        if migration.version in versions:
            shutil.copy(migration.path, folder / "supabase" / "migrations")
    return Supabase(folder, url)


def test_pushed_migrations_are_applied_for_avivro(supabase: Supabase, tmp_path: Path) -> None:
    supabase("db", "push")

    with avivro(tmp_path / "run", DATABASE_URL=supabase.url) as commands:
        shown = commands.run("migrate", "--status", "--json")
    assert [each["version"] for each in json.loads(shown.stdout) if each["applied"]] == ALL
    assert migrate(supabase.url) == []


def test_what_avivro_applied_is_applied_for_the_cli(supabase: Supabase, tmp_path: Path) -> None:
    with avivro(tmp_path / "run", DATABASE_URL=supabase.url) as commands:
        done = commands.run("migrate")

    assert done.returncode == 0, done.stderr
    assert list_both_sides(supabase) == [(version, version) for version in ALL]
    assert "up to date" in supabase("db", "push")


def test_the_cli_writes_our_history(supabase: Supabase) -> None:
    supabase("db", "push")

    expected = [
        (each.version, each.name, [part.text for part in split(each.path.read_text())])
        for each in read_folder(MIGRATIONS)
    ]
    assert load_history(supabase.url) == expected


def test_one_begins_and_the_other_goes_on(services: Services, tmp_path: Path) -> None:
    with hosted_project(services) as url:
        first = prepare(tmp_path / "first", url, versions=ALL[:12])
        first("db", "push")
        applied = [done for _, done in status(url)]

        rest = migrate(url)

        assert applied == [version in ALL[:12] for version in ALL]
        assert [migration.version for migration in rest] == ALL[12:]
        assert list_both_sides(prepare(tmp_path / "all", url)) == [(each, each) for each in ALL]


def test_web_roles_get_no_more_on_a_project_that_grants_by_default(services: Services) -> None:
    with hosted_project(services) as new, hosted_project(services, grants_by_default=True) as old:
        migrate(new)
        migrate(old)

        assert load_rights(old) ^ load_rights(new) == set()


def test_the_advisors_find_nothing(migrated: Supabase) -> None:
    findings = migrated.json("db", "advisors", "--level=info")["results"]

    assert [each["detail"] for each in findings if each["level"] != "INFO"] == []
    assert {each["name"] for each in findings} <= ADVICE.keys()
    assert {
        each["metadata"]["schema"] for each in findings if each["name"] != "unused_index"
    } <= CLOSED_SCHEMAS


def test_the_advisors_would_find_what_is_wrong(supabase: Supabase) -> None:
    with connect(supabase.url, autocommit=True) as conn:
        conn.execute(WRONG.encode())

    findings = supabase.json("db", "advisors", "--fail-on=error", fails=True)["results"]

    assert {each["name"] for each in findings} == {
        "rls_disabled_in_public",
        "auth_rls_initplan",
        "multiple_permissive_policies",
        "function_search_path_mutable",
        "security_definer_view",
    }


def test_generated_types_are_ours(migrated: Supabase) -> None:
    generated = migrated("gen", "types", "typescript", "--schema=public")

    assert database_type(generated) == database_type(TYPES.read_text())


def test_lint_finds_nothing_but_the_names_of_the_seed(tmp_path: Path) -> None:
    """On PostgreSQL 15: the CLI asks for plpgsql_check, which the embedded server has not."""
    with serve_postgres_15() as url:
        migrate(url)

        clean = lint(prepare(tmp_path / "clean", url))
        with connect(url, autocommit=True) as conn:
            conn.execute(
                "CREATE FUNCTION public.wrong() RETURNS void LANGUAGE plpgsql"
                " AS $$BEGIN PERFORM missing FROM public.agents; END$$"
            )
        broken = lint(prepare(tmp_path / "broken", url))

    assert clean == LINT
    assert broken - clean == {("public.wrong", 'column "missing" does not exist')}


def lint(supabase: Supabase) -> set[tuple[str, str]]:
    schemas = "--schema=public,private,worker"
    results = supabase.json("db", "lint", schemas, "--level=warning")["results"]
    return {(each["function"], issue["message"]) for each in results for issue in each["issues"]}


def list_both_sides(supabase: Supabase) -> list[tuple[str, str]]:
    rows = supabase.json("migration", "list")["migrations"]
    return [(each["local"], each["remote"]) for each in rows]


def load_history(url: str) -> list[tuple[Any, ...]]:
    with connect(url) as conn:
        return conn.execute(
            "SELECT version, name, statements FROM supabase_migrations.schema_migrations"
            " ORDER BY version"
        ).fetchall()


def load_rights(url: str) -> set[tuple[Any, ...]]:
    with connect(url) as conn:
        return set(conn.execute(WEB_ROLE_RIGHTS.encode()).fetchall())


def database_type(text: str) -> list[str]:
    """The words of `export type Database`, without what a formatter changes."""
    body = re.search(r"export type Database = (\{.*?\n\})", text, re.DOTALL)
    assert body is not None
    words = [word for word in re.findall(r"\w+|[^\s\w]", body[1]) if word not in "\"',;()"]
    # A formatter begins a broken union with its bar.
    return [
        word
        for place, word in enumerate(words)
        if not (word == "|" and words[place - 1] in (":", "=", "[", "{", "<", "|"))
    ]
