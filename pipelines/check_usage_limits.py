"""The story of `check_usage_limits`: who is near a limit and was not told is told now."""

from typing import Any

from db import usage
from db.fence import Fence
from pipelines.batching import repeat

BATCH_USERS = 200
# The next tick goes on where this one stopped.
BATCHES_MAX = 50


def run(db: Fence) -> dict[str, Any]:
    """How many users were told. The counter itself tells the others, as it moves."""

    def tell_next() -> int:
        with db.write() as conn:
            return usage.tell_of_usage(conn, users_max=BATCH_USERS)

    return {"told": repeat(tell_next, rows_max=BATCH_USERS, batches_max=BATCHES_MAX)}
