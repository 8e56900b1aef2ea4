"""The story of `check_usage_limits`: who is near a limit and was not told is told now."""

from collections.abc import Callable
from typing import Any

from db import usage
from db.fence import Fence

BATCH_USERS = 200
# The next tick goes on where this one stopped.
BATCHES_MAX = 50


def run(db: Fence) -> dict[str, Any]:
    """How many users were told. The counter itself tells the others, as it moves."""

    def tell_next() -> int:
        with db.write() as conn:
            return usage.tell_of_usage(conn, users_max=BATCH_USERS)

    return {"told": repeat(tell_next)}


def repeat(tell_next: Callable[[], int]) -> int:
    """Batch after batch until one is not full, or there were BATCHES_MAX; the sum."""
    total = 0
    for _ in range(BATCHES_MAX):
        count = tell_next()
        total += count
        if count < BATCH_USERS:
            break
    return total
