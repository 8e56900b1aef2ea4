"""What is late, what comes next?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import processes, schedules
from db.pool import Connection
from db.processes import Process
from db.schedules import LATE_S_MIN, LastRun, Mark
from workers.dashboard import tick_line
from workers.dashboard.forms import Form, Refused, query_of
from workers.dashboard.site import Act, Site
from workers.dashboard.tick_line import TickLine

# Of all timelines: a dozen schedules of every minute have fewer.
MARKS_MAX = 5_000
PLANNED_MAX = 400
TICKS_SHOWN = 50
NEXT_SHOWN = 5
SCHEDULERS_SHOWN = 6
DAYS_AHEAD_MAX = 366 * 8


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the list; `entry` is an Entry of schedules/operating.py."""

    entry: Any
    verdict: str
    run: LastRun | None
    line: TickLine

    @property
    def is_late(self) -> bool:
        return self.verdict == "late"


def routes(site: Site) -> list[Route]:
    """Changes need the role operator, other times too: they are undone by one press."""
    desk = Schedules(site)
    return [
        site.page("/schedules", desk.show),
        site.page("/schedules/{name}", desk.show_one),
        site.action("/schedules/{name}/run", desk.run),
        site.action("/schedules/{name}/pause", desk.pause),
        site.action("/schedules/{name}/resume", desk.resume),
        site.action("/schedules/{name}/edit", desk.edit),
        site.action("/schedules/{name}/reset", desk.reset),
    ]


def operating() -> Any:
    """Imports point down and the schedules stand above, so here they are only a name."""
    return import_module("schedules.operating")


class Schedules:
    def __init__(self, site: Site) -> None:
        self._site = site

    def show(self, request: Request) -> Response:
        with self._site.read() as conn:
            now, rows = build(conn)
            leaders = [p for p in processes.list_live(conn) if p.role == "scheduler"]
        rows.sort(key=lambda row: -row.entry.late_s if row.is_late else 0.0)
        return self._site.show(
            request,
            "schedules.html",
            rows=rows,
            late=[row for row in rows if row.is_late],
            paused=sum(row.entry.paused for row in rows),
            schedulers=called(leaders),
            ruler=tick_line.rule(now),
        )

    def show_one(self, request: Request) -> Response:
        name = known(request)
        query = query_of(request)
        cron = query.get("cron", "").strip()
        with self._site.read() as conn:
            now, rows = build(conn, only=name)
            before = parse_moment(query.get("before")) or now + timedelta(seconds=1)
            found = schedules.list_ticks(conn, name, before=before, rows_max=TICKS_SHOWN + 1)
        (row,) = rows
        return self._site.show(
            request,
            "schedule.html",
            row=row,
            ruler=tick_line.rule(now),
            ticks=found[:TICKS_SHOWN],
            older=found[TICKS_SHOWN - 1].fire_at.isoformat() if len(found) > TICKS_SHOWN else None,
            is_first=query.get("before") is None,
            coming=[] if row.entry.paused else preview(row.entry.cron, now),
            tried=cron,
            **try_out(cron, now),
        )

    def run(self, request: Request, form: Form) -> Response:
        def change(act: Act, name: str) -> str:
            act.details["job_id"] = job_id = operating().fire_by_hand(act.conn, name)
            return f"{name} was fired by hand: job {job_id}."

        return self._change(request, form, "run_schedule", change)

    def pause(self, request: Request, form: Form) -> Response:
        def change(act: Act, name: str) -> str:
            act.changed = operating().pause(act.conn, name)
            return f"{name} is paused: it fires nothing until it is resumed."

        return self._change(request, form, "pause_schedule", change)

    def resume(self, request: Request, form: Form) -> Response:
        def change(act: Act, name: str) -> str:
            act.changed = operating().resume(act.conn, name)
            return f"{name} goes on with its next time; what it missed is skipped."

        return self._change(request, form, "resume_schedule", change)

    def edit(self, request: Request, form: Form) -> Response:
        def change(act: Act, name: str) -> str:
            cron = " ".join(form.one("cron").split())
            act.details["cron"] = cron
            try:
                act.changed = operating().edit(act.conn, name, cron)
            except ValueError as error:
                raise Refused(f"These times cannot be used. {error}") from error
            return f"{name} fires at other times now: {cron}. All schedulers take it in seconds."

        return self._change(request, form, "edit_schedule", change)

    def reset(self, request: Request, form: Form) -> Response:
        def change(act: Act, name: str) -> str:
            act.changed = operating().reset(act.conn, name)
            return f"{name} fires at the timetable's own times again."

        return self._change(request, form, "reset_schedule", change)

    def _change(
        self, request: Request, form: Form, action: str, change: Callable[[Act, str], str]
    ) -> Response:
        name = known(request)
        target = f"schedule {name}"
        with self._site.act(request, action, target=target, why=form.why, once=True) as act:
            notice = change(act, name)
        return self._site.back(form, notice)


def known(request: Request) -> str:
    name = str(request.path_params["name"])
    if name not in operating().names():
        raise Refused(f"There is no schedule {name[:80]}.", status=404)
    return name


def build(conn: Connection, *, only: str | None = None) -> tuple[datetime, list[Row]]:
    """The rows in the timetable's order, and the time they were judged at."""
    now = schedules.read_clock(conn)
    ruler = tick_line.rule(now)
    runs = schedules.list_last_runs(conn)
    marks: dict[str, list[Mark]] = {}
    for mark in schedules.list_marks(
        conn, since=ruler.start, until=now, name=only, rows_max=MARKS_MAX
    ):
        marks.setdefault(mark.schedule, []).append(mark)
    entries = [e for e in operating().list_entries(conn) if only in (None, e.name)]
    return now, [
        Row(e, judge(e), runs.get(e.name), draw(ruler, e, marks.get(e.name, []))) for e in entries
    ]


def judge(entry: Any) -> str:
    if entry.paused:
        return "paused"
    return "late" if entry.late_s >= LATE_S_MIN else "on time"


def draw(ruler: tick_line.Ruler, entry: Any, marks: list[Mark]) -> TickLine:
    planned = []
    if not entry.paused:
        planned = operating().planned(
            entry.cron, after=ruler.now, until=ruler.end, most=PLANNED_MAX
        )
    return tick_line.draw(
        ruler,
        entry.name,
        marks,
        planned,
        late_s=entry.late_s,
        next_at=entry.next,
        rest="paused" if entry.paused else "",
    )


def called(leaders: list[Process]) -> list[tuple[str, Process]]:
    return [(f"{p.host}:{p.pid}", p) for p in leaders[:SCHEDULERS_SHOWN]]


def preview(cron: str, now: datetime) -> list[datetime]:
    """Raises ValueError for what cannot be understood."""
    until = now + timedelta(days=DAYS_AHEAD_MAX)
    found: list[datetime] = operating().planned(cron, after=now, until=until, most=NEXT_SHOWN)
    return found


def try_out(cron: str, now: datetime) -> Mapping[str, Any]:
    """What times that somebody thinks of would mean."""
    try:
        return {"foreseen": preview(cron, now) if cron else [], "mistake": ""}
    except ValueError as error:
        return {"foreseen": [], "mistake": str(error)}


def parse_moment(text: str | None) -> datetime | None:
    """Raises Refused for what is no time with a zone."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{text[:40]!r} is no time.") from error
    if moment.tzinfo is None:
        raise Refused(f"{text[:40]!r} names no zone.")
    return moment
