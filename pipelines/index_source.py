"""The story of `index_source`: read, split, embed what is new, store the new set at once.

The old chunks serve until the new set is committed. What is paid for is remembered before the
next request is made, so a run that was killed never pays twice.
"""

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

import tiktoken

from db import chunks, resyncs, sources
from db.chunks import NewChunk, StoredChunk
from db.fence import Fence
from db.pool import Connection
from db.sources import Source, State
from pipelines import readers
from pipelines.embedding import embed
from pipelines.errors import Permanent, Snooze, Transient
from pipelines.gateways.embedder import Embedder
from pipelines.knowledge.edition import Cut, Edition, draw_up, key_of
from pipelines.knowledge.report import Report
from pipelines.knowledge.sizes import sizes_of
from pipelines.knowledge.split import split
from pipelines.knowledge.split_sizes import Sizes
from pipelines.knowledge.tokens import encoding_for
from pipelines.readers.reading import Reading
from pipelines.readers.tools import ReadingTools
from pipelines.vectors.shelf import FileShelf

CHUNKS_MAX = 50_000
CHARS_MAX = 100_000_000
SKIPPED_MAX = 20
# A host that asks for a longer break is told of at once; so long the others' requests wait, too.
READ_AGAIN_S_MAX = 600.0
# When another run stored the source meanwhile.
AGAIN_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What indexing works with. `embedder_for` takes the model that the agent uses, or None."""

    db: Fence
    reading: ReadingTools
    embedder_for: Callable[[str | None], Embedder]


def run(desk: Desk, *, source_id: UUID) -> Report:
    """Read everything, whatever was seen before. Raises Permanent or Transient; then the source
    keeps the chunks that it had.
    """
    source = begin(desk.db, source_id)
    report = start_report(desk, source)
    with report.stage("reading"):
        reading = read_soon(source, watched(desk.reading, report))
    return index(desk, source, reading, report)


def read_soon(source: Source, tools: ReadingTools) -> Reading:
    """Read everything. Raises Permanent where the server asks for more patience than its owner
    has, who would see "processing" until then.
    """
    try:
        return readers.read(source, tools, {})
    except Transient as error:
        if (error.retry_after_s or 0.0) <= READ_AGAIN_S_MAX:
            raise
        minutes = math.ceil((error.retry_after_s or 0.0) / 60)
        raise Permanent(f"{error}; it asks to be tried again in {minutes:,} minutes") from error


def begin(db: Fence, source_id: UUID) -> Source:
    """Show the owner that the source is being worked on."""
    with db.write() as conn:
        source = sources.begin_indexing(conn, source_id)
    if source is None:
        raise gone(source_id)
    return source


def gone(source_id: UUID) -> Permanent:
    return Permanent(f"knowledge source {source_id} no longer exists")


def start_report(desk: Desk, source: Source) -> Report:
    model = desk.embedder_for(source.embedding_model).model
    return Report(model, lambda progress: tell(desk.db, source.id, progress))


def watched(reading: ReadingTools, report: Report) -> ReadingTools:
    return replace(reading, step=lambda done, total: report.step("reading", done, total))


def tell(db: Fence, source_id: UUID, progress: dict[str, Any]) -> None:
    """On the source's row, which its owner sees, and on the job's."""
    with db.write() as conn:
        sources.report_progress(conn, source_id, progress)
        db.note(conn, progress)


def index(desk: Desk, source: Source, reading: Reading, report: Report) -> Report:
    """Bring the stored chunks of a source to what was read."""
    return carry_out(desk, source, compare(desk, source, reading, report), report)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was read beside what is stored. `saved_at` is when the latter was; None: never.

    One that `yields` is not stored where an `index_source` job is about to read everything.
    """

    edition: Edition
    state: State
    saved_at: datetime | None
    documents: int
    skipped: tuple[str, ...]
    is_same: bool
    yields: bool = False


def compare(desk: Desk, source: Source, reading: Reading, report: Report) -> Comparison:
    """Writes nothing, and shows its progress where the report tells it."""
    sizes = sizes_of(source.settings)
    check_chars(reading)
    with report.stage("splitting"):
        stored, past = known(desk.db, source.id, report.model)
        same_sizes = past is not None and past.sizes == asdict(sizes)
        cuts = list(cut(reading, stored if same_sizes else (), encoding_for(report.model), sizes))
        check_count(sum(len(each.chunks) for each in cuts))
        edition = draw_up(cuts, stored)
    return Comparison(
        edition,
        State(asked(source, report.model), reading.seen, asdict(sizes)),
        saved_at=None if past is None else past.saved_at,
        documents=len(reading.parts),
        skipped=reading.skipped[:SKIPPED_MAX],
        is_same=not (edition.added or edition.moved) and len(edition.kept) == len(stored),
    )


