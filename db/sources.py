"""Statements about knowledge sources; see sources.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("sources")


@dataclass(frozen=True, slots=True)
class Source:
    """What indexing needs of a source and its agent; `embedding_model` is the agent's."""

    id: UUID
    agent_id: UUID
    user_id: UUID
    name: str
    type: str
    content: str | None
    url: str | None
    file_url: str | None
    file_name: str | None
    file_type: str | None
    settings: dict[str, Any]
    embedding_model: str | None


class Payer(Protocol):
    """Whose usage it is: a source's owner and agent, for example."""

    @property
    def user_id(self) -> UUID: ...

    @property
    def agent_id(self) -> UUID: ...


@dataclass(frozen=True, slots=True)
class State:
    """What the last complete run left: see `worker.source_states`. `saved_at` is set by saving."""

    asked: str
    seen: dict[str, Any]
    sizes: dict[str, int]
    saved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """How far a source is; `progress` is {stage, done, total}, at the end the run's report."""

    id: UUID
    name: str
    status: str
    error_message: str | None
    progress: dict[str, Any] | None
    chunks_count: int
    tokens_count: int


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent a command names."""

    id: UUID
    name: str
    user_id: UUID
    embedding_model: str | None


def begin_indexing(conn: Connection, source_id: UUID) -> Source | None:
    """Set the source to "processing" and load it; None when it is gone."""
    cursor = conn.cursor(row_factory=class_row(Source))
    return cursor.execute(SQL.begin_indexing, {"source_id": source_id}).fetchone()


def load_source(conn: Connection, source_id: UUID) -> Source | None:
    """The source as it is; None when it is gone."""
    cursor = conn.cursor(row_factory=class_row(Source))
    return cursor.execute(SQL.load_source, {"source_id": source_id}).fetchone()


def load_state(conn: Connection, source_id: UUID) -> State | None:
    """None when no run has stored anything yet."""
    cursor = conn.cursor(row_factory=class_row(State))
    return cursor.execute(SQL.load_state, {"source_id": source_id}).fetchone()


def save_state(conn: Connection, source_id: UUID, state: State) -> None:
    conn.execute(
        SQL.save_state,
        {
            "source_id": source_id,
            "asked": state.asked,
            "seen": Jsonb(state.seen),
            "sizes": Jsonb(state.sizes),
        },
    )


def record_run(conn: Connection, *, source_id: UUID, job_id: int, report: dict[str, Any]) -> None:
    """Add a completed run to the source's history."""
    arguments = {"source_id": source_id, "job_id": job_id, "report": Jsonb(report)}
    conn.execute(SQL.record_run, arguments)


def report_progress(conn: Connection, source_id: UUID, progress: dict[str, Any]) -> None:
    conn.execute(SQL.report_progress, {"source_id": source_id, "progress": Jsonb(progress)})


def lock_source(conn: Connection, source_id: UUID) -> bool:
    """Keep others from changing the source until the transaction ends; False when it is gone."""
    return conn.execute(SQL.lock_source, {"source_id": source_id}).fetchone() is not None


def share_model(conn: Connection, source_id: UUID) -> str | None:
    """The model of the source's agent, which nobody changes until the transaction ends."""
    conn.execute(SQL.share_model, {"source_id": source_id})
    return read_model(conn, source_id)


def read_model(conn: Connection, source_id: UUID) -> str | None:
    row = conn.execute(SQL.read_model, {"source_id": source_id}).fetchone()
    return None if row is None else row[0]


def complete_indexing(conn: Connection, source_id: UUID, report: dict[str, Any]) -> None:
    conn.execute(SQL.complete_indexing, {"source_id": source_id, "report": Jsonb(report)})


def claim_model(conn: Connection, *, agent_id: UUID, model: str) -> None:
    conn.execute(SQL.claim_model, {"agent_id": agent_id, "model": model})


def log_embedding(
    conn: Connection, payer: Payer, *, model: str, tokens: int, cost: Decimal
) -> None:
    """One usage row for one paid request; `cost` in USD is for models without a price in the table.

    `tokens` is at least 1.
    """
    conn.execute(
        SQL.log_embedding,
        {
            "user_id": payer.user_id,
            "agent_id": payer.agent_id,
            "model": model,
            "tokens": tokens,
            "total_cost": cost,
        },
    )


def create_source(
    conn: Connection,
    *,
    agent_id: UUID,
    name: str,
    type: str,
    content: str | None = None,
    url: str | None = None,
    file_url: str | None = None,
    file_name: str | None = None,
) -> UUID:
    """Insert a source; a trigger enqueues its indexing in the same transaction."""
    row = conn.execute(
        SQL.create_source,
        {
            "agent_id": agent_id,
            "name": name,
            "type": type,
            "content": content,
            "url": url,
            "file_url": file_url,
            "file_name": file_name,
        },
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def list_progress(conn: Connection, ids: Sequence[UUID]) -> list[SourceProgress]:
    cursor = conn.cursor(row_factory=class_row(SourceProgress))
    return cursor.execute(SQL.list_progress, {"ids": list(ids)}).fetchall()


def list_source_ids(conn: Connection, agent_id: UUID, *, rows_max: int) -> list[UUID]:
    """The agent's sources, oldest first."""
    arguments = {"agent_id": agent_id, "rows_max": rows_max}
    return [row[0] for row in conn.execute(SQL.list_source_ids, arguments).fetchall()]


def find_agent(conn: Connection, agent_id: UUID) -> Agent | None:
    cursor = conn.cursor(row_factory=class_row(Agent))
    return cursor.execute(SQL.find_agent, {"agent_id": agent_id}).fetchone()
