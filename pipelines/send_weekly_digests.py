"""The story of `send_weekly_digests`: on Monday morning each user hears of the week before."""

from datetime import datetime
from typing import Any
from uuid import UUID

from db import housekeeping
from db.fence import Fence
from db.housekeeping import Mailed
from pipelines.batching import repeat_mails

BATCH_USERS = 100
# The next tick goes on where this one stopped.
BATCHES_MAX = 500
# Of an agent's newest, for the topics of its week.
TOPIC_ROWS_MAX = 10_000


def run(db: Fence, *, at: datetime | None = None) -> dict[str, Any]:
    """How many users were looked at, and how many mails that made. `at` is now unless given."""

    def send_next(since: UUID | None) -> Mailed:
        with db.write() as conn:
            return housekeeping.send_digests(
                conn, since=since, at=at, topic_rows_max=TOPIC_ROWS_MAX, rows_max=BATCH_USERS
            )

    seen, mails = repeat_mails(send_next, rows_max=BATCH_USERS, batches_max=BATCHES_MAX)
    return {"users": seen, "mails": mails}
