"""Search by vector, by words or by both, and why each passage was found; see search.sql."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load
from db.vectors import Vector, to_text

SQL = load("search")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is searched for; `text` or `vector` may be None, and all of it means everywhere."""

    agent_id: UUID
    text: str | None
    vector: Vector | None
    limit: int
    threshold: float = 0.0
    source_ids: Sequence[UUID] | None = None
    filter: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A search result and why it came; a rank is None where that list does not hold it.

    `score` is the fused ranks of both lists, or the similarity or BM25 of the only one.
    """

    chunk_id: UUID
    source_id: UUID
    source_name: str
    url: str | None
    content: str
    metadata: dict[str, Any]
    score: float
    vector_rank: int | None
    similarity: float | None
    lexical_rank: int | None
    lexical_score: float | None
    matched_words: list[str]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A chunk that stands `distance` places after another in its source; before it if negative."""

    of_chunk_id: UUID
    chunk_id: UUID
    content: str
    metadata: dict[str, Any]
    distance: int


def search(conn: Connection, asked: Asked) -> list[Passage]:
    """The agent's passages, best first."""
    cursor = conn.cursor(row_factory=class_row(Passage))
    arguments = {
        "agent_id": asked.agent_id,
        "text": None if asked.text is None else asked.text.replace("\0", " "),
        "embedding": None if asked.vector is None else to_text(asked.vector),
        "limit": asked.limit,
        "threshold": asked.threshold,
        "source_ids": None if asked.source_ids is None else list(asked.source_ids),
        "filter": None if asked.filter is None else Jsonb(asked.filter),
    }
    return cursor.execute(SQL.search, arguments).fetchall()


def list_neighbours(
    conn: Connection, chunk_ids: Sequence[UUID], *, count: int
) -> dict[UUID, list[Neighbour]]:
    """Up to `count` chunks before and after each, in the source's order."""
    cursor = conn.cursor(row_factory=class_row(Neighbour))
    found: dict[UUID, list[Neighbour]] = defaultdict(list)
    arguments = {"chunk_ids": list(chunk_ids), "count": count}
    for neighbour in cursor.execute(SQL.list_neighbours, arguments):
        found[neighbour.of_chunk_id].append(neighbour)
    return found


def is_model_used(conn: Connection, model: str) -> bool:
    row = conn.execute(SQL.is_model_used, {"model": model}).fetchone()
    return row is not None and bool(row[0])


def log_question(
    conn: Connection, agent_id: UUID, *, model: str, tokens: int, cost: Decimal
) -> None:
    """`tokens` is at least 1."""
    arguments = {"agent_id": agent_id, "model": model, "tokens": tokens, "cost": cost}
    conn.execute(SQL.log_question, arguments)
