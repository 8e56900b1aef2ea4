"""The story of `remind_trials`: nobody is surprised by the end of a trial."""

from typing import Any
from uuid import UUID

from db import housekeeping
from db.fence import Fence
from db.housekeeping import Mailed
from pipelines.batching import repeat_mails

BATCH_ROWS = 200
# The next tick goes on where this one stopped.
BATCHES_MAX = 50


def run(db: Fence) -> dict[str, Any]:
    """How many trials end soon, and how many mails that made."""

    def remind_next(_: UUID | None) -> Mailed:
        with db.write() as conn:
            return housekeeping.remind_trials(conn, rows_max=BATCH_ROWS)

    seen, mails = repeat_mails(remind_next, rows_max=BATCH_ROWS, batches_max=BATCHES_MAX)
    return {"ending": seen, "mails": mails}
