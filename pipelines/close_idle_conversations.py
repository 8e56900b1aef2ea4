"""The story of `close_idle_conversations`: what nobody goes on with is resolved."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from db import housekeeping
from db.fence import Fence
from db.housekeeping import Open

IDLE_S = 24 * 3600.0
PAGE_ROWS = 500
# The next tick begins anew with the oldest: what was closed is not open any more.
DURATION_S_MAX = 240.0


def run(db: Fence, *, duration_s_max: float = DURATION_S_MAX) -> dict[str, Any]:
    """How many conversations were closed, and whether all of them were looked at."""
    until = time.monotonic() + duration_s_max
    closed = 0
    for page in pages(lambda since: find_page(db, since), rows_max=PAGE_ROWS):
        closed += close_page(db, page)
        if time.monotonic() >= until:
            return {"closed": closed, "complete": False}
    return {"closed": closed, "complete": True}


def pages(find_next: Callable[[Open | None], list[Open]], *, rows_max: int) -> Iterator[list[Open]]:
    """Page after page until one is not full; each goes on where the last one ended."""
    page = find_next(None)
    while page:
        yield page
        page = find_next(page[-1]) if len(page) == rows_max else []


def find_page(db: Fence, since: Open | None) -> list[Open]:
    with db.read() as conn:
        return housekeeping.find_open(conn, since=since, idle_s=IDLE_S, rows_max=PAGE_ROWS)


def close_page(db: Fence, page: list[Open]) -> int:
    """One short transaction, or none."""
    idle = [conversation.id for conversation in page if conversation.is_idle]
    if not idle:
        return 0
    with db.write() as conn:
        return housekeeping.close_idle(conn, idle, idle_s=IDLE_S)
