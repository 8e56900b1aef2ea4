"""Statements of the page of one job; see job_page.sql. No function commits."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from db.job_logs import Line
from db.pool import Connection
from db.statements import load

SQL = load("job_page")

ID_MAX = 2**63 - 1
JSON_CHARS_MAX = 256_000
ERROR_CHARS_MAX = 2_000
TRACE_CHARS_MAX = 12_000
MESSAGE_CHARS_MAX = 2_000
LINES_MAX = 200
LOGGED_MAX = 12
FAMILY_MAX = 20
FAMILY_ALL_MAX = 500
FAMILY_COUNT_MAX = 10_000


@dataclass(frozen=True, slots=True)
class JobRow:
    """A row of worker.jobs, and the database's time. JSON that is too long is None.

    Of `errors`, all is text or None, save trace_chars.
    """

    id: int
    kind: str
    queue: str
    lane: str
    tenant: UUID | None
    priority: int
    state: str
    unique_key: str | None
    limit_key: str | None
    run_at: datetime
    attempt: int
    max_attempts: int
    blocked: bool
    awaited: bool
    rerun: bool
    suspicion: int
    even_if_failed: bool
    worker_id: UUID | None
    cancel_requested_at: datetime | None
    created_at: datetime
    dispatched_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    error_group: str | None
    now: datetime
    args: Any
    args_chars: int
    result: Any
    result_chars: int
    progress: Any
    waits: bool
    errors: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Place:
    """Who runs a job, whose it is, what made it; None for what is not known."""

    host: str | None
    pid: int | None
    expires_at: datetime | None
    renewed_at: datetime | None
    drains: bool
    schedule: str | None
    fire_at: datetime | None
    tenant_name: str | None


@dataclass(frozen=True, slots=True)
class Relative:
    """A job that it waits for, or that waits for it; kind None where it is gone."""

    role: str
    id: int
    kind: str | None
    state: str | None


def read_job(conn: Connection, job_id: int) -> JobRow | None:
    if not 0 < job_id <= ID_MAX:
        return None
    arguments = {
        "job_id": job_id,
        "chars_max": JSON_CHARS_MAX,
        "error_chars_max": ERROR_CHARS_MAX,
        "trace_chars_max": TRACE_CHARS_MAX,
    }
    row = conn.cursor(row_factory=class_row(JobRow)).execute(SQL.read_job, arguments).fetchone()
    return row and replace(
        row,
        args=read_json(row.args),
        result=read_json(row.result),
        progress=read_json(row.progress),
    )


def read_json(text: str | None) -> Any:
    """What the text says; the text itself where that is deeper or larger than Python takes."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text


def read_place(conn: Connection, job_id: int) -> Place:
    cursor = conn.cursor(row_factory=class_row(Place))
    place = cursor.execute(SQL.read_place, {"job_id": job_id}).fetchone()
    assert place is not None
    return place


def list_log(
    conn: Connection, job_id: int, *, attempt: int | None = None, warnings: bool
) -> list[Line]:
    """The newest lines of the attempt, or of the newest one that logged any, oldest first."""
    arguments = {
        "job_id": job_id,
        "attempt": attempt,
        "warnings": warnings,
        "rows_max": LINES_MAX,
        "message_chars_max": MESSAGE_CHARS_MAX,
    }
    return conn.cursor(row_factory=class_row(Line)).execute(SQL.list_log, arguments).fetchall()


def list_logged(conn: Connection, job_id: int) -> list[int]:
    """Attempts that logged anything, the newest first."""
    arguments = {"job_id": job_id, "rows_max": LOGGED_MAX}
    return [attempt for (attempt,) in conn.execute(SQL.list_logged, arguments).fetchall()]


def count_family(conn: Connection, job_id: int) -> list[tuple[str, str, int]]:
    """(needs or next, state, jobs), up to FAMILY_COUNT_MAX of each role."""
    arguments = {"job_id": job_id, "looked_max": FAMILY_COUNT_MAX}
    return conn.execute(SQL.count_family, arguments).fetchall()


def list_family(conn: Connection, job_id: int, *, rows_max: int = FAMILY_MAX) -> list[Relative]:
    """Up to `rows_max` that it waits for, then as many that wait for it."""
    arguments = {"job_id": job_id, "rows_max": rows_max}
    cursor = conn.cursor(row_factory=class_row(Relative))
    return cursor.execute(SQL.list_family, arguments).fetchall()
