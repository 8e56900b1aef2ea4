"""Statements about the credentials of sources; see credentials.sql. No function commits."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("credentials")


@dataclass(frozen=True, slots=True)
class Stored:
    """Either `credentials`, in the clear, or `sealed`."""

    credentials: dict[str, Any] | None = field(repr=False)
    sealed: bytes | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredFor(Stored):
    source_id: UUID


def load_credentials(conn: Connection, source_id: UUID) -> Stored | None:
    cursor = conn.cursor(row_factory=class_row(Stored))
    return cursor.execute(SQL.load_credentials, {"source_id": source_id}).fetchone()


def seal_credentials(
    conn: Connection, source_id: UUID, *, sealed: bytes, updated_at: datetime
) -> bool:
    """False when other credentials were set since `updated_at`, or are being set right now."""
    arguments = {"source_id": source_id, "sealed": sealed, "updated_at": updated_at}
    return conn.execute(SQL.seal_credentials, arguments).rowcount == 1


def list_credentials(
    conn: Connection, *, after: UUID | None = None, rows_max: int
) -> list[StoredFor]:
    """In the order of source ids, from the one behind `after`."""
    cursor = conn.cursor(row_factory=class_row(StoredFor))
    return cursor.execute(SQL.list_credentials, {"after": after, "rows_max": rows_max}).fetchall()


def reseal_credentials(conn: Connection, was: StoredFor, *, sealed: bytes) -> bool:
    """False when the row is not what it `was` any more."""
    arguments = {
        "source_id": was.source_id,
        "sealed": sealed,
        "was": was.sealed,
        "updated_at": was.updated_at,
    }
    return conn.execute(SQL.reseal_credentials, arguments).rowcount == 1


def count_credentials(conn: Connection) -> tuple[int, int]:
    """All of them, and those in the clear."""
    row = conn.execute(SQL.count_credentials).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
