"""What each day's usage cost, counted once and kept: nobody who looks counts millions of rows.

A page counts what it can in a moment, the newest days first; the rest is counted behind it, half
of the time at most, and shows up at the next beat. Days that are over may still change a little
(late rows, prices that were learned), so they are counted anew now and then.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from threading import Lock, Thread

import psycopg

from db import usage_days
from db.usage_days import DaySum
from workers.dashboard.site import Site

DAY = timedelta(days=1)
# What a page itself may spend on counting.
BUDGET_S = 0.12
# Today moves, and so may yesterday: a row's time is that of its transaction's start.
FRESH_AGE_S = 20.0
PAST_AGE_S = 900.0
# Where days are small, many are counted at once.
DAYS_AT_ONCE_MAX = 32
QUICK_S = 0.02

log = logging.getLogger(__name__)

Count = Callable[[date, date], list[DaySum]]


@dataclass(frozen=True, slots=True)
class Counted:
    """`sums` by day; days without usage have none. `missing` are not counted yet."""

    sums: Mapping[date, Sequence[DaySum]]
    missing: Sequence[date]
    oldest_s: float


class Book:
    """Sums by day, in this process."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._lock = Lock()
        self._pages: dict[date, list[DaySum]] = {}
        self._counted_at: dict[date, float] = {}
        self._at_once = 1
        self._counter: Thread | None = None

    def read(self, days: Sequence[date]) -> Counted:
        """These days as far as they are counted; the newest that are old are counted now."""
        until = time.monotonic() + BUDGET_S
        while (due := self._due(days)) and time.monotonic() < until:
            self._count_some(due)
        if due:
            self._go_on(days)
        now = time.monotonic()
        ages = [now - self._counted_at[day] for day in days if day in self._counted_at]
        return Counted(
            {day: self._pages[day] for day in days if day in self._pages},
            [day for day in days if day not in self._pages],
            max(ages, default=0.0),
        )

    def _due(self, days: Sequence[date]) -> list[date]:
        """Never counted first, then the stale ones; the newest first."""
        now, today = time.monotonic(), datetime.now(UTC).date()
        due = []
        for day in sorted(days, reverse=True):
            age_max_s = FRESH_AGE_S if day >= today - DAY else PAST_AGE_S
            if now - self._counted_at.get(day, -PAST_AGE_S) >= age_max_s:
                due.append(day)
        return sorted(due, key=lambda day: (day in self._pages, -day.toordinal()))

    def _count_some(self, due: Sequence[date]) -> None:
        """A run of days; longer runs where the last one was quick."""
        last = due[0]
        wanted = set(due)
        first = last
        while first - DAY in wanted and (last - first).days + 1 < self._at_once:
            first -= DAY
        began_at = time.monotonic()
        sums = self._count(first, last + DAY)
        took_s = time.monotonic() - began_at
        with self._lock:
            for n in range((last - first).days + 1):
                day = first + n * DAY
                self._pages[day] = [each for each in sums if each.day == day]
                self._counted_at[day] = time.monotonic()
            grown = self._at_once * 2 if took_s < QUICK_S else self._at_once // 2
            self._at_once = max(1, min(DAYS_AT_ONCE_MAX, grown))

    def _go_on(self, days: Sequence[date]) -> None:
        with self._lock:
            if self._counter is None or not self._counter.is_alive():
                self._counter = Thread(
                    target=self._count_rest, args=(days,), name="usage days", daemon=True
                )
                self._counter.start()

    def _count_rest(self, days: Sequence[date]) -> None:
        while due := self._due(days):
            began_at = time.monotonic()
            try:
                self._count_some(due)
            except (psycopg.Error, OSError) as error:
                log.warning("usage by day: %s", str(error).strip().partition("\n")[0])
                return
            time.sleep(time.monotonic() - began_at)


def open_book(site: Site) -> Book:
    def count(from_on: date, until_on: date) -> list[DaySum]:
        with site.read() as conn:
            return usage_days.sum_days(conn, from_on=from_on, until_on=until_on)

    return Book(count)
