"""Statements about hosts that are asked for pages; see hosts.sql. No function commits."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("hosts")


@dataclass(frozen=True, slots=True)
class Turn:
    """Granted: ask after `wait_s`, then give `held_until` back. Else come again after `wait_s`."""

    granted: bool
    wait_s: float
    held_until: datetime | None


@dataclass(frozen=True, slots=True)
class StoredRobots:
    """What the origin answered last: `rules`, `none` or `unreachable`, and the file."""

    answer: str
    body: str


def take_turn(
    conn: Connection,
    host: str,
    *,
    tenant: UUID,
    gap_s: float,
    patience_s: float,
    hold_s: float,
    holders_max: int,
) -> Turn:
    """A turn at the host within `patience_s`, or a place in the tenant's queue before it."""
    arguments = {
        "host": host,
        "tenant": tenant,
        "gap_s": gap_s,
        "patience_s": patience_s,
        "hold_s": hold_s,
        "holders_max": holders_max,
    }
    cursor = conn.cursor(row_factory=class_row(Turn))
    turn = cursor.execute(SQL.take_turn, arguments).fetchone()
    assert turn is not None
    return turn


def end_turn(conn: Connection, host: str, *, held_until: datetime, closed_s: float = 0) -> None:
    """The request is over; with `closed_s` the host wants to be left alone for so long."""
    arguments = {"host": host, "held_until": held_until, "closed_s": closed_s}
    conn.execute(SQL.end_turn, arguments)


def put_off(conn: Connection, host: str, *, gap_s: float) -> None:
    """Count a request that was made without a turn."""
    conn.execute(SQL.put_off, {"host": host, "gap_s": gap_s})


def load_robots(conn: Connection, origin: str) -> StoredRobots | None:
    """None when it was never asked for, or too long ago."""
    cursor = conn.cursor(row_factory=class_row(StoredRobots))
    return cursor.execute(SQL.load_robots, {"origin": origin}).fetchone()


def save_robots(conn: Connection, origin: str, robots: StoredRobots, *, kept_s: float) -> None:
    conn.execute(
        SQL.save_robots,
        {"origin": origin, "answer": robots.answer, "body": robots.body, "kept_s": kept_s},
    )
