"""The knowledge base of the caller's agents; see knowledge.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack
from uuid import UUID

from db import rows
from db.pool import Connection
from db.statements import load
from db.types.database_types import (
    KnowledgeSourcesInsert,
    KnowledgeSourcesRow,
    KnowledgeSourcesStatus,
    KnowledgeSourcesUpdate,
)

SQL = load("knowledge")

KnowledgeSource = KnowledgeSourcesRow

# Of knowledge_chunks.embedding.
DIMENSIONS = 1536


@dataclass(frozen=True, slots=True)
class Match:
    """A chunk that answers a question; `similarity` is 1 for the same direction, 0 for none."""

    id: UUID
    source_id: UUID
    content: str
    metadata: dict[str, Any]
    similarity: float


def create_source(conn: Connection, **row: Unpack[KnowledgeSourcesInsert]) -> KnowledgeSource:
    """Insert a source; workers index it once this is committed. Raises UnknownColumnError."""
    cursor = conn.cursor(row_factory=rows.of(KnowledgeSource))
    given = rows.checked(SQL.create_source, row)
    created = cursor.execute(SQL.create_source, {"row": given}).fetchone()
    assert created is not None
    return created


def get_source(conn: Connection, source_id: UUID) -> KnowledgeSource | None:
    """The source: `status` and `error_message` say how its indexing went."""
    cursor = conn.cursor(row_factory=rows.of(KnowledgeSource))
    return cursor.execute(SQL.get_source, {"source_id": source_id}).fetchone()


def list_sources(
    conn: Connection,
    agent_id: UUID,
    *,
    status: KnowledgeSourcesStatus | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Sequence[KnowledgeSource]:
    """Sources of an agent, newest first."""
    filters = {"agent_id": agent_id, "status": status, **rows.page(limit=limit, offset=offset)}
    cursor = conn.cursor(row_factory=rows.of(KnowledgeSource))
    return cursor.execute(SQL.list_sources, filters).fetchall()


def update_source(
    conn: Connection, source_id: UUID, **changes: Unpack[KnowledgeSourcesUpdate]
) -> KnowledgeSource | None:
    """Change the named columns; None where the caller has no such source."""
    cursor = conn.cursor(row_factory=rows.of(KnowledgeSource))
    row = rows.checked(SQL.update_source, changes)
    return cursor.execute(SQL.update_source, {"source_id": source_id, "row": row}).fetchone()


def delete_source(conn: Connection, source_id: UUID) -> bool:
    """Delete the source with its chunks; False where the caller has no such source."""
    return conn.execute(SQL.delete_source, {"source_id": source_id}).rowcount == 1


def search_chunks(
    conn: Connection,
    agent_id: UUID,
    query_embedding: Sequence[float],
    match_threshold: float = 0.7,
    match_count: int = 5,
) -> Sequence[Match]:
    """The chunks nearest to a question, best first.

    `query_embedding` is of the agent's own model; models of fewer dimensions fill up with zeros.
    """
    if len(query_embedding) != DIMENSIONS:
        raise ValueError(f"query_embedding has {len(query_embedding)} numbers, not {DIMENSIONS}")
    cursor = conn.cursor(row_factory=rows.of(Match))
    return cursor.execute(
        SQL.search_chunks,
        {
            "agent_id": agent_id,
            "query_embedding": f"[{','.join(map(repr, map(float, query_embedding)))}]",
            "match_threshold": match_threshold,
            "match_count": match_count,
        },
    ).fetchall()
