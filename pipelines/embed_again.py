"""The story of `embed_again`: a source's chunks get twins of another model, beside themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from db import chunks, models, sources
from db.chunks import NewChunk, PlacedChunk
from db.models import Original
from db.sources import Source
from pipelines.embedding import embed
from pipelines.index_source import Desk
from pipelines.knowledge.document import Chunk
from pipelines.knowledge.edition import Draft, hash_of, with_context
from pipelines.knowledge.report import Report
from pipelines.knowledge.tokens import encoding_for
from pipelines.vectors.shelf import FileShelf

# Each slice is stored in one transaction, while the source's own indexing waits.
SLICE_CHUNKS = 500


def run(desk: Desk, *, source_id: UUID, model: str) -> dict[str, Any]:
    """Killed, it goes on where it stopped. Nothing is done once the agent moves elsewhere."""
    with desk.db.read() as conn:
        source = sources.load_source(conn, source_id)
        change = models.find_change(conn, source.agent_id) if source else None
        originals = models.list_originals(conn, source_id)
        twins = models.list_twins(conn, source_id, model=model)
    report = Report(model, desk.db.report)
    if source is None or change is None or change.model != model:
        return {"stage": "done", "chunks_added": 0}
    matching = match(originals, twins)
    with desk.db.write() as conn:
        models.delete_twins(conn, matching.surplus)
    report.kept, report.removed = len(twins) - len(matching.surplus), len(matching.surplus)
    for part in slices(matching.missing):
        if not add(desk, source, part, report):
            break
    return report.summary()


@dataclass(frozen=True, slots=True)
class Matching:
    """Chunks without a twin, and twins without a chunk."""

    missing: tuple[Original, ...]
    surplus: tuple[UUID, ...]


def match(originals: Sequence[Original], twins: Sequence[Original]) -> Matching:
    """A twin has its chunk's place, words and metadata, and the hash of the same text."""
    by_place = {twin.chunk_index: twin for twin in twins}
    missing = []
    for original in originals:
        twin = by_place.get(original.chunk_index)
        if twin is not None and is_twin(original, twin):
            del by_place[original.chunk_index]
        else:
            missing.append(original)
    return Matching(tuple(missing), tuple(twin.id for twin in by_place.values()))


def is_twin(original: Original, twin: Original) -> bool:
    return (
        (original.content, original.metadata) == (twin.content, twin.metadata)
        and twin.content_hash is not None
        and original.content_hash in (None, twin.content_hash)
    )


def slices(missing: Sequence[Original]) -> Iterator[Sequence[Original]]:
    for start in range(0, len(missing), SLICE_CHUNKS):
        yield missing[start : start + SLICE_CHUNKS]


def add(desk: Desk, source: Source, part: Sequence[Original], report: Report) -> bool:
    """Embed and store one slice; False once the agent moves to this model no longer."""
    drafts = [draw(original) for original in part]
    embedder = desk.embedder_for(report.model)
    with FileShelf() as shelf:
        embed(desk.db, embedder, source, drafts, report, shelf)
        new = list(twins_of(part, drafts, shelf, report.model))
    with desk.db.write() as conn:
        if not sources.lock_source(conn, source.id):
            return False
        if models.hold_change(conn, source.agent_id) != report.model:
            return False
        chunks.copy_chunks(
            conn, new, source_id=source.id, agent_id=source.agent_id, model=report.model
        )
        chunks.place_chunks(conn, list(places(part, new)))
    report.added += len(new)
    return True


def draw(original: Original) -> Draft:
    """The chunk as it is embedded."""
    embedded = with_context(original.content, context_of(original))
    return Draft(
        id=uuid4(),
        index=original.chunk_index,
        chunk=Chunk(original.chunk_index, original.content, 0, len(original.content), 0),
        embedded=embedded,
        text_hash=hash_of(embedded),
        metadata=original.metadata,
    )


def context_of(original: Original) -> str:
    """Where it was not noted, the headings are the best part of it."""
    if original.context is not None:
        return original.context
    # The web tier may store anything there.
    metadata: object = original.metadata
    path = metadata.get("heading_path") if isinstance(metadata, dict) else None
    return " > ".join(map(str, path)) if isinstance(path, list) else ""


def twins_of(
    part: Sequence[Original], drafts: Sequence[Draft], shelf: FileShelf, model: str
) -> Iterator[NewChunk]:
    """With the same hash, so that the next indexing knows them again."""
    encode = encoding_for(model).encode_ordinary
    for original, draft in zip(part, drafts, strict=True):
        yield NewChunk(
            id=draft.id,
            content=original.content,
            tokens=len(encode(original.content)),
            vector=shelf.get(draft.text_hash),
            chunk_index=original.chunk_index,
            metadata=original.metadata,
            content_hash=original.content_hash or draft.text_hash.hex(),
        )


def places(part: Sequence[Original], new: Sequence[NewChunk]) -> Iterator[PlacedChunk]:
    for original, twin in zip(part, new, strict=True):
        if original.span_start is not None and original.span_end is not None:
            yield PlacedChunk(twin.id, original.span_start, original.span_end, original.context)
