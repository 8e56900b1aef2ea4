"""Statements about what a waiting job waits for; see waiting.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from db.lanes import Lane
from db.pool import Connection
from db.statements import load

SQL = load("waiting")


@dataclass(frozen=True, slots=True)
class Blocker:
    """An unfinished job that another one waits for."""

    id: int
    kind: str
    state: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A lane that is held to `cap` jobs in flight; until_at None: until somebody lets it go."""

    cap: int
    until_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Busy:
    running: int
    dispatchers: int
    silent_s: float
    epoch: UUID


def list_blockers(conn: Connection, job_id: int, *, rows_max: int) -> list[Blocker]:
    arguments = {"job_id": job_id, "rows_max": rows_max}
    cursor = conn.cursor(row_factory=class_row(Blocker))
    return cursor.execute(SQL.list_blockers, arguments).fetchall()


def count_blockers(conn: Connection, job_id: int, *, rows_max: int) -> int:
    arguments = {"job_id": job_id, "rows_max": rows_max}
    row = conn.execute(SQL.count_blockers, arguments).fetchone()
    assert row is not None
    return int(row[0])


def read_hold(conn: Connection, lane: str) -> Hold | None:
    """What holds a lane now. Lanes without a limit key are never held."""
    return (
        conn.cursor(row_factory=class_row(Hold)).execute(SQL.read_hold, {"lane": lane}).fetchone()
    )


def count_lanes_ahead(conn: Connection, queue: str, lanes: Sequence[Lane], *, rows_max: int) -> int:
    """Available jobs of these lanes, counted up to rows_max."""
    row = conn.execute(
        SQL.count_lanes_ahead,
        {
            "queue": queue,
            "priorities": [lane.priority for lane in lanes],
            "tenants": [lane.tenant for lane in lanes],
            "lanes": [lane.lane for lane in lanes],
            "rows_max": rows_max,
        },
    ).fetchone()
    assert row is not None
    return int(row[0])


def count_lane_before(
    conn: Connection, queue: str, lane: Lane, *, run_at: datetime, job_id: int, rows_max: int
) -> int:
    """Available jobs of the lane that go before this one, counted up to rows_max."""
    row = conn.execute(
        SQL.count_lane_before,
        {
            "queue": queue,
            "priority": lane.priority,
            "tenant": lane.tenant,
            "lane": lane.lane,
            "run_at": run_at,
            "job_id": job_id,
            "rows_max": rows_max,
        },
    ).fetchone()
    assert row is not None
    return int(row[0])


def count_busy(conn: Connection, queue: str) -> Busy:
    busy = (
        conn.cursor(row_factory=class_row(Busy))
        .execute(SQL.count_busy, {"queue": queue})
        .fetchone()
    )
    assert busy is not None
    return busy
