"""The story of `resync_source`: ask whether a source changed; index it only if it did.

Until something did, nothing is written on the source but the time.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from db import resyncs, sources
from db.pool import Connection
from db.sources import Source, State
from pipelines import readers
from pipelines.errors import Misconfigured, Transient
from pipelines.index_source import (
    Comparison,
    Desk,
    Superseded,
    asked,
    begin,
    carry_out,
    compare,
    gone,
    tell,
    watched,
)
from pipelines.knowledge.report import Report
from pipelines.readers.reading import Seen

OPERATOR_WAIT_S = 3_600.0
LEFT = {"left_to": "index_source"}

# Enqueues the crawl of a source that is a whole site.
Crawl = Callable[[Connection, UUID], object]


def run(desk: Desk, *, source_id: UUID, crawl: Crawl) -> dict[str, Any]:
    """What was done, for the job's row. Raises Permanent or Transient; what was stored serves on.

    A source that is about to be read whole anyway is left to the job that does.
    """
    with desk.db.read() as conn:
        source = sources.load_source(conn, source_id)
        past = sources.load_state(conn, source_id)
        kind = resyncs.find_reading_kind(conn, source_id)
        is_left = resyncs.is_being_indexed(conn, source_id)
    if source is None:
        raise gone(source_id)
    if is_left:
        return LEFT
    if kind == "crawl_site":
        with desk.db.write() as conn:
            crawl(conn, source_id)
        return {"left_to": "crawl_site"}
    report = Report(desk.embedder_for(source.embedding_model).model, desk.db.report)
    try:
        return refresh(desk, source, past, report)
    except Misconfigured as error:
        # No fault of the source's: it is not to be paused as if its page were gone.
        raise Transient(str(error), retry_after_s=OPERATOR_WAIT_S) from error


def refresh(desk: Desk, source: Source, past: State | None, report: Report) -> dict[str, Any]:
    with report.stage("reading"):
        seen = seen_of(source, past, report.model)
        reading = readers.read(source, watched(desk.reading, report), seen)
    if reading.unchanged and past is not None:
        return touch(desk, source, replace(past, seen=reading.seen), past)
    comparison = compare(desk, source, reading, report)
    if comparison.is_same and past is not None:
        return touch(desk, source, comparison.state, past)
    return update(desk, source, comparison, report)


def seen_of(source: Source, past: State | None, model: str) -> Seen:
    """What was seen of another address, or embedded with another model, counts for nothing."""
    return past.seen if past is not None and past.asked == asked(source, model) else {}


def touch(desk: Desk, source: Source, state: State, past: State) -> dict[str, Any]:
    """Note the time, and what the next conditional request has to send where that changed."""
    with desk.db.write() as conn:
        if replace(state, saved_at=past.saved_at) != past:
            sources.save_state(conn, source.id, state)
        if not resyncs.touch_source(conn, source.id):
            resyncs.recover_source(conn, source.id)
    return {"stage": "done", "unchanged": True}


def update(desk: Desk, source: Source, comparison: Comparison, report: Report) -> dict[str, Any]:
    """From here on the owner sees that the source is being worked on."""
    begin(desk.db, source.id)
    report.tell = lambda progress: tell(desk.db, source.id, progress)
    try:
        return carry_out(desk, source, replace(comparison, yields=True), report).summary()
    except Superseded:
        return LEFT
