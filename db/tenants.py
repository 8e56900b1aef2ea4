"""Statements about the accounts behind tenants; see tenants.sql. No function commits."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from db.patterns import literal
from db.pool import Connection
from db.statements import load

SQL = load("tenants")

HISTORY_MAX = 20
# Of each action, how many entries of the audit log are looked through.
HISTORY_SEEN_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Account:
    """Who a tenant is. What a person wrote may hold anything."""

    id: UUID
    full_name: str | None
    company_name: str | None
    email: str | None
    tier: str


@dataclass(frozen=True, slots=True)
class Done:
    """What an operator did about a tenant."""

    at: datetime
    operator: str
    action: str
    why: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the calendar month (UTC) so far; None where nothing was used."""

    messages_used: int
    messages_max: int
    period_from: date
    cost_usd: Decimal | None
    tokens: int | None
    calls: int | None


def list_accounts(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Account]:
    """Those that there are."""
    cursor = conn.cursor(row_factory=class_row(Account))
    rows = cursor.execute(SQL.list_accounts, {"ids": list(ids)}).fetchall()
    return {row.id: row for row in rows}


def page_accounts(
    conn: Connection, *, after: UUID | None, but: Collection[UUID], rows_max: int
) -> list[Account]:
    """In the order of their ids, without those in `but`."""
    cursor = conn.cursor(row_factory=class_row(Account))
    values = {"after": after, "but": list(but), "rows_max": rows_max}
    return cursor.execute(SQL.page_accounts, values).fetchall()


def count_accounts(conn: Connection, *, but: Collection[UUID], rows_max: int) -> int:
    """Up to rows_max."""
    row = conn.execute(SQL.count_accounts, {"but": list(but), "rows_max": rows_max}).fetchone()
    assert row is not None
    return int(row[0])


def find_accounts(conn: Connection, beginning: str, *, rows_max: int) -> list[Account]:
    """Whose mail address, name or company begins so, whatever the case."""
    cursor = conn.cursor(row_factory=class_row(Account))
    values = {"pattern": f"{literal(beginning.lower())}%", "rows_max": rows_max}
    return cursor.execute(SQL.find_accounts, values).fetchall()


def list_history(conn: Connection, *, target: str, actions: Sequence[str]) -> list[Done]:
    """The newest first, HISTORY_MAX at most."""
    cursor = conn.cursor(row_factory=class_row(Done))
    return cursor.execute(
        SQL.list_history,
        {
            "target": target,
            "actions": list(actions),
            "seen_max": HISTORY_SEEN_MAX,
            "rows_max": HISTORY_MAX,
        },
    ).fetchall()


def read_usage(conn: Connection, tenant: UUID) -> Usage | None:
    """None without such an account."""
    cursor = conn.cursor(row_factory=class_row(Usage))
    return cursor.execute(SQL.read_usage, {"id": tenant}).fetchone()
