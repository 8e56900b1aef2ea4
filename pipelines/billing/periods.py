"""Billing periods: days of UTC, from an anchor's day to the next one."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time


@dataclass(frozen=True, slots=True)
class Period:
    """From the first moment of `start` until the first one of `end`."""

    start: date
    end: date

    @property
    def start_at(self) -> datetime:
        return datetime.combine(self.start, time(), UTC)

    @property
    def end_at(self) -> datetime:
        return datetime.combine(self.end, time(), UTC)


def following(period: Period, *, anchor_day: int, known_start: date) -> Period | None:
    """The period that nobody began after this one; None where the next known one begins.

    A period is cut where `known_start` is, for an anchor may have moved meanwhile.
    """
    if period.end >= known_start:
        return None
    return Period(period.end, min(next_start(anchor_day, period.end), known_start))


def next_start(anchor_day: int, day: date) -> date:
    """The first day after `day` that is the anchor's, or the last one of a month too short."""
    this_month = anchor_in(anchor_day, day.year, day.month)
    if this_month > day:
        return this_month
    years, month = divmod(day.month, 12)
    return anchor_in(anchor_day, day.year + years, month + 1)


def anchor_in(anchor_day: int, year: int, month: int) -> date:
    return date(year, month, min(anchor_day, monthrange(year, month)[1]))
