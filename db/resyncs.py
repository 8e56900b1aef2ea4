"""Statements about refreshing sources and their history; see resyncs.sql. No function commits."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("resyncs")


@dataclass(frozen=True, slots=True)
class ListedSource:
    """A source with how it refreshes itself; `failures` are those in a row."""

    id: UUID
    name: str
    type: str
    status: str
    error_message: str | None
    progress: dict[str, Any] | None
    chunks_count: int
    tokens_count: int
    auto_sync: bool
    sync_frequency: str | None
    last_synced_at: datetime | None
    next_sync_at: datetime | None
    failures: int
    paused_at: datetime | None


@dataclass(frozen=True, slots=True)
class Run:
    """A run that changed a source, or failed."""

    id: int
    kind: str
    status: str
    started_at: datetime
    finished_at: datetime
    error_message: str | None
    report: dict[str, Any]


def is_being_indexed(conn: Connection, source_id: UUID) -> bool:
    """Whether an unfinished `index_source` job will read the source."""
    row = conn.execute(SQL.is_being_indexed, {"source_id": source_id}).fetchone()
    return row is not None and bool(row[0])


def find_reading_kind(conn: Connection, source_id: UUID) -> str | None:
    """The kind of job that reads the source whole; None when it is gone."""
    row = conn.execute(SQL.find_reading_kind, {"source_id": source_id}).fetchone()
    return None if row is None else str(row[0])


def touch_source(conn: Connection, source_id: UUID) -> bool:
    """Note the time of a good source in which nothing changed; False where it was not good."""
    return conn.execute(SQL.touch_source, {"source_id": source_id}).rowcount == 1


def recover_source(conn: Connection, source_id: UUID) -> None:
    """Make a source that had failed good again: it is what is stored of it."""
    conn.execute(SQL.recover_source, {"source_id": source_id})


def enqueue_due_resyncs(conn: Connection, *, rows_max: int, priority: int) -> int:
    """Enqueue those that have been due longest; how many there were."""
    arguments = {"rows_max": rows_max, "priority": priority}
    row = conn.execute(SQL.enqueue_due_resyncs, arguments).fetchone()
    assert row is not None
    return int(row[0])


def list_sources(conn: Connection, agent_id: UUID, *, rows_max: int) -> list[ListedSource]:
    """The agent's sources, oldest first."""
    cursor = conn.cursor(row_factory=class_row(ListedSource))
    arguments = {"agent_id": agent_id, "rows_max": rows_max}
    return cursor.execute(SQL.list_sources, arguments).fetchall()


def list_runs(conn: Connection, source_id: UUID, *, rows_max: int) -> list[Run]:
    """The source's history, newest first."""
    cursor = conn.cursor(row_factory=class_row(Run))
    arguments = {"source_id": source_id, "rows_max": rows_max}
    return cursor.execute(SQL.list_runs, arguments).fetchall()
