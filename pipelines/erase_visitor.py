"""The story of `erase_visitor`: delete a visitor's rows, empty what tells of them, then look.

Every step is a short transaction, and finds what is left by itself: a run that was killed is
simply begun again.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from db import erased_traces, erasures
from db.erased_traces import Pages
from db.fence import Fence
from db.pool import Connection
from pipelines.errors import Permanent

# A visitor who goes on chatting meanwhile is met again.
PASSES_MAX = 3
# From a visitor to their addresses, from these to other browsers, and so on.
ROUNDS_MAX = 5
BATCH_ROWS = 500
# Each conversation may take a few late rows with it.
BATCH_CONVERSATIONS = 50
# At most some thousands of rows are changed at once, and some ten thousands looked at.
CHANGED_PAGES = 64
READ_PAGES = 512


class Take(Protocol):
    def __call__(self, conn: Connection, request_id: UUID, *, rows_max: int) -> int: ...


Change = Callable[[Connection, UUID, Pages], int]

# In this order: what is quoted goes before what quotes it can no longer be found by.
OWN_ROWS: tuple[tuple[str, Take, int], ...] = (
    ("public.sentiment_analysis", erasures.delete_sentiment, BATCH_ROWS),
    ("public.training_examples", erasures.delete_examples, BATCH_ROWS),
    ("public.corrections", erasures.delete_corrections, BATCH_ROWS),
    ("public.analytics_events", erasures.blank_addresses, BATCH_ROWS),
    ("public.analytics_events", erasures.delete_sessions, BATCH_ROWS),
    ("public.analytics_events", erasures.delete_events, BATCH_ROWS),
    ("public.messages", erasures.delete_messages, BATCH_ROWS),
    ("public.leads", erasures.delete_leads, BATCH_ROWS),
    ("public.conversations", erasures.delete_conversations, BATCH_CONVERSATIONS),
    ("public.notifications", erasures.delete_namesakes, BATCH_ROWS),
    ("worker.suppressions", erasures.hide_suppressions, BATCH_ROWS),
    ("worker.stats_marks", erasures.forget_marks, BATCH_ROWS),
)
# After these: deleting them writes the owner's trail.
TRACES: dict[str, Change] = {
    "public.analytics_events": erased_traces.delete_told_events,
    "public.corrections": erased_traces.delete_told_corrections,
    "public.training_examples": erased_traces.delete_told_examples,
    "public.webhook_deliveries": erased_traces.empty_deliveries,
    "worker.delivery_bodies": erased_traces.delete_bodies,
    "worker.delivery_attempts": erased_traces.delete_attempts,
    "worker.email_events": erased_traces.delete_email_events,
    "public.email_logs": erased_traces.delete_emails,
    "public.usage_logs": erased_traces.blank_usage,
    "public.notifications": erased_traces.delete_notifications,
    "public.activity_logs": erased_traces.delete_activity,
    "worker.lead_marks": erased_traces.delete_lead_marks,
    "worker.sentiment_marks": erased_traces.delete_sentiment_marks,
    "worker.job_logs": erased_traces.delete_job_logs,
    "worker.jobs": erased_traces.blank_jobs,
}


def run(db: Fence, *, request_id: UUID) -> dict[str, Any]:
    """The state of the request, and how many rows still tell of the visitor, by table."""
    if not begin(db, request_id):
        return {"state": "done"}
    remains: dict[str, int] = {}
    for number in range(1, PASSES_MAX + 1):
        db.report({"stage": "erasing", "pass": number})
        erase(db, request_id)
        db.report({"stage": "looking", "pass": number})
        remains = look(db, request_id)
        if not remains:
            break
    return {"state": end(db, request_id, remains), "remains": remains}


def end(db: Fence, request_id: UUID, remains: dict[str, int]) -> str:
    """Who asked meanwhile may mean what came since: then the job is run again."""
    with db.write() as conn:
        if remains:
            ended = erasures.leave_incomplete(conn, request_id, remains=remains)
        else:
            ended = erasures.finish(conn, request_id)
    if not ended:
        return "requested"
    return "incomplete" if remains else "done"


def begin(db: Fence, request_id: UUID) -> bool:
    """False when it was done before. Raises Permanent for a request that nobody made."""
    with db.write() as conn:
        if erasures.get(conn, request_id) is None:
            raise Permanent(f"there is no erasure request {request_id}")
        return erasures.begin(conn, request_id)


def erase(db: Fence, request_id: UUID) -> None:
    for _ in range(ROUNDS_MAX):
        with db.write() as conn:
            erasures.hold_agent(conn, request_id)
            if not erasures.gather(conn, request_id):
                break
    for place, take, rows_max in OWN_ROWS:
        take_all(partial(take_batch, db, request_id, place, take), rows_max=rows_max)
    pages = dict(list_places(db))
    for place, change in TRACES.items():
        for part in parts(pages[place], size=CHANGED_PAGES):
            take_batch(db, request_id, place, partial(change_pages, change, part), rows_max=0)


def take_all(take_next: Callable[[int], int], *, rows_max: int) -> None:
    """Batch after batch, until one is not full."""
    while take_next(rows_max) >= rows_max:
        pass


def take_batch(db: Fence, request_id: UUID, place: str, take: Take, rows_max: int) -> int:
    """One short transaction, which counts what it changed."""
    with db.write() as conn:
        erasures.hold_agent(conn, request_id)
        changed = take(conn, request_id, rows_max=rows_max)
        if changed:
            erasures.count_change(conn, request_id, place=place, rows=changed)
        return changed


def change_pages(
    change: Change, part: Pages, conn: Connection, request_id: UUID, *, rows_max: int
) -> int:
    return change(conn, request_id, part)


def look(db: Fence, request_id: UUID) -> dict[str, int]:
    """How many rows tell of the visitor, by table, in every table there is."""
    found: dict[str, int] = {}
    for place, pages in list_places(db):
        for part in parts(pages, size=READ_PAGES):
            with db.read() as conn:
                count = erased_traces.count_traces(conn, request_id, part, place=place)
            if count:
                found[place] = found.get(place, 0) + count
    return found


def list_places(db: Fence) -> list[tuple[str, int]]:
    with db.read() as conn:
        return erased_traces.list_places(conn)


def parts(pages: int, *, size: int) -> Iterator[Pages]:
    """All pages of a table, some at a time; a few more, for rows that came since."""
    for first in range(0, pages + size, size):
        yield Pages(first, size)
