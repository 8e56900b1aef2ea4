"""Statements about the audit log; see audit.sql. No function commits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.patterns import containing
from db.pool import Connection
from db.statements import load

SQL = load("audit")

WHY_CHARS_MAX = 500
# Entries that one search looks at; human hands need years for as many.
SCANNED_MAX = 200_000
# Names and actions offered to choose from.
WORDS_MAX = 200


@dataclass(frozen=True, slots=True)
class Entry:
    id: int
    at: datetime
    operator: str
    role: str
    action: str
    target: str
    why: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; None stands for all. `target` is a part of the text."""

    operator: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Entries, newest first, and where to go on; None where there is nothing before them."""

    entries: list[Entry]
    before: int | None


def append(
    conn: Connection,
    *,
    operator: str,
    role: str,
    action: str,
    target: str,
    why: str,
    details: Mapping[str, Any],
) -> int:
    """Note an action in the transaction that does it; the entry's id."""
    row = conn.execute(
        SQL.append,
        {
            "operator": operator,
            "role": role,
            "action": action,
            "target": target,
            "why": why,
            "details": Jsonb(dict(details)),
        },
    ).fetchone()
    assert row is not None
    return int(row[0])


def search(conn: Connection, wanted: Wanted, *, before: int | None, rows_max: int) -> Found:
    """What is wanted, from before the entry of that id on."""
    if before is None:
        before = find_last(conn) + 1
    floor = max(1, before - SCANNED_MAX)
    rows = (
        conn.cursor(row_factory=class_row(Entry))
        .execute(
            SQL.search,
            {
                "operator": wanted.operator,
                "action": wanted.action,
                "target": None if wanted.target is None else containing(wanted.target),
                "since": wanted.since,
                "until": wanted.until,
                "before": before,
                "floor": floor,
                "rows_max": rows_max + 1,
            },
        )
        .fetchall()
    )
    if len(rows) > rows_max:
        return Found(rows[:rows_max], rows[rows_max - 1].id)
    return Found(rows, floor if floor > 1 else None)


def find_last(conn: Connection) -> int:
    row = conn.execute(SQL.find_last).fetchone()
    assert row is not None
    return int(row[0])


def list_actions(conn: Connection) -> list[str]:
    return [row[0] for row in conn.execute(SQL.list_actions, {"rows_max": WORDS_MAX})]


def list_names(conn: Connection) -> list[str]:
    return [row[0] for row in conn.execute(SQL.list_names, {"rows_max": WORDS_MAX})]
