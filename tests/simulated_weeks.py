"""Schedulers on a real Postgres under a clock of our own, and a naive list of what must come of it.

The oracle shares nothing with schedules/: it reads crons by itself, counts minutes one by one and
judges each look from the rows that were there before.
"""

import random
import threading
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from db.pool import Connection, connect
from schedules import operating
from schedules.clock import Clock, announce
from schedules.timetable import Schedule

START = datetime(2024, 3, 29, 22, 13, 7, tzinfo=UTC)
LATE = timedelta(seconds=10)
MINUTE = timedelta(minutes=1)
MADE_UP_MAX = 100
EDITS = ["*/7 * * * *", "11 */5 * * *", "every 240 s", "0 3 * * sun", "*/2 0-6,20-23 * * *"]
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

Row = tuple[datetime, str]


class Killed(Exception):
    """The end of a scheduler, in the middle of whatever it did."""


@cache
def numbers(entry: str, first: int, last: int) -> frozenset[int]:
    """What a field of a cron means, in the few shapes that are used here."""
    found: set[int] = set()
    for part in entry.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        if span == "*":
            low, high = str(first), str(last)
        found.update(range(int(low), int(high or low) + 1, int(step or 1)))
    return frozenset(found)


@cache
def minutes_of_day(cron: str) -> frozenset[int]:
    minute, hour = cron.split()[:2]
    return frozenset(h * 60 + m for h in numbers(hour, 0, 23) for m in numbers(minute, 0, 59))


def comes_at(cron: str, at: datetime) -> bool:
    if cron.startswith("every "):
        return at.timestamp() % int(cron.split()[1]) == 0
    _, _, day, month, weekday = cron.split()
    assert (day, month) == ("*", "*")
    on_day = weekday == "*" or WEEKDAYS[at.weekday()] == weekday
    return on_day and at.hour * 60 + at.minute in minutes_of_day(cron)


def naive_ticks(cron: str, *, after: datetime, until: datetime) -> list[datetime]:
    """Minute by minute, or half minute by half minute."""
    step = timedelta(seconds=30) if cron.startswith("every ") else MINUTE
    at = after.replace(second=0, microsecond=0)
    found = []
    while at <= until:
        if at > after and comes_at(cron, at):
            found.append(at)
        at += step
    return found


@dataclass(slots=True)
class Known:
    """What the oracle knows of a schedule; `rows` are (what became of it, when that was noted)."""

    schedule: Schedule
    cron: str
    begins_at: datetime
    paused: bool = False
    rows: dict[datetime, tuple[str, datetime]] = field(default_factory=dict)
    ticks: list[datetime] = field(default_factory=list)

    def note(self, rows: Iterable[Row], *, now: datetime) -> None:
        for tick, what in rows:
            if tick not in self.rows:
                insort(self.ticks, tick)
            self.rows[tick] = (what, now)

    def counts(self, tick: datetime, now: datetime) -> bool:
        what, noted_at = self.rows[tick]
        return tick <= now and not (what == "skipped" and noted_at > now)

    def expected(self, now: datetime) -> list[Row]:
        """What a look at this moment must write, in this order."""
        if self.paused:
            return []
        newest = (t for t in reversed(self.ticks) if self.counts(t, now))
        settled = next(newest, self.begins_at)
        open_ticks = naive_ticks(self.cron, after=max(self.begins_at, settled), until=now)
        fired = [t for t in open_ticks if now - t <= LATE]
        missed = [t for t in open_ticks if now - t > LATE]
        window = timedelta(seconds=self.schedule.catch_up_s)
        again = [t for t in missed if now - t <= window]
        match self.schedule.missed:
            case "skip":
                again = []
            case "once":
                again = [] if fired else [t for t in again if t == missed[-1]]
            case "all":
                again = again[-MADE_UP_MAX:]
        skipped = [t for t in missed if t not in set(again)]
        plan = [(t, "skipped") for t in skipped]
        plan += [(t, "made up") for t in again] + [(t, "fired") for t in fired]
        # What was fired while the clock was ahead is not fired again.
        return [(t, what) for t, what in plan if t not in self.rows or not self.counts_ever(t)]

    def counts_ever(self, tick: datetime) -> bool:
        return self.rows[tick][0] != "skipped"


