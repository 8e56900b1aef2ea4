"""The story of `close_idle_conversations`: what nobody goes on with is resolved."""

import time
from typing import Any

from db import housekeeping
from db.fence import Fence
from db.housekeeping import Open
from pipelines.batching import pages

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
