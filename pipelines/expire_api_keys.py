"""The story of `expire_api_keys`: a key whose time is over is switched off."""

from typing import Any

from db import housekeeping
from db.fence import Fence
from pipelines.batching import repeat

BATCH_ROWS = 500
# The next tick goes on where this one stopped.
BATCHES_MAX = 40


def run(db: Fence) -> dict[str, Any]:
    def expire_next() -> int:
        with db.write() as conn:
            return housekeeping.expire_keys(conn, rows_max=BATCH_ROWS)

    return {"expired": repeat(expire_next, rows_max=BATCH_ROWS, batches_max=BATCHES_MAX)}
