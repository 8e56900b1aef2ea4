"""The story of `expire_api_keys`: a key whose time is over is switched off."""

from collections.abc import Callable
from typing import Any

from db import housekeeping
from db.fence import Fence

BATCH_ROWS = 500
# The next tick goes on where this one stopped.
BATCHES_MAX = 40


def run(db: Fence) -> dict[str, Any]:
    def expire_next() -> int:
        with db.write() as conn:
            return housekeeping.expire_keys(conn, rows_max=BATCH_ROWS)

    return {"expired": repeat(expire_next)}


def repeat(expire_next: Callable[[], int]) -> int:
    """Batch after batch until one is not full, or there were BATCHES_MAX; the sum."""
    total = 0
    for _ in range(BATCHES_MAX):
        count = expire_next()
        total += count
        if count < BATCH_ROWS:
            break
    return total
