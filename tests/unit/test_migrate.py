"""Cutting a migration into statements, and naming the line that failed."""

from pathlib import Path

import pytest

from db.migrate import MIGRATIONS, MigrationError, read_folder, split


def texts(source: str) -> list[str]:
    return [statement.text for statement in split(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1", ["SELECT 1"]),
        (" ;; \n", []),
        ("SELECT ';';", ["SELECT ';'"]),
        ("SELECT 'it''s; fine';", ["SELECT 'it''s; fine'"]),
        (r"SELECT E'a\';b';", [r"SELECT E'a\';b'"]),
        ('SELECT 1 AS "a;b";', ['SELECT 1 AS "a;b"']),
        ("-- one; two\nSELECT 1;", ["-- one; two\nSELECT 1"]),
        ("SELECT /* a; /* b; */ c; */ 1;", ["SELECT /* a; /* b; */ c; */ 1"]),
        ("DO $$ BEGIN; END $$; SELECT 1", ["DO $$ BEGIN; END $$", "SELECT 1"]),
        ("DO $a$ $$; $b$ $a$; SELECT 1", ["DO $a$ $$; $b$ $a$", "SELECT 1"]),
        ("SELECT a$1; SELECT $1;", ["SELECT a$1", "SELECT $1"]),
    ],
)
def test_a_file_is_cut_only_at_top_level_semicolons(source: str, expected: list[str]) -> None:
    found = texts(source)

    assert found == expected


def test_a_statement_knows_the_line_it_starts_on() -> None:
    source = "SELECT 1;\n\n\nSELECT\n2;"

    lines = [statement.line for statement in split(source)]

    assert lines == [1, 4]


def test_no_migration_holds_what_one_transaction_forbids() -> None:
    forbidden = ("BEGIN", "COMMIT", "ROLLBACK", "VACUUM", "\\")

    found = [
        (migration.path.name, text)
        for migration in read_folder(MIGRATIONS)
        for text in texts(migration.path.read_text())
        if text.startswith(forbidden) or "CONCURRENTLY" in text
    ]

    assert found == []


def test_no_migration_is_longer_than_a_file_may_be() -> None:
    long = [
        each.path.name
        for each in read_folder(MIGRATIONS)
        if each.path.read_text().count("\n") > 400
    ]

    assert long == []


def test_a_badly_named_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "2025_short.sql").write_text("SELECT 1;")

    with pytest.raises(MigrationError, match=r"2025_short\.sql"):
        read_folder(tmp_path)


def test_two_files_of_one_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "20250101000000_a.sql").write_text("SELECT 1;")
    (tmp_path / "20250101000000_b.sql").write_text("SELECT 1;")

    with pytest.raises(MigrationError, match="same version"):
        read_folder(tmp_path)
