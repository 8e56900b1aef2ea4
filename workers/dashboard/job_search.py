"""Finds the jobs that a filter means without ever looking for long.

Two million finished jobs have few indexes, for each costs whatever runs. So a search walks from
the newest job back in growing steps until it has a page, or until its time is spent: then it says
how far it came, and where to go on.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from db import job_list
from db.job_list import Condition, Place, Row, Source
from db.pool import Connection
from workers.dashboard.filter_values import STATES
from workers.dashboard.filtering import Filter, Term
from workers.dashboard.job_conditions import conditions_of, is_costly

# A page may spend so much on its rows; what it cannot find then, "go on" does.
SEARCH_S_MAX = 0.07
# And so much on gathering the jobs of a bulk action; the longer one where it was asked to.
GATHER_S_MAX = 0.1
PATIENT_GATHER_S_MAX = 4.0
STEP_ROWS_MIN = 1_000
STEP_ROWS_MAX = 50_000
STEP_S = 0.03
UNFINISHED_MAX = 50_000
COUNT_MAX = 5_000
COSTLY_COUNT_MAX = 2_000
HINT_COUNT_MAX = 3_000
HINT_COSTLY_MAX = 1_000
# What is worth having, but not worth waiting for, is left out when a page took so long already.
PAGE_S_MAX = 0.1
COUNT_S = 0.03
COUNT_MIN = 1_000
UNKNOWN = 0.0
CHART_SPAN = timedelta(hours=1)
CHART_ROWS_MAX = 10_000

FINISHED = frozenset({"completed", "discarded", "cancelled"})
Found = TypeVar("Found", Row, Place)
# Finds where the next step begins; None where nothing is left.
Edge = Callable[[], Place | None]


@dataclass(frozen=True, slots=True)
class Counted:
    """How many match; `least` where not all were looked at, so that there may be more."""

    number: int
    least: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.least else ''}"

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.number + other.number, self.least or other.least)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first. `next` is where to go on; None at the end.

    `stopped` is true where the time was spent before the page was full: `looked` rows were seen.
    """

    rows: list[Row]
    next: Place | None
    looked: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class Gathered:
    """The newest ids that match. `more` do, or, with `stopped`, may: `looked` rows were seen."""

    ids: list[int]
    more: bool
    stopped: bool
    looked: int


