"""The story of `summarize_usage`: each marked month says what its usage logs say."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any
from uuid import UUID

from db import usage
from db.fence import Fence
from db.usage import Change
from pipelines.batching import pages

PAGE_USERS = 500
MARKS_MAX = 10_000
# What is left is still marked; the nightly look at everybody has more time.
DURATION_S_MAX = 240.0
EVERYBODY_S_MAX = 1500.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Totals:
    users: int = 0
    months_changed: int = 0
    differences: int = 0


def run(
    db: Fence, *, everybody: bool = False, duration_s_max: float | None = None
) -> dict[str, Any]:
    """Sum up what is marked; with `everybody`, this month and the last of all users too.

    `differences` are months that nobody had marked and that were wrong all the same.
    """
    if duration_s_max is None:
        duration_s_max = EVERYBODY_S_MAX if everybody else DURATION_S_MAX
    until = time.monotonic() + duration_s_max
    totals, complete = Totals(), True
    months = find_months(db) if everybody else ()
    found = pages(lambda after: find_page(db, after, months), rows_max=PAGE_USERS)
    for user_id in chain.from_iterable(found):
        summarize(db, user_id, months, totals)
        if time.monotonic() >= until:
            complete = False
            break
    return {
        "users": totals.users,
        "months_changed": totals.months_changed,
        "differences": totals.differences,
        "complete": complete,
    }


def find_months(db: Fence) -> tuple[date, ...]:
    with db.read() as conn:
        return usage.find_months(conn)


def find_page(db: Fence, after: UUID | None, months: Sequence[date]) -> list[UUID]:
    with db.read() as conn:
        if not months:
            return usage.find_marked(conn, after=after, users_max=PAGE_USERS)
        return usage.find_users(conn, after=after, since=min(months), users_max=PAGE_USERS)


def summarize(db: Fence, user_id: UUID, months: Sequence[date], totals: Totals) -> None:
    """One short transaction, of one user: who logs usage of several never waits in a circle.

    Marks go first: a log that comes later has marks of its own, or adds itself.
    """
    with db.write() as conn:
        exists = usage.hold_user(conn, user_id)
        marked = usage.take_marks(conn, user_id, marks_max=MARKS_MAX)
        if not exists:
            return
        wanted = sorted({*marked, *months})
        ids = usage.lock_months(conn, user_id, wanted)
        changed = usage.recompute_months(conn, user_id, ids) if ids else []
    totals.users += 1
    totals.months_changed += len(changed)
    wrong = unexpected(changed, marked)
    totals.differences += len(wrong)
    for first in wrong:
        log.error("usage of user %s in %s was not what its logs say", user_id, f"{first:%Y-%m}")


def unexpected(changed: Sequence[Change], marked: Sequence[date]) -> list[date]:
    """Months that changed although nobody had marked them."""
    return [each.first for each in changed if not each.is_marked and each.first not in marked]
