"""Statements about changing an agent's embedding model; see models.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("models")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What embedding an agent's chunks with a model costs: `cost_usd` if nothing changed since,
    `cost_usd_max` if everything did; None where the price is not known.
    """

    model: str | None
    chunks: int
    tokens: int
    chunks_kept: int
    chunks_recalled: int
    chunks_paid: int
    tokens_paid: int
    cost_usd: Decimal | None
    cost_usd_max: Decimal | None


@dataclass(frozen=True, slots=True)
class Change:
    """An agent on its way to another model."""

    agent_id: UUID
    model: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Original:
    """A chunk without its vector; `context` is what was embedded above its content."""

    id: UUID
    chunk_index: int
    content: str
    content_hash: str | None
    metadata: dict[str, Any]
    span_start: int | None
    span_end: int | None
    context: str | None


def estimate_reindex(conn: Connection, agent_id: UUID, *, model: str | None) -> Estimate | None:
    """None when the agent is gone. Without `model`, with the agent's own."""
    cursor = conn.cursor(row_factory=class_row(Estimate))
    arguments = {"agent_id": agent_id, "model": model}
    return cursor.execute(SQL.estimate_reindex, arguments).fetchone()


def begin_change(conn: Connection, agent_id: UUID, *, model: str) -> None:
    """A change to another model ends with it."""
    conn.execute(SQL.begin_change, {"agent_id": agent_id, "model": model})


def find_change(conn: Connection, agent_id: UUID) -> Change | None:
    cursor = conn.cursor(row_factory=class_row(Change))
    return cursor.execute(SQL.find_change, {"agent_id": agent_id}).fetchone()


def hold_change(conn: Connection, agent_id: UUID) -> str | None:
    """The model that the agent moves to, until the transaction ends; None where it does not."""
    row = conn.execute(SQL.hold_change, {"agent_id": agent_id}).fetchone()
    return None if row is None else row[0]


def end_change(conn: Connection, agent_id: UUID) -> bool:
    return conn.execute(SQL.end_change, {"agent_id": agent_id}).rowcount == 1


def lock_model(conn: Connection, agent_id: UUID) -> None:
    """Nobody else stores chunks of the agent until the transaction ends."""
    conn.execute(SQL.lock_model, {"agent_id": agent_id})


def name_chunks(conn: Connection, agent_id: UUID, *, model: str, rows_max: int) -> int:
    arguments = {"agent_id": agent_id, "model": model, "rows_max": rows_max}
    return conn.execute(SQL.name_chunks, arguments).rowcount


def list_incomplete(conn: Connection, agent_id: UUID, *, model: str, rows_max: int) -> list[UUID]:
    """Sources whose chunks of this model are not those that serve now."""
    arguments = {"agent_id": agent_id, "model": model, "rows_max": rows_max}
    return [row[0] for row in conn.execute(SQL.list_incomplete, arguments).fetchall()]


def list_originals(conn: Connection, source_id: UUID) -> list[Original]:
    """The source's chunks that serve now, in order."""
    cursor = conn.cursor(row_factory=class_row(Original))
    return cursor.execute(SQL.list_originals, {"source_id": source_id}).fetchall()


def list_twins(conn: Connection, source_id: UUID, *, model: str) -> list[Original]:
    """The source's chunks of this model, in order; without spans and contexts."""
    cursor = conn.cursor(row_factory=class_row(Original))
    arguments = {"source_id": source_id, "model": model}
    return cursor.execute(SQL.list_twins, arguments).fetchall()


def delete_twins(conn: Connection, ids: Sequence[UUID]) -> None:
    conn.execute(SQL.delete_twins, {"ids": list(ids)})


def switch_model(conn: Connection, agent_id: UUID, *, model: str) -> None:
    conn.execute(SQL.switch_model, {"agent_id": agent_id, "model": model})


def recount_sources(conn: Connection, agent_id: UUID, *, model: str) -> None:
    conn.execute(SQL.recount_sources, {"agent_id": agent_id, "model": model})


def delete_retired(conn: Connection, agent_id: UUID, *, rows_max: int) -> int:
    """Delete chunks of models that the agent neither has nor moves to; how many."""
    arguments = {"agent_id": agent_id, "rows_max": rows_max}
    return conn.execute(SQL.delete_retired, arguments).rowcount


def count_twins(conn: Connection, agent_id: UUID) -> tuple[int, int]:
    """How many chunks serve, and how many of the new model there are."""
    row = conn.execute(SQL.count_twins, {"agent_id": agent_id}).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
