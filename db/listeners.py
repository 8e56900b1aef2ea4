"""Statements of realtime subscriptions; see listeners.sql. No function commits."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from db import rows
from db.pool import Connection
from db.statements import load
from db.types.database_types import MessagesRow, NotificationsRow

SQL = load("listeners")

PAGE_ROWS = 5_000
FIRST_ID = UUID(int=0)
# By topic: the rows' type, and the statements that list and read them.
ROW: dict[str, type[Any]] = {"messages": MessagesRow, "notifications": NotificationsRow}
LIST = {"messages": SQL.list_recent_messages, "notifications": SQL.list_recent_notifications}
READ = {"messages": SQL.read_messages, "notifications": SQL.read_notifications}

# (key, id, created_at)
Recent = tuple[UUID, UUID, datetime]


def listen(conn: Connection) -> None:
    conn.execute(SQL.listen)


def register(conn: Connection, *, topic: str, key: UUID, process: UUID, lease_s: float) -> None:
    row = {"topic": topic, "key": key, "process": process, "lease_s": lease_s}
    conn.execute(SQL.register, row)


def renew(conn: Connection, *, process: UUID, lease_s: float) -> int:
    """Extend the process' registrations; how many there still are."""
    return conn.execute(SQL.renew, {"process": process, "lease_s": lease_s}).rowcount


def remove(conn: Connection, *, topic: str, key: UUID, process: UUID) -> None:
    conn.execute(SQL.remove, {"topic": topic, "key": key, "process": process})


def forget_expired(conn: Connection) -> None:
    conn.execute(SQL.forget_expired)


def read_clock(conn: Connection) -> datetime:
    row = conn.execute(SQL.read_clock).fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


def list_recent(
    conn: Connection, topic: str, keys: Sequence[UUID], *, since: datetime
) -> Iterator[Recent]:
    """All rows of these keys since then, oldest first, whoever may read them."""
    after_at, after_id = since, FIRST_ID
    while True:
        page: list[Recent] = conn.execute(
            LIST[topic],
            {
                "keys": list(keys),
                "after_at": after_at,
                "after_id": after_id,
                "rows_max": PAGE_ROWS,
            },
        ).fetchall()
        yield from page
        if len(page) < PAGE_ROWS:
            return
        _, after_id, after_at = page[-1]


def read(conn: Connection, topic: str, ids: Sequence[UUID]) -> list[Any]:
    """The rows of these ids that the caller may read, oldest first."""
    cursor = conn.cursor(row_factory=rows.of(ROW[topic]))
    return cursor.execute(READ[topic], {"ids": list(ids)}).fetchall()