class Search:
    """One filter in one transaction, and so at one time."""

    def __init__(self, conn: Connection, wanted: Filter) -> None:
        job_list.plan_for_pages(conn)
        self.wanted = wanted
        self.now = job_list.read_now(conn)
        self._conn = conn
        self._began_at = time.monotonic()
        # Rows looked at in a second, as far as that was seen: the machine may be busy.
        self._rate = UNKNOWN
        self._unfinished = job_list.count_unfinished(conn, rows_max=UNFINISHED_MAX)

    def list_page(self, *, after: Place, rows_max: int) -> Page:
        def step(
            source: Source, asked: list[Condition], at: Place, look: int, most: int
        ) -> tuple[list[Row], Edge]:
            rows = job_list.list_rows(
                self._conn, source, asked, after=at, looked_max=look, rows_max=most
            )
            find = partial(job_list.find_edge, self._conn, source, after=at, looked_max=look)
            return rows, find

        rows, edge, looked = self._walk(self.wanted, step, after, rows_max + 1, SEARCH_S_MAX)
        if len(rows) > rows_max:
            return Page(rows[:rows_max], place_of(rows[rows_max - 1]), looked, stopped=False)
        return Page(rows, edge, looked, stopped=edge is not None)

    def list_newest(self, gathered: Gathered, *, rows_max: int) -> Page:
        """Of what was found already, without looking for it again."""
        ids = gathered.ids[:rows_max]
        asked = conditions_of(self.wanted, self.now)
        rows = job_list.list_rows(
            self._conn,
            Source("look_at_ids", {"ids": ids}),
            asked,
            after=Place(),
            looked_max=rows_max,
            rows_max=rows_max,
        )
        return Page(rows, None, gathered.looked, stopped=False)

    def gather(self, *, ids_max: int, is_patient: bool = False) -> Gathered:
        """All that match, as far as a bulk action goes."""

        def step(
            source: Source, asked: list[Condition], at: Place, look: int, most: int
        ) -> tuple[list[Place], Edge]:
            ids, edge = job_list.list_ids(
                self._conn, source, asked, after=at, looked_max=look, rows_max=most
            )
            return ids, lambda: edge

        until = time.monotonic() + (PATIENT_GATHER_S_MAX if is_patient else GATHER_S_MAX)
        places: list[Place] = []
        stopped, looked = False, 0
        for part in parts_of(self.wanted):
            left_s = max(until - time.monotonic(), 0.0)
            found, edge, seen = self._walk(part, step, Place(), ids_max + 1, left_s)
            places += found
            stopped = stopped or edge is not None
            looked += seen
        ids = sorted((place.id for place in places), reverse=True)
        return Gathered(ids[:ids_max], more=len(ids) > ids_max, stopped=stopped, looked=looked)

    def _walk(
        self,
        wanted: Filter,
        step: Callable[[Source, list[Condition], Place, int, int], tuple[list[Found], Edge]],
        after: Place,
        rows_max: int,
        budget_s: float,
    ) -> tuple[list[Found], Place | None, int]:
        """What was found, where the next step would begin (None: at the end), rows looked at."""
        asked = conditions_of(wanted, self.now)
        source, size = self._source(wanted, asked)
        whole = size is not None
        look = size or STEP_ROWS_MIN
        found: list[Found] = []
        looked, began_at = 0, time.monotonic()
        while True:
            stepped_at = time.monotonic()
            more, find_edge = step(source, asked, after, look, rows_max - len(found))
            found += more
            if len(found) >= rows_max or whole:
                return found, None, looked
            edge = find_edge()
            if edge is None:
                return found, None, looked
            looked, after = looked + look, edge
            ended_at = time.monotonic()
            self._rate = look / max(ended_at - stepped_at, 0.000_1)
            left_s = budget_s - (ended_at - began_at)
            if left_s <= 0:
                return found, after, looked
            look = next_step(look, self._rate * min(left_s, STEP_S))

    def _source(self, wanted: Filter, asked: Sequence[Condition]) -> tuple[Source, int | None]:
        """Where to look, and how many rows lie there in all; None where one cannot know."""
        ids, groups, states = wanted.values("id"), wanted.values("group"), wanted.states()
        if ids is not None:
            return Source("look_at_ids", {"ids": sorted(map(int, ids))}), max(len(ids), 1)
        if groups is not None and len(groups) == 1:
            return Source("look_at_group", {"group": min(groups)}), None
        if not states & FINISHED and self._unfinished <= UNFINISHED_MAX:
            return Source("look_at_unfinished", {"states": sorted(states)}), UNFINISHED_MAX + 1
        if states <= FINISHED:
            one = min(states) if len(states) == 1 else None
            return finished(one, asked), None
        return Source("look_at_all"), None

    def count(self, most: int = COUNT_MAX) -> dict[str, Counted]:
        """By state, what the other terms leave, of the newest `most` of each."""
        return self._count(
            Filter(tuple(term for term in self.wanted.terms if term.field != "state")),
            most,
            min(most, COSTLY_COUNT_MAX),
        )

    def _count(self, wanted: Filter, most: int, costly: int) -> dict[str, Counted]:
        asked = conditions_of(wanted, self.now)
        most = costly if is_costly(asked) else most
        source, _ = self._source(wanted, asked)
        if source.name in ("look_at_ids", "look_at_group"):
            return self._count_in([source], asked, most)
        states = wanted.states()
        sources = [finished(state, asked) for state in sorted(states & FINISHED)]
        if states - FINISHED:
            sources.append(Source("look_at_unfinished", {"states": sorted(states - FINISHED)}))
        found = self._count_in(sources, asked, most)
        return {state: found.get(state, Counted(0)) for state in STATES if state in states}

    def _count_in(
        self, sources: Sequence[Source], asked: Sequence[Condition], most: int
    ) -> dict[str, Counted]:
        found: dict[str, Counted] = {}
        if not sources:
            return found
        least = min(most, COUNT_MIN)
        is_new_here = self._rate == UNKNOWN
        if is_new_here:
            found = self._count_some(sources, asked, least)
        look = min(most, int(self._rate * COUNT_S / len(sources)))
        if is_new_here and (look < 2 * least or not any(each.least for each in found.values())):
            return found
        return self._count_some(sources, asked, max(look, least))

    def _count_some(
        self, sources: Sequence[Source], asked: Sequence[Condition], look: int
    ) -> dict[str, Counted]:
        """Of each source the first `look` rows."""
        found: dict[str, Counted] = {}
        began_at, seen = time.monotonic(), 0
        for counts in job_list.count_rows(self._conn, sources, asked, looked_max=look):
            looked = sum(number for number, _ in counts.values())
            seen += looked
            found |= {
                state: Counted(matched, looked >= look) for state, (_, matched) in counts.items()
            }
        self._rate = max(seen, COUNT_MIN) / max(time.monotonic() - began_at, 0.000_1)
        return found

    def count_all(self) -> Counted:
        """What the whole filter leaves, of all states together."""
        return self._sum(self._count(self.wanted, COUNT_MAX, COSTLY_COUNT_MAX))

    def hints(self) -> list[tuple[Filter, str, Counted]]:
        """What would match without one of the terms: the filter, that term, how many."""
        found = []
        for term in self.wanted.terms:
            if self._is_late():
                break
            less = self.wanted.without(term)
            total = self._sum(self._count(less, HINT_COUNT_MAX, HINT_COSTLY_MAX))
            if total.number:
                found.append((less, str(term), total))
        return found

    def _is_late(self) -> bool:
        return time.monotonic() - self._began_at > PAGE_S_MAX

    def _sum(self, counts: dict[str, Counted]) -> Counted:
        return sum(counts.values(), Counted(0))

    def count_discards(self) -> dict[datetime, int] | None:
        """By minute of the last hour; None where too many rows would have to be looked at."""
        if "discarded" not in self.wanted.states() or self._is_late():
            return None
        asked = conditions_of(self.wanted, self.now)
        hour = Condition("finished_from", {"at": self.now - CHART_SPAN})
        source = finished("discarded", [*asked, hour])
        look = COSTLY_COUNT_MAX if is_costly(asked) else CHART_ROWS_MAX
        minutes = job_list.count_minutes(self._conn, source, asked, looked_max=look)
        if sum(looked for looked, _ in minutes.values()) >= look:
            return None
        return {minute: matched for minute, (_, matched) in minutes.items() if matched}


