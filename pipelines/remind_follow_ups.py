"""The story of `remind_follow_ups`: who planned to get back to a lead is told when it is time."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from db import housekeeping
from db.fence import Fence
from db.housekeeping import FollowUps
from pipelines.batching import repeat_mails

# What was due before that is no reminder any more but a surprise.
DAYS_MAX = 30
BATCH_ROWS = 500
BATCH_PEOPLE = 100
# The next tick goes on where this one stopped.
BATCHES_MAX = 40


def run(db: Fence) -> dict[str, Any]:
    """How many follow-ups somebody was told of, in how many mails.

    Mails come last, when all leads of a person are known. Those that an earlier run left are
    written, too.
    """
    reminded = remind_all(lambda since: remind_next(db, since))
    _, mails = repeat_mails(lambda _: mail_next(db), rows_max=BATCH_PEOPLE, batches_max=BATCHES_MAX)
    return {"reminded": reminded, "mails": mails}


def remind_all(remind: Callable[[datetime | None], FollowUps]) -> int:
    """Batch after batch until one is not full, or there were BATCHES_MAX; how many reminders."""
    total = 0
    since: datetime | None = None
    for _ in range(BATCHES_MAX):
        batch = remind(since)
        total += batch.reminded
        since = batch.last_at
        if batch.due < BATCH_ROWS:
            break
    return total


def remind_next(db: Fence, since: datetime | None) -> FollowUps:
    with db.write() as conn:
        return housekeeping.remind_leads(conn, since=since, days_max=DAYS_MAX, rows_max=BATCH_ROWS)


def mail_next(db: Fence) -> housekeeping.Mailed:
    with db.write() as conn:
        return housekeeping.mail_reminders(conn, people_max=BATCH_PEOPLE)
