"""The story of `schedule_resyncs`: what is due is refreshed, what had to wait goes on."""

from collections.abc import Callable
from typing import Any

from db import resyncs, spending
from db.fence import Fence

BATCH_ROWS = 500
# The next tick goes on where this one stopped: a day of downtime must not flood the queue.
BATCHES_MAX = 20


def run(db: Fence, *, priority: int) -> dict[str, Any]:
    """How many were due, and how many jobs may spend again: a new month has begun."""

    def enqueue_next() -> int:
        with db.write() as conn:
            return resyncs.enqueue_due_resyncs(conn, rows_max=BATCH_ROWS, priority=priority)

    with db.write() as conn:
        woken = spending.wake_paused_jobs(conn)
    return {"due": repeat(enqueue_next), "woken": woken}


def repeat(enqueue_next: Callable[[], int]) -> int:
    """Batch after batch until one is not full, or there were BATCHES_MAX; the sum."""
    total = 0
    for _ in range(BATCHES_MAX):
        count = enqueue_next()
        total += count
        if count < BATCH_ROWS:
            break
    return total
