"""Statements about chunks and the vectors that were paid for; see chunks.sql."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load
from db.vectors import Vector, from_binary, to_binary

SQL = load("chunks")

CHUNK_TYPES = ("uuid", "uuid", "uuid", "text", "int4", "bytea", "int4", "jsonb", "text", "text")
PAID_TYPES = ("bytea", "bytea", "int4")


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk without its vector; the hash is of what was embedded.

    Its span is that of its document's characters, None where nobody noted it.
    """

    id: UUID
    content: str
    content_hash: str
    chunk_index: int
    metadata: dict[str, Any]
    span_start: int | None = None
    span_end: int | None = None

    @property
    def span(self) -> tuple[int, int] | None:
        if self.span_start is None or self.span_end is None:
            return None
        return self.span_start, self.span_end


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk with its vector, ready to be stored; None where no model will embed it."""

    id: UUID
    content: str
    tokens: int
    vector: Vector | None
    chunk_index: int
    metadata: dict[str, Any]
    content_hash: str


@dataclass(frozen=True, slots=True)
class MovedChunk:
    """A kept chunk whose place in the source, section or white space is another now."""

    id: UUID
    chunk_index: int
    content: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PlacedChunk:
    """Where in its document a chunk lies, in characters.

    `context` is what is embedded above its content; None: as noted before.
    """

    id: UUID
    start: int
    end: int
    context: str | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """One vector as the provider was paid for it, by the hash of what was embedded."""

    text_hash: bytes
    vector: Vector
    tokens: int


def load_known(conn: Connection, *, source_id: UUID, model: str) -> list[StoredChunk]:
    """The source's chunks of this model, in the document's order."""
    cursor = conn.cursor(row_factory=class_row(StoredChunk))
    return cursor.execute(SQL.load_known, {"source_id": source_id, "model": model}).fetchall()


def delete_others(conn: Connection, *, source_id: UUID, kept: Sequence[UUID], model: str) -> int:
    """Delete every chunk of the source that is not kept; how many there were.

    Those of a model that the agent is being moved to stay.
    """
    arguments = {"source_id": source_id, "kept": list(kept), "model": model}
    return conn.execute(SQL.delete_others, arguments).rowcount


def move_chunks(conn: Connection, moved: Sequence[MovedChunk]) -> None:
    conn.execute(
        SQL.move_chunks,
        {
            "ids": [chunk.id for chunk in moved],
            "indexes": [chunk.chunk_index for chunk in moved],
            "contents": [chunk.content for chunk in moved],
            "metadata": [Jsonb(chunk.metadata) for chunk in moved],
        },
    )


def place_chunks(conn: Connection, placed: Sequence[PlacedChunk]) -> None:
    """Note where chunks lie; they must be stored already."""
    conn.execute(
        SQL.place_chunks,
        {
            "ids": [chunk.id for chunk in placed],
            "starts": [chunk.start for chunk in placed],
            "ends": [chunk.end for chunk in placed],
            "contexts": [chunk.context for chunk in placed],
        },
    )


def copy_chunks(
    conn: Connection, added: Iterable[NewChunk], *, source_id: UUID, agent_id: UUID, model: str
) -> None:
    with conn.cursor().copy(SQL.copy_chunks) as copy:
        # A vector is sent as the bytes of its binary form, so its type needs no look-up.
        copy.set_types(CHUNK_TYPES)
        for chunk in added:
            copy.write_row(
                (
                    chunk.id,
                    source_id,
                    agent_id,
                    chunk.content,
                    chunk.tokens,
                    None if chunk.vector is None else to_binary(chunk.vector),
                    chunk.chunk_index,
                    Jsonb(chunk.metadata),
                    model,
                    chunk.content_hash,
                )
            )


def recall_vectors(conn: Connection, *, model: str, hashes: Sequence[bytes]) -> dict[bytes, Vector]:
    """The vectors that were paid for before, by hash."""
    rows = conn.cursor(binary=True).execute(
        SQL.recall_vectors, {"model": model, "hashes": list(hashes)}
    )
    return {text_hash: from_binary(value) for text_hash, value in rows.fetchall()}


def remember_vectors(conn: Connection, paid: Sequence[Paid], *, model: str) -> None:
    """Keep what was paid for; what another worker paid for meanwhile stays."""
    conn.execute(SQL.create_paid)
    with conn.cursor().copy(SQL.copy_paid) as copy:
        copy.set_types(PAID_TYPES)
        for item in paid:
            copy.write_row((item.text_hash, to_binary(item.vector), item.tokens))
    conn.execute(SQL.remember_paid, {"model": model})
