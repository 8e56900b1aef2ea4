"""Statements about what crawls found; see crawl_reports.sql. No function commits."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("crawl_reports")


@dataclass(frozen=True, slots=True)
class StateCount:
    """Pages of one state; of those that are kept, how their indexing ended."""

    state: str
    pages: int
    indexed: int
    not_indexed: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Costs:
    chunks_added: int
    chunks_kept: int
    chunks_removed: int
    tokens_embedded: int
    cost_usd: Decimal


def sum_up(conn: Connection, source_id: UUID, *, crawl: int) -> list[StateCount]:
    cursor = conn.cursor(row_factory=class_row(StateCount))
    return cursor.execute(SQL.sum_up, {"source_id": source_id, "crawl": crawl}).fetchall()


def sum_children(conn: Connection, source_id: UUID, *, crawl: int) -> Costs:
    cursor = conn.cursor(row_factory=class_row(Costs))
    costs = cursor.execute(SQL.sum_children, {"source_id": source_id, "crawl": crawl}).fetchone()
    assert costs is not None
    return costs


def list_failures(
    conn: Connection, source_id: UUID, *, crawl: int, rows_max: int
) -> list[tuple[str, str]]:
    """(address, reason) of the first pages that could not be read or indexed."""
    arguments = {"source_id": source_id, "crawl": crawl, "rows_max": rows_max}
    return conn.execute(SQL.list_failures, arguments).fetchall()


def record_crawl(
    conn: Connection, source_id: UUID, *, status: str, error: str | None, report: dict[str, Any]
) -> None:
    """Add the crawl to the source's history."""
    conn.execute(
        SQL.record_crawl,
        {"source_id": source_id, "status": status, "error": error, "report": Jsonb(report)},
    )


def complete_crawl(
    conn: Connection, source_id: UUID, *, status: str, error: str | None, report: dict[str, Any]
) -> None:
    conn.execute(
        SQL.complete_crawl,
        {"source_id": source_id, "status": status, "error": error, "report": Jsonb(report)},
    )


def drop_own_chunks(conn: Connection, source_id: UUID) -> None:
    conn.execute(SQL.drop_own_chunks, {"source_id": source_id})
