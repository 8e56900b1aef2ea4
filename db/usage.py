"""Statements about usage; see usage.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("usage")


@dataclass(frozen=True, slots=True)
class Change:
    """A month whose row was not what its logs say. `is_marked`: and a later run will look again."""

    first: date
    is_marked: bool


def find_marked(conn: Connection, *, after: UUID | None, users_max: int) -> list[UUID]:
    """Users with marked months, in order, behind that one."""
    rows = conn.execute(SQL.find_marked, {"after": after, "users_max": users_max})
    return [row[0] for row in rows.fetchall()]


def find_users(conn: Connection, *, after: UUID | None, since: date, users_max: int) -> list[UUID]:
    """Users with usage in the months from `since` on, in order, behind that one."""
    arguments = {"after": after, "since": since, "users_max": users_max}
    return [row[0] for row in conn.execute(SQL.find_users, arguments).fetchall()]


def find_months(conn: Connection) -> tuple[date, date]:
    """The first days of the last month and of the running one, in UTC."""
    row = conn.execute(SQL.find_months).fetchone()
    assert row is not None
    return row[0], row[1]


def hold_user(conn: Connection, user_id: UUID) -> bool:
    """Whether there is such a user, who then stays until the transaction ends."""
    return conn.execute(SQL.hold_user, {"user_id": user_id}).rowcount == 1


def take_marks(conn: Connection, user_id: UUID, *, marks_max: int) -> list[date]:
    """Marked months by their first days; the marks are deleted."""
    rows = conn.execute(SQL.take_marks, {"user_id": user_id, "marks_max": marks_max})
    return [row[0] for row in rows.fetchall()]


def lock_months(conn: Connection, user_id: UUID, months: Sequence[date]) -> list[UUID]:
    """The rows of these months, made where logs want them; they are locked."""
    arguments = {"user_id": user_id, "months": list(months)}
    conn.execute(SQL.create_months, arguments)
    return [row[0] for row in conn.execute(SQL.lock_months, arguments).fetchall()]


def recompute_months(conn: Connection, user_id: UUID, ids: Sequence[UUID]) -> list[Change]:
    """Write what the logs say into locked rows, delete those without any; what changed."""
    cursor = conn.cursor(row_factory=class_row(Change))
    arguments = {"user_id": user_id, "ids": list(ids)}
    return cursor.execute(SQL.recompute_months, arguments).fetchall()


def end_periods(conn: Connection, *, profiles_max: int) -> int:
    """Begin the running period of profiles whose last one is over; how many."""
    return count(conn, SQL.end_periods, profiles_max=profiles_max)


def tell_of_usage(conn: Connection, *, users_max: int) -> int:
    """Tell users of a mark they are over and were not told of; how many."""
    return count(conn, SQL.tell_of_usage, users_max=users_max)


def count(conn: Connection, statement: bytes, **arguments: int) -> int:
    row = conn.execute(statement, arguments).fetchone()
    assert row is not None
    return int(row[0])
