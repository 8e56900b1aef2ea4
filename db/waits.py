"""Statements about jobs that wait for other jobs; see waits.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("waits")


@dataclass(frozen=True, slots=True)
class Waited:
    """How the jobs that a job waits for ended, as last settled; `open` have not."""

    completed: int = 0
    discarded: int = 0
    cancelled: int = 0
    open: int = 0

    @property
    def failed(self) -> int:
        return self.discarded + self.cancelled

    @property
    def ended(self) -> int:
        return self.completed + self.failed

    @property
    def asked(self) -> int:
        return self.ended + self.open


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that was waited for and did not complete; `error` is of its last attempt, if any."""

    id: int
    kind: str
    args: dict[str, Any]
    ended_as: str
    error: str | None


def enqueue_after(
    conn: Connection,
    kind: str,
    args: dict[str, Any],
    *,
    after: Sequence[int],
    tenant: UUID | None = None,
    even_if_failed: bool = False,
    run_at: datetime | None = None,
    priority: int = 0,
) -> int:
    """Insert a job that waits for those in `after`; its id."""
    row = conn.execute(
        SQL.enqueue_after,
        {
            "kind": kind,
            "args": Jsonb(args),
            "after": list(after),
            "tenant": tenant,
            "even_if_failed": even_if_failed,
            "run_at": run_at,
            "priority": priority,
        },
    ).fetchone()
    assert row is not None
    return int(row[0])


def add_waits(conn: Connection, job_id: int, *, after: Sequence[int]) -> None:
    """Let a job that still waits wait for more jobs."""
    conn.execute(SQL.add_waits, {"job_id": job_id, "after": list(after)})


def settle(conn: Connection, *, rows_max: int) -> int:
    """Let go those whose waits have ended; how many. Looks at up to `rows_max` ends."""
    row = conn.execute(SQL.settle, {"rows_max": rows_max}).fetchone()
    assert row is not None
    return int(row[0])


def count_waits(conn: Connection, job_id: int, *, kind: str | None = None) -> Waited:
    """All zeros for a job that waits for nothing. With `kind`, only jobs of that kind."""
    cursor = conn.cursor(row_factory=class_row(Waited))
    counted = cursor.execute(SQL.count_waits, {"job_id": job_id, "kind": kind}).fetchone()
    assert counted is not None
    return counted


def list_failed(
    conn: Connection, job_id: int, *, rows_max: int, kind: str | None = None
) -> list[FailedJob]:
    """The first by id of those that did not complete."""
    arguments = {"job_id": job_id, "kind": kind, "rows_max": rows_max}
    return [FailedJob(*row) for row in conn.execute(SQL.list_failed, arguments).fetchall()]


def find_waiter(conn: Connection, job_id: int, *, kind: str) -> int | None:
    """The oldest job of this kind that still waits for the job."""
    row = conn.execute(SQL.find_waiter, {"job_id": job_id, "kind": kind}).fetchone()
    return None if row is None else row[0]
