"""Statements about live processes and their leases; see processes.sql."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("processes")

LEASE_S = 20.0
RENEW_S = 5.0


@dataclass(frozen=True, slots=True)
class Process:
    """A row of worker.processes."""

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


@dataclass(frozen=True, slots=True)
class Asked:
    """The process that was asked to drain; `again` where it was before."""

    host: str
    pid: int
    again: bool


@dataclass(frozen=True, slots=True)
class Renewed:
    """A lease that holds on. `drains`: somebody asked the process to finish and end."""

    drains: bool


def register(
    conn: Connection, *, id: UUID, role: str, host: str, pid: int, queues: dict[str, Any]
) -> None:
    conn.execute(
        SQL.register,
        {
            "id": id,
            "role": role,
            "host": host,
            "pid": pid,
            "queues": Jsonb(queues),
            "lease_s": LEASE_S,
        },
    )


def renew(
    conn: Connection,
    *,
    id: UUID,
    queues: dict[str, Any],
    stats: dict[str, Any] | None = None,
) -> Renewed | None:
    """Extend the lease; None when it had run out already."""
    arguments = {
        "id": id,
        "queues": Jsonb(queues),
        "stats": None if stats is None else Jsonb(stats),
        "lease_s": LEASE_S,
    }
    row = conn.execute(SQL.renew, arguments).fetchone()
    return None if row is None else Renewed(row[0])


def expire(
    conn: Connection,
    *,
    id: UUID,
    started: Sequence[int],
    overdue: Mapping[int, int] | None = None,
    cause: str | None = None,
) -> None:
    """End the lease of a process that is known to be dead: its jobs are rescued at once.

    `started` are the jobs that its threads ran: suspects, unless some were `overdue` (their time
    limit in seconds by id); then those alone are to blame. What it only held is innocent.
    """
    limits_s = {str(job_id): limit_s for job_id, limit_s in (overdue or {}).items()}
    conn.execute(
        SQL.expire,
        {
            "id": id,
            "started": list(started),
            "overdue": Jsonb(limits_s) if limits_s else None,
            "cause": cause,
        },
    )


def resign(conn: Connection, *, id: UUID) -> None:
    conn.execute(SQL.resign, {"id": id})


def request_drain(conn: Connection, id: UUID) -> Asked | None:
    """Ask a worker to finish what it runs and end; None where none of that id lives."""
    cursor = conn.cursor(row_factory=class_row(Asked))
    return cursor.execute(SQL.request_drain, {"id": id}).fetchone()


def list_live(conn: Connection) -> list[Process]:
    return conn.cursor(row_factory=class_row(Process)).execute(SQL.list_live).fetchall()


def list_capacity(conn: Connection) -> dict[str, tuple[int, float | None]]:
    """By queue: threads of all live workers, and the mean time of a job in ms (None: unknown)."""
    rows = conn.execute(SQL.list_capacity).fetchall()
    return {queue: (threads, job_ms) for queue, threads, job_ms in rows}
