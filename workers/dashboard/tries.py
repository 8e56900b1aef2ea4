"""What a job's row tells of its attempts: no more times than were stored. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from db.job_page import JobRow
from db.times import EARLIEST, LATEST
from workers.dashboard.plain import one_line

SHOWN_MAX = 8
NOTHING = timedelta()
NUMBER = re.compile(r"-?[0-9]{1,10}", re.ASCII)
ENDLESS = frozenset({EARLIEST, LATEST})
ENDED = frozenset({"completed", "discarded", "cancelled"})
UNRECORDED = "Given back, put off, or done and asked to run again."


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt; times that were not kept are None.

    `due_at` is from when it waited, `result` a state's name for its glyph, and `word` what
    happened. `errors` are entries of the job's own list.
    """

    number: int
    result: str
    word: str
    due_at: datetime | None = None
    dispatched_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    worker_id: str | None = None
    what: str = ""

    @property
    def waited(self) -> timedelta | None:
        return between(self.due_at, self.dispatched_at or self.started_at)

    @property
    def claimed(self) -> timedelta | None:
        return between(self.dispatched_at, self.started_at)

    def ran(self, now: datetime) -> timedelta | None:
        return between(self.started_at, now if self.result == "running" else self.ended_at)


@dataclass(frozen=True, slots=True)
class Sums:
    """How a job's time was spent, in seconds, as far as it is known."""

    age_s: float | None
    ran_s: float
    waited_s: float
    between_s: float


def between(start: datetime | None, end: datetime | None) -> timedelta | None:
    """None where one of them is not known, or is infinite."""
    if start is None or end is None or not ENDLESS.isdisjoint({start, end}):
        return None
    return max(NOTHING, end - start)


def list_tries(row: JobRow) -> list[Try]:
    """Oldest first. An attempt that left no error and is not the last one left no trace."""
    tries = [failed(row, number, entries) for number, entries in by_attempt(row.errors)]
    last = tries[-1].number if tries else 0
    if row.attempt > last and row.started_at is not None:
        tries.append(current(row))
    return tries


def by_attempt(errors: Sequence[dict[str, Any]]) -> list[tuple[int, list[dict[str, Any]]]]:
    """Entries that an attempt left: what an operator noted on a waiting job is none."""
    grouped: dict[int, list[dict[str, Any]]] = {}
    for entry in errors:
        number = number_of(entry)
        if entry.get("started_at") and number is not None:
            grouped.setdefault(number, []).append(entry)
    return sorted(grouped.items())


def number_of(entry: dict[str, Any]) -> int | None:
    """Which attempt left it; None where that is no number."""
    text = str(entry.get("attempt"))
    return int(text) if NUMBER.fullmatch(text) else None


def failed(row: JobRow, number: int, entries: Sequence[dict[str, Any]]) -> Try:
    entry = entries[-1]
    is_last = number == row.attempt
    result = row.state if is_last and row.state in ("discarded", "cancelled") else "retryable"
    return Try(
        number,
        result,
        "failed" if result == "retryable" else result,
        due_at=due_of(row, number),
        dispatched_at=dispatch_of(row, number),
        started_at=moment_of(entry.get("started_at")),
        ended_at=moment_of(entry.get("at")),
        worker_id=entry.get("worker_id"),
        what=one_line(entry.get("error")),
    )


def current(row: JobRow) -> Try:
    """The last attempt, where it left no error."""
    is_known = row.state == "running" or row.state in ENDED
    return Try(
        row.attempt,
        row.state if is_known else "scheduled",
        row.state if is_known else "given back",
        due_at=due_of(row, row.attempt),
        dispatched_at=dispatch_of(row, row.attempt),
        started_at=row.started_at,
        ended_at=row.finished_at if is_known else None,
        worker_id=None if row.worker_id is None else str(row.worker_id),
        what="" if is_known else UNRECORDED,
    )


def due_of(row: JobRow, number: int) -> datetime | None:
    """From when it waited: the row keeps that of the first and of the last attempt only."""
    dispatched_at = dispatch_of(row, number)
    if dispatched_at is not None and row.run_at <= dispatched_at:
        return row.run_at
    return row.created_at if number == 1 else None


def dispatch_of(row: JobRow, number: int) -> datetime | None:
    """When the last attempt was dispatched, unless the job was dispatched again since."""
    at = row.dispatched_at
    is_its = at is not None and row.started_at is not None and at <= row.started_at
    return at if number == row.attempt and is_its else None


def moment_of(text: object) -> datetime | None:
    """A time as JSON keeps it; None for anything else, and for what no clock shows."""
    try:
        at = datetime.fromisoformat(str(text))
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def sum_up(row: JobRow, tries: Sequence[Try]) -> Sums:
    """Where there is no attempt yet, all of its age since it was due is waiting."""
    ran = sum((each.ran(row.now) or NOTHING for each in tries), NOTHING)
    waited = sum(((each.waited or NOTHING) + (each.claimed or NOTHING) for each in tries), NOTHING)
    gaps = NOTHING
    for before, after in pairwise(tries):
        gaps += between(before.ended_at, after.due_at or after.started_at) or NOTHING
    if row.state in ("available", "dispatched"):
        waited += between(row.run_at, row.now) or NOTHING
    elif row.state == "retryable" and tries:
        gaps += between(tries[-1].ended_at, row.now) or NOTHING
    age = between(row.created_at, row.finished_at or row.now)
    return Sums(
        None if age is None else age.total_seconds(),
        *(each.total_seconds() for each in (ran, waited, gaps)),
    )
