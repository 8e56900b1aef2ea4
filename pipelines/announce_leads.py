"""The story of `announce_leads`: leads that came in a burst are mailed together."""

from collections.abc import Callable
from typing import Any

from db import announcements
from db.fence import Fence

BATCH_AGENTS = 200
# The next tick goes on where this one stopped.
BATCHES_MAX = 20


def run(db: Fence) -> dict[str, Any]:
    def announce_next() -> int:
        with db.write() as conn:
            return announcements.announce_leads(conn, agents_max=BATCH_AGENTS)

    return {"agents": repeat(announce_next)}


def repeat(announce_next: Callable[[], int]) -> int:
    """Batch after batch until one is not full, or there were BATCHES_MAX; the sum."""
    total = 0
    for _ in range(BATCHES_MAX):
        count = announce_next()
        total += count
        if count < BATCH_AGENTS:
            break
    return total
