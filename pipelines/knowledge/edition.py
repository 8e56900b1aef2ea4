"""A new edition of a source: its chunks, what is embedded of each, and what is stored already."""

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from db.chunks import MovedChunk, PlacedChunk, StoredChunk
from pipelines.knowledge.document import Chunk, Document
from pipelines.knowledge.split_context import embedding_text


@dataclass(frozen=True, slots=True)
class Cut:
    """One document of a source and its chunks; no document where its stored chunks stay.

    `key` is "" where the source is one document.
    """

    key: str
    document: Document | None
    chunks: Sequence[Chunk] = ()
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A chunk that is not stored yet. `text_hash` is of `embedded`, the text the model reads.

    `index` is its place in the source, `chunk.index` that in its document.
    """

    id: UUID
    index: int
    chunk: Chunk
    embedded: str
    text_hash: bytes
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Edition:
    """`kept` chunks stay; of these `moved` ones get another place in the order or section.

    `placed` are all whose characters lie elsewhere in their document than is stored.
    """

    added: tuple[Draft, ...]
    kept: tuple[UUID, ...]
    moved: tuple[MovedChunk, ...]
    placed: tuple[PlacedChunk, ...]
    chars: int


def draw_up(cuts: Sequence[Cut], stored: Sequence[StoredChunk]) -> Edition:
    """Compare by the hash of what is embedded; equal texts are matched in the source's order."""
    twins = Twins(stored)
    added, kept, moved, placed = [], [], [], []
    for draft in draw_all(cuts, twins):
        if isinstance(draft, StayingChunk):
            twin, content, metadata = draft.chunk, draft.chunk.content, draft.chunk.metadata
            span = twin.span
        else:
            span = (draft.chunk.start, draft.chunk.end)
            found = twins.take(draft)
            if found is None:
                added.append(draft)
                placed.append(PlacedChunk(draft.id, *span, context_of(draft)))
                continue
            twin, content, metadata = found, draft.chunk.text, draft.metadata
        kept.append(twin.id)
        new = (draft.index, content, metadata)
        if (twin.chunk_index, twin.content, twin.metadata) != new:
            moved.append(MovedChunk(twin.id, *new))
        if span is not None and twin.span != span:
            placed.append(PlacedChunk(twin.id, *span))
    chars = sum(len(cut.document.text) for cut in cuts if cut.document)
    return Edition(tuple(added), tuple(kept), tuple(moved), tuple(placed), chars)


def context_of(draft: Draft) -> str:
    """What is embedded above the chunk's own text, or ""; `with_context` puts it back."""
    return draft.embedded.removesuffix(draft.chunk.text.rstrip()).removesuffix("\n")


def with_context(text: str, context: str) -> str:
    """The text to embed of a chunk whose document is not at hand."""
    return f"{context}\n{text.rstrip()}" if context else text.rstrip()


@dataclass(frozen=True, slots=True)
class StayingChunk:
    """A chunk of a document that did not change: only its place in the source may."""

    index: int
    chunk: StoredChunk


class Twins:
    """Stored chunks that no new chunk has claimed yet."""

    def __init__(self, stored: Sequence[StoredChunk]) -> None:
        self._by_hash: dict[str, deque[StoredChunk]] = defaultdict(deque)
        self._by_key: dict[str, list[StoredChunk]] = defaultdict(list)
        for chunk in stored:
            self._by_hash[chunk.content_hash].append(chunk)
            self._by_key[key_of(chunk)].append(chunk)

    def of(self, key: str) -> list[StoredChunk]:
        return self._by_key[key]

    def hold(self, key: str) -> None:
        """The chunks of this document stay where they are: no other document may take them."""
        for chunk in self._by_key[key]:
            self._by_hash[chunk.content_hash].remove(chunk)

    def take(self, draft: Draft) -> StoredChunk | None:
        """A chunk of the same document if there is one: then it need not be moved."""
        twins = self._by_hash[draft.text_hash.hex()]
        key = draft.metadata.get("document", {}).get("key", "")
        for twin in twins:
            if key_of(twin) == key:
                twins.remove(twin)
                return twin
        return twins.popleft() if twins else None


def key_of(chunk: StoredChunk) -> str:
    return str(chunk.metadata.get("document", {}).get("key", ""))


def draw_all(cuts: Sequence[Cut], twins: Twins) -> Iterator[Draft | StayingChunk]:
    for cut in cuts:
        if cut.document is None:
            twins.hold(cut.key)
    index = 0
    for cut in cuts:
        if cut.document is None:
            for chunk in twins.of(cut.key):
                yield StayingChunk(index, chunk)
                index += 1
        else:
            for piece in cut.chunks:
                yield draw(cut, cut.document, piece, index)
                index += 1


def draw(cut: Cut, document: Document, chunk: Chunk, index: int) -> Draft:
    embedded = embedding_text(chunk, document)
    metadata: dict[str, Any] = {
        "heading_path": list(chunk.heading_path),
        "kinds": list(chunk.kinds),
    }
    if document.title and not cut.key:
        metadata["title"] = document.title
    if cut.key:
        named = {"key": cut.key, "title": document.title, "url": cut.url}
        metadata["document"] = {name: value for name, value in named.items() if value}
    return Draft(uuid4(), index, chunk, embedded, hash_of(embedded), metadata)


def hash_of(embedded: str) -> bytes:
    """What a text's vector is remembered by, and its chunk known again."""
    return hashlib.sha256(embedded.encode()).digest()
