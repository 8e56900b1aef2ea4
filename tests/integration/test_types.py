"""The kept types are those of the migrations, and the rows are what they say."""

from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import db.types
from db import catalogue, types_python, types_typescript
from db.catalogue import Catalogue
from db.pool import Connection
from db.types import database_types

FOLDER = Path(db.types.__file__).parent
STALE = "the schema has changed: run `make types`"


@pytest.fixture
def schema(conn: Connection) -> Catalogue:
    return catalogue.read(conn)


def test_the_kept_typescript_is_that_of_the_schema(schema: Catalogue) -> None:
    kept = (FOLDER / "database.types.ts").read_text(encoding="utf-8")

    assert kept == types_typescript.write(schema), STALE


def test_the_kept_python_is_that_of_the_schema(schema: Catalogue) -> None:
    kept = (FOLDER / "database_types.py").read_text(encoding="utf-8")

    assert kept == types_python.write(schema), STALE


def test_every_table_and_view_has_a_row_of_its_columns(schema: Catalogue) -> None:
    for name, columns in {**schema.tables, **schema.views}.items():
        row = getattr(database_types, f"{types_python.pascal(name)}Row")

        assert [field.name for field in fields(row)] == [column.name for column in columns]


def test_words_that_a_check_allows_are_a_literal() -> None:
    tone = get_type_hints(database_types.AgentsRow)["tone"]

    assert get_args(tone) == ("professional", "friendly", "casual", "formal", "empathetic")


def test_an_enum_of_the_schema_is_one_in_both_languages(conn: Connection) -> None:
    conn.execute("CREATE TYPE public.mood AS ENUM ('good', 'not \"so\" good')")
    conn.execute("CREATE TABLE public.days (mood public.mood NOT NULL, all_day public.mood[])")
    schema = catalogue.read(conn)

    typescript, python = types_typescript.write(schema), types_python.write(schema)

    assert 'mood: "good" | "not \\"so\\" good"' in typescript
    assert 'mood: Database["public"]["Enums"]["mood"]' in typescript
    assert 'all_day: (Database["public"]["Enums"]["mood"])[] | null' in typescript
    assert """Mood = Literal["good", 'not "so" good']""" in python
    assert "    mood: Mood\n    all_day: list[Mood] | None\n" in python


def test_a_computed_column_is_not_written(conn: Connection) -> None:
    conn.execute(
        "CREATE TABLE public.sums (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, "
        "b int GENERATED ALWAYS AS (a + 1) STORED)"
    )
    schema = catalogue.read(conn)

    typescript, python = types_typescript.write(schema), types_python.write(schema)

    assert typescript.count("b?: never") == typescript.count("id?: never") == 2
    assert "class SumsInsert(TypedDict):\n    a: NotRequired[int | None]\n\n" in python


def test_a_key_that_is_unique_refers_to_one_row(conn: Connection) -> None:
    conn.execute("CREATE TABLE public.extras (agent_id uuid UNIQUE REFERENCES public.agents)")
    schema = catalogue.read(conn)

    (direct, view) = sorted(schema.references["extras"], key=lambda one: one.target, reverse=True)

    assert (direct.target, direct.is_unique) == ("agents", True)
    assert (view.target, view.target_columns) == ("agent_dashboard_summary", ["agent_id"])


@pytest.mark.parametrize(
    ("view", "required"),
    [
        ("SELECT id, name FROM public.agents", {"id", "name"}),
        ("SELECT a.id, upper(a.name) AS name FROM public.agents AS a", {"id"}),
        ("SELECT a.id FROM public.agents AS a UNION ALL SELECT user_id FROM public.agents", set()),
        ("SELECT c.id AS cid, a.id AS aid FROM public.conversations AS c "
         "LEFT JOIN public.agents AS a ON a.id = c.agent_id", {"cid"}),
        ("SELECT (SELECT l.id FROM public.leads AS l LIMIT 1) AS lead, id FROM public.agents",
         {"id"}),
    ],
)  # fmt: skip
def test_a_views_column_is_required_where_its_origin_is(
    conn: Connection, view: str, required: set[str]
) -> None:
    conn.execute(f"CREATE VIEW public.seen AS {view}".encode())

    columns = catalogue.read(conn).views["seen"]

    assert {column.name for column in columns if column.is_required} == required


def test_rows_come_back_as_their_types_say(conn: Connection) -> None:
    """One row of every table, read as its class."""
    hints: dict[str, Any] = get_type_hints(database_types.UserProfilesRow)
    conn.execute("INSERT INTO auth.users (email) VALUES ('a@b.cd')")
    row = conn.execute("SELECT * FROM public.user_profiles").fetchone()

    assert row is not None
    for value, hint in zip(row, hints.values(), strict=True):
        allowed = get_args(hint) or (hint,)
        assert value in allowed or isinstance(
            value, tuple(t for t in allowed if isinstance(t, type))
        )
