"""The story of `index_source`: read, split, embed what is new, store the new set at once.

The old chunks serve until the new set is committed. What is paid for is remembered before the
next request is made, so a run that was killed never pays twice.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from db import chunks, sources
from db.chunks import NewChunk, Paid, StoredChunk
from db.fence import Fence
from db.sources import Source
from db.vectors import Vector
from pipelines import readers
from pipelines.errors import Permanent
from pipelines.gateways.embedder import Embedded, Embedder, pack, price_usd
from pipelines.knowledge.edition import Draft, Edition, draw_up
from pipelines.knowledge.report import Report
from pipelines.knowledge.split import split
from pipelines.knowledge.tokens import encoding_for
from pipelines.readers.tools import ReadingTools

CHUNK_TOKENS_MAX = 512
CHUNKS_MAX = 50_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What indexing works with. `embedder_for` takes the model that the agent uses, or None."""

    db: Fence
    reading: ReadingTools
    embedder_for: Callable[[str | None], Embedder]


def run(desk: Desk, *, source_id: UUID) -> Report:
    """Raises Permanent or Transient; then the source keeps the chunks that it had."""
    source = begin(desk.db, source_id)
    embedder = desk.embedder_for(source.embedding_model)
    encoding = encoding_for(embedder.model)
    report = Report(embedder.model, lambda progress: tell(desk.db, source_id, progress))

    with report.stage("reading"):
        document = readers.read(source, desk.reading)
        log.info("read %s characters of %s", f"{len(document.text):,}", document.mime)
    with report.stage("splitting"):
        stored = known(desk.db, source_id, embedder.model)
        pieces = split(
            document,
            encoding=encoding,
            tokens_max=CHUNK_TOKENS_MAX,
            known=[chunk.content for chunk in stored],
        )
        check_count(len(pieces))
        edition = draw_up(document, pieces, stored)
    with report.stage("embedding"):
        vectors = embed(desk.db, embedder, source, edition.added, report)
    with report.stage("storing"):
        store(desk.db, source, edition, vectors, report)
    log.info(
        "%d chunks added, %d kept, %d removed; %d tokens embedded with %s, %d vectors recalled",
        report.added,
        report.kept,
        report.removed,
        report.tokens_embedded,
        report.model,
        report.recalled,
    )
    return report


def begin(db: Fence, source_id: UUID) -> Source:
    with db.write() as conn:
        source = sources.begin_indexing(conn, source_id)
    if source is None:
        raise gone(source_id)
    return source


def gone(source_id: UUID) -> Permanent:
    return Permanent(f"knowledge source {source_id} no longer exists")


def check_count(count: int) -> None:
    if count > CHUNKS_MAX:
        raise Permanent(f"this source makes {count:,} chunks, the limit is {CHUNKS_MAX:,}")


def tell(db: Fence, source_id: UUID, progress: dict[str, Any]) -> None:
    with db.write() as conn:
        sources.report_progress(conn, source_id, progress)
    db.report(progress)


def known(db: Fence, source_id: UUID, model: str) -> list[StoredChunk]:
    with db.read() as conn:
        return chunks.load_known(conn, source_id=source_id, model=model)


def embed(
    db: Fence, embedder: Embedder, source: Source, drafts: Sequence[Draft], report: Report
) -> dict[bytes, Vector]:
    """A vector for each different text, by its hash: recalled, or asked for batch by batch."""
    vectors = recall(db, embedder, drafts)
    report.recalled = len(vectors)
    wanted = {draft.text_hash: draft for draft in drafts if draft.text_hash not in vectors}
    missing = list(wanted.values())
    sizes = [len(draft.embedded.encode()) for draft in missing]
    encode = encoding_for(embedder.model).encode_ordinary
    counts = [len(encode(draft.embedded)) for draft in missing]
    for batch in pack(counts, sizes, embedder.limits):
        asked = missing[batch.start : batch.stop]
        embedded = embedder.embed([draft.embedded for draft in asked])
        pay(db, embedder, source, asked, embedded, counts[batch.start : batch.stop])
        vectors |= zip((draft.text_hash for draft in asked), embedded.vectors, strict=True)
        report.tokens_embedded += sum(counts[batch.start : batch.stop])
        report.cost_usd += price_usd(embedder.model, embedded.tokens) or Decimal(0)
        report.step("embedding", batch.stop, len(missing))
    return vectors


def is_free(embedder: Embedder) -> bool:
    """Nothing is gained by remembering what costs nothing to make again."""
    return price_usd(embedder.model, 1) == 0


def recall(db: Fence, embedder: Embedder, drafts: Sequence[Draft]) -> dict[bytes, Vector]:
    if is_free(embedder):
        return {}
    with db.write() as conn:
        return chunks.recall_vectors(
            conn, model=embedder.model, hashes=[draft.text_hash for draft in drafts]
        )


def pay(
    db: Fence,
    embedder: Embedder,
    source: Source,
    asked: Sequence[Draft],
    embedded: Embedded,
    counts: Sequence[int],
) -> None:
    """Remember the vectors and log the cost, in one transaction: once for each paid request."""
    tokens = embedded.tokens or sum(counts)
    cost = price_usd(embedder.model, tokens) or Decimal(0)
    with db.write() as conn:
        if not is_free(embedder):
            paid = [
                Paid(draft.text_hash, vector, count)
                for draft, vector, count in zip(asked, embedded.vectors, counts, strict=True)
            ]
            chunks.remember_vectors(conn, paid, model=embedder.model)
        sources.log_embedding(
            conn, source, model=embedder.model, tokens=tokens, unit_cost=cost / tokens, cost=cost
        )


def store(
    db: Fence,
    source: Source,
    edition: Edition,
    vectors: dict[bytes, Vector],
    report: Report,
) -> None:
    """Replace the source's chunks and say so on its row, in one transaction."""
    new = (
        NewChunk(
            content=draft.chunk.text,
            tokens=draft.chunk.tokens,
            vector=vectors[draft.text_hash],
            chunk_index=draft.chunk.index,
            metadata=draft.metadata,
            content_hash=draft.text_hash.hex(),
        )
        for draft in edition.added
    )
    with db.write() as conn:
        if not sources.lock_source(conn, source.id):
            raise gone(source.id)
        removed = chunks.delete_others(conn, source_id=source.id, kept=edition.kept)
        if edition.moved:
            chunks.move_chunks(conn, edition.moved)
        if edition.added:
            chunks.copy_chunks(
                conn, new, source_id=source.id, agent_id=source.agent_id, model=report.model
            )
        sources.claim_model(conn, agent_id=source.agent_id, model=report.model)
        report.count(edition.chars, len(edition.added), len(edition.kept), removed)
        sources.complete_indexing(conn, source.id, report.summary())
    db.report(report.summary())
