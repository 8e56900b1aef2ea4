"""A new edition of a source: its chunks, what is embedded of each, and what is stored already."""

import hashlib
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.chunks import MovedChunk, StoredChunk
from pipelines.knowledge.document import Chunk, Document
from pipelines.knowledge.split_context import heading_line


@dataclass(frozen=True, slots=True)
class Draft:
    """A chunk that is not stored yet. `text_hash` is of `embedded`, the text the model reads."""

    chunk: Chunk
    embedded: str
    text_hash: bytes
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Edition:
    """`kept` chunks stay as they are, `moved` ones (kept too) only get another place."""

    added: tuple[Draft, ...]
    kept: tuple[UUID, ...]
    moved: tuple[MovedChunk, ...]
    chars: int


def draw_up(document: Document, chunks: Sequence[Chunk], stored: Sequence[StoredChunk]) -> Edition:
    """Compare by the hash of what is embedded; equal texts are matched in the document's order."""
    known: dict[str, deque[StoredChunk]] = defaultdict(deque)
    for old in stored:
        known[old.content_hash].append(old)
    added, kept, moved = [], [], []
    for chunk in chunks:
        draft = draw(document, chunk)
        twins = known[draft.text_hash.hex()]
        if not twins:
            added.append(draft)
            continue
        twin = twins.popleft()
        kept.append(twin.id)
        if (twin.chunk_index, twin.metadata) != (chunk.index, draft.metadata):
            moved.append(MovedChunk(twin.id, chunk.index, draft.metadata))
    return Edition(tuple(added), tuple(kept), tuple(moved), len(document.text))


def draw(document: Document, chunk: Chunk) -> Draft:
    """Offsets are not kept: an edit would shift those of all later chunks, and rewrite them."""
    embedded = embedded_text(document, chunk)
    metadata = {"heading_path": list(chunk.heading_path), "kinds": list(chunk.kinds)}
    return Draft(chunk, embedded, hashlib.sha256(embedded.encode()).digest(), metadata)


def embedded_text(document: Document, chunk: Chunk) -> str:
    """The chunk below the title and the headings it stands under, as a reader would meet it."""
    above = heading_line(chunk, document)
    return f"{above}\n{chunk.text}" if above else chunk.text
