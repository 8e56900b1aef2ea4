"""The runner against a real server: once, twice, at once, and when something breaks."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from db.migrate import MIGRATIONS, MigrationError, migrate, read_folder, split, status
from db.pool import connect


def write(folder: Path, **files: str) -> None:
    for number, (name, text) in enumerate(files.items(), start=1):
        (folder / f"2030010100000{number}_{name}.sql").write_text(text)


def fetch(url: str, query: str) -> object:
    with connect(url, autocommit=True) as conn:
        row = conn.execute(query.encode()).fetchone()
    return None if row is None else row[0]


def test_the_second_run_does_nothing(empty_database_url: str) -> None:
    first = migrate(empty_database_url)

    second = migrate(empty_database_url)

    assert (first, second) == (read_folder(MIGRATIONS), [])


def test_two_at_once_both_succeed_and_apply_each_file_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(migrate, empty_database_url) for _ in range(2)]
        applied = sorted(len(run.result()) for run in runs)

    assert applied == [0, len(read_folder(MIGRATIONS))]


def test_history_reads_as_the_supabase_cli_writes_it(empty_database_url: str) -> None:
    migrate(empty_database_url)

    with connect(empty_database_url) as conn:
        rows = conn.execute(
            "SELECT version, name, statements FROM supabase_migrations.schema_migrations"
            " ORDER BY version"
        ).fetchall()

    expected = [
        (each.version, each.name, [part.text for part in split(each.path.read_text())])
        for each in read_folder(MIGRATIONS)
    ]
    assert rows == expected


def test_a_history_begun_by_the_supabase_cli_is_continued(
    empty_database_url: str, tmp_path: Path
) -> None:
    write(tmp_path, one="CREATE TABLE first_one (id int);", two="CREATE TABLE second_one (id int);")
    with connect(empty_database_url) as conn:
        conn.execute("CREATE SCHEMA supabase_migrations")
        conn.execute(
            "CREATE TABLE supabase_migrations.schema_migrations"
            " (version text NOT NULL PRIMARY KEY, statements text[], name text)"
        )
        conn.execute(
            "INSERT INTO supabase_migrations.schema_migrations VALUES ('20300101000001', '{}', 'x')"
        )

    applied = migrate(empty_database_url, folder=tmp_path)

    assert [each.name for each in applied] == ["two"]


def test_a_failing_file_leaves_nothing_of_itself_and_keeps_those_before(
    empty_database_url: str, tmp_path: Path
) -> None:
    write(
        tmp_path,
        good="CREATE TABLE good (id int);",
        bad="CREATE TABLE half (id int);\nSELECT 1 / 0;",
    )

    with pytest.raises(MigrationError):
        migrate(empty_database_url, folder=tmp_path)

    names = fetch(
        empty_database_url, "SELECT array_agg(tablename) FROM pg_tables WHERE schemaname = 'public'"
    )
    assert (names, [done for _, done in status(empty_database_url, folder=tmp_path)]) == (
        ["good"],
        [True, False],
    )


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        ("SELECT 1;\n\nSELECT\n  nothing;", 4, 'column "nothing" does not exist'),
        ("SELECT 1;\n-- why\nSELECT 1 / 0;", 3, "division by zero"),
        ("\nDO $$\nBEGIN\n  RAISE 'no good';\nEND $$;", 4, "no good"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETRN 1;\nEND $$;",
            3,
            'syntax error at or near "RETRN"',
        ),
    ],
)
def test_an_error_says_file_line_and_cause(
    empty_database_url: str, tmp_path: Path, text: str, line: int, cause: str
) -> None:
    write(tmp_path, broken=text)

    with pytest.raises(MigrationError) as caught:
        migrate(empty_database_url, folder=tmp_path)

    assert str(caught.value) == f"20300101000001_broken.sql, line {line}: {cause}"


def test_a_file_older_than_the_newest_applied_is_refused(
    empty_database_url: str, tmp_path: Path
) -> None:
    write(tmp_path, first="SELECT 1;", second="SELECT 2;")
    late = tmp_path / "20300101000001_first.sql"
    text = late.read_text()
    late.unlink()
    migrate(empty_database_url, folder=tmp_path)
    late.write_text(text)

    with pytest.raises(MigrationError, match=r"20300101000001_first\.sql: older than"):
        migrate(empty_database_url, folder=tmp_path)


def test_status_shows_an_applied_version_whose_file_is_gone(
    empty_database_url: str, tmp_path: Path
) -> None:
    write(tmp_path, gone="SELECT 1;")
    migrate(empty_database_url, folder=tmp_path)
    (tmp_path / "20300101000001_gone.sql").unlink()

    shown = status(empty_database_url, folder=tmp_path)

    assert [(each.name, each.path.exists(), done) for each, done in shown] == [
        ("gone", False, True)
    ]


def test_status_changes_nothing(empty_database_url: str) -> None:
    shown = status(empty_database_url)

    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('auth', 'supabase_migrations')"
    assert ({done for _, done in shown}, fetch(empty_database_url, schemas)) == ({False}, 0)


def test_a_file_does_not_inherit_the_settings_of_the_one_before(
    empty_database_url: str, tmp_path: Path
) -> None:
    write(
        tmp_path,
        sets="CREATE SCHEMA second; SET search_path = second;",
        creates="CREATE TABLE here (id int);",
    )

    migrate(empty_database_url, folder=tmp_path)

    assert fetch(empty_database_url, "SELECT to_regclass('public.here')::text") == "here"


def test_an_existing_auth_schema_is_left_alone(empty_database_url: str, tmp_path: Path) -> None:
    write(tmp_path, one="SELECT 1;")
    with connect(empty_database_url) as conn:
        conn.execute("CREATE SCHEMA auth")
        conn.execute("CREATE TABLE auth.users (id uuid PRIMARY KEY)")

    migrate(empty_database_url, folder=tmp_path)

    assert fetch(empty_database_url, "SELECT to_regproc('auth.uid')") is None


def test_a_table_in_use_is_not_waited_for_without_end(
    empty_database_url: str, tmp_path: Path
) -> None:
    write(tmp_path, one="CREATE TABLE busy (id int);")
    migrate(empty_database_url, folder=tmp_path)
    write(tmp_path, one="", two="ALTER TABLE busy ADD COLUMN name text;")

    with connect(empty_database_url) as reader:
        reader.execute("SELECT * FROM busy")
        with pytest.raises(MigrationError, match="lock timeout"):
            migrate(empty_database_url, folder=tmp_path)