def parts_of(wanted: Filter) -> list[Filter]:
    """Filters that mean the same together: without completed jobs, of which there are most, the
    others lie close together, each state where its own index leads.
    """
    states = wanted.states()
    if "completed" in states or not states & FINISHED or wanted.values("id") is not None:
        return [wanted]
    each = [wanted.in_state(state) for state in sorted(states & FINISHED)]
    rest = tuple(Term("state", ":", (state,), negated=True) for state in sorted(FINISHED))
    return [*each, *([Filter((*wanted.terms, *rest))] if states - FINISHED else [])]


def finished(state: str | None, asked: Sequence[Condition]) -> Source:
    """Only where the conditions let a finish lie: no walk through what came later or before."""
    sure = [condition for condition in asked if not condition.negated]
    since = [c.values["at"] for c in sure if c.name in ("finished_from", "discarded_from")]
    until = [c.values["at"] for c in sure if c.name in ("finished_to", "discarded_to")]
    return Source(
        "look_at_finished",
        {"state": state, "since": max(since, default=None), "until": min(until, default=None)},
    )


def next_step(look: int, reachable: float) -> int:
    """Eight times as far as the last, where that can be reached in time."""
    return max(min(look * 8, int(reachable), STEP_ROWS_MAX), STEP_ROWS_MIN // 2)


def place_of(row: Row) -> Place:
    return Place(row.id, row.finished_at)


def written(place: Place) -> str:
    """A place as it stands in an address."""
    return f"{place.id}" if place.at is None else f"{place.id}~{place.at.isoformat()}"


def read_place(text: str) -> Place:
    """Raises ValueError for what `written` did not write."""
    number, _, at = text.partition("~")
    if not number.isascii() or not number.isdigit() or len(number) > 19:
        raise ValueError(text)
    place = Place(min(int(number), job_list.ID_MAX))
    if not at:
        return place
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None:
        raise ValueError(text)
    return replace(place, at=moment)
