"""The story of `remind_trials`: nobody is surprised by the end of a trial."""

from collections.abc import Callable
from typing import Any

from db import housekeeping
from db.fence import Fence
from db.housekeeping import Mailed

BATCH_ROWS = 200
# The next tick goes on where this one stopped.
BATCHES_MAX = 50


def run(db: Fence) -> dict[str, Any]:
    """How many trials end soon, and how many mails that made."""

    def remind_next() -> Mailed:
        with db.write() as conn:
            return housekeeping.remind_trials(conn, rows_max=BATCH_ROWS)

    seen, mails = repeat(remind_next)
    return {"ending": seen, "mails": mails}


def repeat(remind_next: Callable[[], Mailed]) -> tuple[int, int]:
    """Batch after batch until one is not full, or there were BATCHES_MAX; the sums."""
    seen = mails = 0
    for _ in range(BATCHES_MAX):
        batch = remind_next()
        seen += batch.seen
        mails += batch.mails
        if batch.seen < BATCH_ROWS:
            break
    return seen, mails