def carry_out(desk: Desk, source: Source, comparison: Comparison, report: Report) -> Report:
    """Embed and store. Raises Superseded where `comparison` yields to a job that is under way."""
    embedder = desk.embedder_for(source.embedding_model)
    edition = comparison.edition
    with FileShelf() as vectors:
        with report.stage("embedding", waits=bool(edition.added)):
            refused = embed(desk.db, embedder, source, edition.added, report, vectors)
        with report.stage("storing"):
            report.count(edition, documents=comparison.documents)
            report.skipped = [*refused, *comparison.skipped][:SKIPPED_MAX]
            store(desk.db, source, comparison, vectors, report)
    log.info("%s", report.sentence())
    return report


class Superseded(Exception):
    """What was read is not to be stored: a job that reads everything anew is under way."""


def check_chars(reading: Reading) -> None:
    chars = sum(len(part.document.text) for part in reading.parts if part.document)
    log.info("read %s characters in %d documents", f"{chars:,}", len(reading.parts))
    if chars > CHARS_MAX:
        raise Permanent(
            f"this source holds {chars:,} characters of text, the limit is {CHARS_MAX:,}"
        )


def check_count(count: int) -> None:
    if count > CHUNKS_MAX:
        raise Permanent(f"this source makes {count:,} chunks, the limit is {CHUNKS_MAX:,}")


def known(db: Fence, source_id: UUID, model: str) -> tuple[list[StoredChunk], State | None]:
    with db.read() as conn:
        stored = chunks.load_known(conn, source_id=source_id, model=model)
        return stored, sources.load_state(conn, source_id)


def cut(
    reading: Reading, stored: Sequence[StoredChunk], encoding: tiktoken.Encoding, sizes: Sizes
) -> Iterator[Cut]:
    """Split each document that was read, keeping the cuts of what is stored of it."""
    contents = {
        key: [chunk.content for chunk in group]
        for key, group in groupby(sorted(stored, key=key_of), key=key_of)
    }
    for part in reading.parts:
        pieces = part.document and split(
            part.document,
            encoding=encoding,
            tokens_max=sizes.tokens_max,
            tokens_target=sizes.tokens_target,
            tokens_overlap=sizes.tokens_overlap,
            known=contents.get(part.key, ()),
        )
        yield Cut(part.key, part.document, pieces or (), part.url)


def asked(source: Source, model: str) -> str:
    """What was read and for which model: the validators of another page say nothing."""
    read = (source.type, source.url, source.file_url, source.file_type, source.settings, model)
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def store(
    db: Fence,
    source: Source,
    comparison: Comparison,
    vectors: FileShelf,
    report: Report,
) -> None:
    """Replace the source's chunks and say so on its row, in one transaction."""
    edition = comparison.edition
    with db.write() as conn:
        hold(conn, source.id, comparison, model=report.model)
        if comparison.yields and resyncs.is_being_indexed(conn, source.id):
            raise Superseded
        report.removed = chunks.delete_others(
            conn, source_id=source.id, kept=edition.kept, model=report.model
        )
        if edition.moved:
            chunks.move_chunks(conn, edition.moved)
        if edition.added:
            new = new_chunks(edition, vectors)
            chunks.copy_chunks(
                conn, new, source_id=source.id, agent_id=source.agent_id, model=report.model
            )
        if edition.placed:
            chunks.place_chunks(conn, edition.placed)
        sources.claim_model(conn, agent_id=source.agent_id, model=report.model)
        sources.save_state(conn, source.id, comparison.state)
        summary = report.summary()
        sources.record_run(conn, source_id=source.id, job_id=db.job_id, report=summary)
        sources.complete_indexing(conn, source.id, summary)
        db.note(conn, summary)


def new_chunks(edition: Edition, vectors: FileShelf) -> Iterator[NewChunk]:
    for draft in edition.added:
        yield NewChunk(
            id=draft.id,
            content=draft.chunk.text,
            tokens=draft.chunk.tokens,
            vector=vectors.get(draft.text_hash),
            chunk_index=draft.index,
            metadata=draft.metadata,
            content_hash=draft.text_hash.hex(),
        )


def hold(conn: Connection, source_id: UUID, comparison: Comparison, *, model: str) -> None:
    """Lock the source and its agent's model. Raises Snooze where either is not what it was when
    it was compared: another run has stored, or the agent's questions go to another model.
    """
    if not sources.lock_source(conn, source_id):
        raise gone(source_id)
    current = sources.share_model(conn, source_id)
    past = sources.load_state(conn, source_id)
    if (
        current not in (None, model)
        or (None if past is None else past.saved_at) != comparison.saved_at
    ):
        raise Snooze(AGAIN_S)
