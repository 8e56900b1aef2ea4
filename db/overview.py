"""Statements about what the overview shows; see overview.sql. No function commits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("overview")

NAME_MAX = 60
ERROR_MAX = 200
DISCARDS_SHOWN = 10
COUNT_MAX = 10_000
FEW = 2_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Slots:
    """What workers can run of a queue at a time."""

    queue: str
    slots: int
    hosts: int


@dataclass(frozen=True, slots=True)
class NextSchedule:
    name: str
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Discard:
    """A job that was given up; `account` is its tenant's name, if it has one."""

    id: int
    kind: str
    tenant: UUID | None
    account: str | None
    attempt: int
    max_attempts: int
    finished_at: datetime
    error: str | None


def list_slots(conn: Connection) -> dict[str, Slots]:
    return {each.queue: each for each in rows(conn, Slots, SQL.list_slots)}


def count_hosts(conn: Connection) -> int:
    return number(conn, SQL.count_hosts)


def list_running(conn: Connection) -> dict[str, int]:
    return dict(conn.execute(SQL.list_running).fetchall())


def read_next_schedule(conn: Connection) -> NextSchedule | None:
    found = rows(conn, NextSchedule, SQL.read_next_schedule)
    return found[0] if found else None


def list_discards(conn: Connection) -> list[Discard]:
    """The newest DISCARDS_SHOWN."""
    arguments = {"name_max": NAME_MAX, "error_max": ERROR_MAX, "rows_max": DISCARDS_SHOWN}
    return rows(conn, Discard, SQL.list_discards, arguments)


def count_discards(conn: Connection) -> int:
    """Of the last hour, up to COUNT_MAX + 1."""
    return number(conn, SQL.count_discards, {"count_max": COUNT_MAX})


def has_jobs(conn: Connection) -> bool:
    """Whether anybody enqueued a job, besides the clock; finished ones are pruned in the end."""
    return bool(number(conn, SQL.has_jobs, {"few": FEW}))


def number(
    conn: Connection, statement: bytes, arguments: Mapping[str, object] | None = None
) -> int:
    row = conn.execute(statement, arguments).fetchone()
    assert row is not None
    return int(row[0])


def rows(
    conn: Connection, kind: type[T], statement: bytes, arguments: Mapping[str, object] | None = None
) -> list[T]:
    return conn.cursor(row_factory=class_row(kind)).execute(statement, arguments).fetchall()
