"""What the list of jobs shows, and what the preview of an action says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from markupsafe import Markup

from db import bulk as bulk_rows
from db import job_list, lanes
from db.job_list import Place, Row
from db.pool import Connection
from workers.dashboard import bulk, charts
from workers.dashboard.bulk import BULK_MAX, Action, Preview
from workers.dashboard.filter_values import STATES, is_uuid
from workers.dashboard.filtering import Filter, Term
from workers.dashboard.job_search import Counted, Gathered, Page, Search, written
from workers.dashboard.site import address

BACKLOG_MAX = 50_000
# A preview says how many itself: what the tabs count beside it need not be much.
PREVIEW_COUNT_MAX = 1_000
CHART_MINUTES = 60
# Where the things are shown that arguments name.
PLACES = {
    "source_id": "/knowledge/",
    "delivery_id": "/webhooks/deliveries/",
    "webhook_id": "/webhooks/",
    "email_id": "/email/",
    "user_id": "/tenants/",
}
NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """An address of the page. `chosen` are rows with a tick; `everything` is all that match."""

    filter: Filter
    after: Place | None = None
    size: int = 20
    action: Action | None = None
    chosen: tuple[int, ...] = ()
    everything: bool = False
    is_patient: bool = False
    per_minute: int = 0

    @property
    def text(self) -> str:
        return str(self.filter)

    def at(self, filter: Filter | None = None, **more: object) -> str:
        """The same list, of another filter or from another place."""
        size = self.size if self.size != Asked(Filter()).size else None
        found = self.filter if filter is None else filter
        return address("/jobs", {"q": str(found), "limit": size, **more})

    def patiently(self) -> str:
        """The same preview, which may take longer to find all."""
        name = self.action.name if self.action else None
        pace = self.per_minute or None
        return self.at(preview=name, all=1, pace=pace, longer=1)

    def chips(self) -> list[tuple[Term, str, str]]:
        """Each term with the address that lacks it, and one that opens it in the line."""
        return [
            (term, self.at(self.filter.without(term)), self.edit(term))
            for term in self.filter.terms
        ]

    def edit(self, term: Term) -> str:
        return self.at(self.filter.without(term), edit=str(term))

    def narrowed(self, text: str) -> str:
        """With one more condition, as text."""
        terms = dict.fromkeys([*map(str, self.filter.terms), text])
        return address("/jobs", {"q": " ".join(terms)})


@dataclass(frozen=True, slots=True)
class About:
    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Tab:
    state: str
    count: Counted
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class View:
    page: Page
    tabs: list[Tab]
    total: Counted
    tenants: Mapping[UUID, str]
    chart: Markup | None
    hints: list[tuple[str, str, Counted]]
    next: str | None
    now: datetime

    def about(self, row: Row) -> About | None:
        return about(row.ids or {})


@dataclass(frozen=True, slots=True)
class Shown:
    """A preview with all that is said beside it."""

    preview: Preview
    packed: str
    matching: int
    more: bool
    stopped: bool
    looked: int
    backlog: dict[str, tuple[int, int]]
    held: list[str]
    paused: list[str]
    minutes: float


def look(search: Search, conn: Connection, asked: Asked, gathered: Gathered | None = None) -> View:
    """With what an action would take, the newest of that."""
    if gathered is not None and asked.everything:
        page = search.list_newest(gathered, rows_max=asked.size)
    else:
        page = search.list_page(after=asked.after or Place(), rows_max=asked.size)
    counts = search.count(PREVIEW_COUNT_MAX) if asked.action else search.count()
    states = asked.filter.states()
    total = sum((counts[state] for state in counts if state in states), Counted(0))
    empty = not page.rows and asked.after is None and page.next is None
    return View(
        page=page,
        tabs=tabs(asked, counts),
        total=total,
        tenants=job_list.name_tenants(conn, [r.tenant for r in page.rows if r.tenant]),
        chart=None if asked.action else draw_discards(search),
        hints=[(asked.at(less), term, n) for less, term, n in search.hints()] if empty else [],
        next=None if page.next is None else asked.at(after=written(page.next)),
        now=search.now,
    )


def tabs(asked: Asked, counts: Mapping[str, Counted]) -> list[Tab]:
    """One a state. The current one leads back to all states."""
    asked_for = asked.filter.values("state")
    only = asked_for if asked_for is not None and len(asked_for) == 1 else frozenset()
    others = Filter(tuple(term for term in asked.filter.terms if term.field != "state"))
    return [
        Tab(
            state=state,
            count=counts.get(state, Counted(0)),
            href=asked.at(others if state in only else asked.filter.in_state(state)),
            current=state in only,
        )
        for state in STATES
    ]


def draw_discards(search: Search) -> Markup | None:
    """The last hour by minute; None without any, or where counting would take long."""
    found = search.count_discards()
    if not found:
        return None
    last = search.now.replace(second=0, microsecond=0)
    minutes = [last - timedelta(minutes=back) for back in range(CHART_MINUTES - 1, -1, -1)]
    return charts.columns(
        [charts.Series("discarded", [found.get(at, 0) for at in minutes], "fb")],
        at=minutes,
        unit="a minute",
        label="Matching jobs discarded per minute, last hour",
        end="now",
    )


def about(ids: Mapping[str, str | None]) -> About | None:
    """The first thing that its arguments name: source 8f21ab3c."""
    for name, value in sorted(ids.items(), key=lambda each: each[0] not in PLACES):
        if value and (is_uuid(value) or NUMBER.fullmatch(value)):
            text = f"{name.removesuffix('_id').replace('_', ' ')[:30]} {value.partition('-')[0]}"
            linked = name in PLACES and is_uuid(value)
            return About(text, PLACES[name] + value if linked else "")
    return None


def gather(search: Search, asked: Asked) -> Gathered | None:
    """What an action would take; None without one."""
    if asked.action is None:
        return None
    if asked.everything:
        return search.gather(ids_max=BULK_MAX, is_patient=asked.is_patient)
    return Gathered(list(asked.chosen), more=False, stopped=False, looked=0)


def preview(conn: Connection, asked: Asked, gathered: Gathered) -> Shown:
    """What the action would do to what is chosen; nothing is changed."""
    assert asked.action is not None
    ids = gathered.ids
    judged = bulk_rows.judge_jobs(conn, ids, fit=asked.action.name in ("retry", "replay"))
    found = bulk.preview(asked.action, judged)
    waiting = bulk_rows.count_waiting(conn, list(found.by_queue), rows_max=BACKLOG_MAX)
    return Shown(
        preview=found,
        packed=bulk.pack(found.ids),
        matching=len(ids),
        more=gathered.more,
        stopped=gathered.stopped,
        looked=gathered.looked,
        backlog={
            queue: (waiting[queue], waiting[queue] + number)
            for queue, number in found.by_queue.items()
        },
        held=bulk_rows.list_held_kinds(conn, list(found.kinds)),
        paused=list_paused(conn, found),
        minutes=len(found.ids) / asked.per_minute if asked.per_minute else 0.0,
    )


def list_paused(conn: Connection, found: Preview) -> list[str]:
    """Queues and kinds that are stopped: what is put back there waits."""
    touched = {("queue", queue) for queue in found.by_queue}
    touched |= {("kind", kind) for kind in found.kinds}
    return [
        f"{pause.scope} {pause.name}"
        for pause in lanes.list_pauses(conn)
        if (pause.scope, pause.name) in touched
    ]