class World:
    """Some schedulers, a clock, operators, and the oracle that follows them."""

    def __init__(
        self, url: str, conn: Connection, timetable: Sequence[Schedule], *, seed: int, clocks: int
    ) -> None:
        self.luck = random.Random(seed)
        self.now = START
        self.conn = conn
        self._url = url
        self._timetable = timetable
        self._clocks = [(self._open(), Clock(timetable)) for _ in range(clocks)]
        self.known = {s.name: Known(s, s.cron, START) for s in timetable}
        announce(conn, timetable, now=START)
        conn.execute("CREATE INDEX ON worker.schedule_ticks (noted_at)")
        self.kills = 0

    def _open(self) -> Connection:
        conn = connect(self._url)
        conn.execute("SET synchronous_commit TO off")
        conn.commit()
        return conn

    def close(self) -> None:
        for conn, _ in self._clocks:
            conn.close()

    def go_on(self, span: timedelta) -> None:
        """Time goes by; no two moments are the same, so that rows tell whose they are."""
        self.now += span + timedelta(microseconds=self.luck.randrange(1, 999))

    def look(self, place: int) -> None:
        conn, clock = self._clocks[place]
        clock.look(conn, now=self.now)
        self._compare(complete=True)

    def look_together(self) -> None:
        ready = threading.Barrier(len(self._clocks))

        def one(conn: Connection, clock: Clock) -> None:
            ready.wait()
            clock.look(conn, now=self.now)

        threads = [threading.Thread(target=one, args=pair) for pair in self._clocks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._compare(complete=True)

    def kill(self, place: int) -> None:
        """In the middle of a look, at any statement; another one takes its place."""
        conn, clock = self._clocks[place]
        die_after(conn, self.luck.randrange(1, 40))
        try:
            clock.look(conn, now=self.now)
        except Killed:
            self.kills += 1
        conn.close()
        self._clocks[place] = (self._open(), Clock(self._timetable))
        announce(self.conn, self._timetable, now=self.now)
        self._compare(complete=False)

    def pause_or_resume(self) -> None:
        known = self.luck.choice(list(self.known.values()))
        if known.paused:
            operating.resume(self.conn, known.schedule.name, now=self.now)
            known.begins_at = self.now
        else:
            operating.pause(self.conn, known.schedule.name, now=self.now)
        known.paused = not known.paused

    def edit_or_reset(self) -> None:
        known = self.luck.choice(list(self.known.values()))
        cron = self.luck.choice([*EDITS, known.schedule.cron])
        if cron == known.schedule.cron:
            operating.reset(self.conn, known.schedule.name, now=self.now)
        else:
            operating.edit(self.conn, known.schedule.name, cron, now=self.now)
        if cron != known.cron:
            known.cron, known.begins_at = cron, self.now

    def _compare(self, *, complete: bool) -> None:
        """The rows of this moment are those that the oracle expects, or its first ones each."""
        written = self._written()
        for name, known in self.known.items():
            expected, found = known.expected(self.now), written.get(name, [])
            if complete:
                assert sorted(found) == sorted(expected), (name, self.now, expected[:3], found[:3])
            else:
                assert starts_with(expected, found), (name, self.now, expected[:3], found[:3])
            known.note(found, now=self.now)
            if known.begins_at > self.now and (complete or self._began(name)):
                known.begins_at = self.now

    def _began(self, name: str) -> bool:
        """Whether a killed look got as far as noticing that the clock had been ahead."""
        row = self.conn.execute(
            "SELECT begins_at <= %s FROM worker.schedules WHERE name = %s", (self.now, name)
        ).fetchone()
        assert row is not None
        return bool(row[0])

    def _written(self) -> dict[str, list[Row]]:
        rows = self.conn.execute(
            "SELECT schedule, fire_at, CASE WHEN skipped THEN 'skipped' WHEN made_up THEN 'made up'"
            " ELSE 'fired' END FROM worker.schedule_ticks WHERE noted_at = %s ORDER BY fire_at",
            (self.now,),
        ).fetchall()
        written: dict[str, list[Row]] = {}
        for name, fire_at, what in rows:
            written.setdefault(name, []).append((fire_at.astimezone(UTC), what))
        return written


def starts_with(expected: Sequence[Row], found: Iterable[Row]) -> bool:
    """Nothing is written before what comes first; skips are one statement."""
    count = len(list(found))
    return sorted(expected[:count]) == sorted(found)


def die_after(conn: Connection, statements: int) -> None:
    """Close the connection at that statement from now, whatever is open."""
    left = [statements]
    execute: Callable[..., Any] = conn.execute

    def mortal(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] <= 0:
            conn.close()
            raise Killed
        return execute(*args, **kwargs)

    conn.execute = mortal  # type: ignore[method-assign]
