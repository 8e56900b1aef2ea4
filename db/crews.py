"""Statements about processes and what they run; see crews.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("crews")

PROCESSES_MAX = 500
RUNNING_MAX = 3_000
EACH_MAX = 6
USUAL_JOBS = 3_000


@dataclass(frozen=True, slots=True)
class Member:
    """A process that lives, or whose lease ran out; `now` is the database's time."""

    id: UUID
    role: str
    host: str
    pid: int
    queues: dict[str, Any]
    stats: dict[str, Any] | None
    started_at: datetime
    renewed_at: datetime
    expires_at: datetime
    drain_requested_at: datetime | None
    cause: str | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs; `jobs` is how many run of its queue in the same process."""

    worker_id: UUID | None
    queue: str
    jobs: int
    id: int
    kind: str
    attempt: int
    started_at: datetime


def list_processes(conn: Connection) -> list[Member]:
    """Workers first; up to PROCESSES_MAX."""
    cursor = conn.cursor(row_factory=class_row(Member))
    return cursor.execute(SQL.list_processes, {"rows_max": PROCESSES_MAX}).fetchall()


def list_running(conn: Connection) -> list[Running]:
    """Up to EACH_MAX of each queue of each process, the oldest first."""
    arguments = {"each_max": EACH_MAX, "rows_max": RUNNING_MAX}
    return (
        conn.cursor(row_factory=class_row(Running)).execute(SQL.list_running, arguments).fetchall()
    )


def list_usual(conn: Connection, kinds: Sequence[str]) -> dict[str, float]:
    """By kind, how long its jobs take at most, usually, in seconds; without those seldom seen."""
    arguments = {"kinds": list(kinds), "rows_max": USUAL_JOBS}
    return dict(conn.execute(SQL.list_usual, arguments).fetchall())
