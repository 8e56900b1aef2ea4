"""Which queue is held, full or slow, and what shares it?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import backlog, lanes, tenants
from db.backlog import Ended, Runs
from pipelines.counting import plural
from workers.dashboard import charts, flow
from workers.dashboard.charts import Part
from workers.dashboard.flow import Counts, Flow
from workers.dashboard.forms import Form, Refused
from workers.dashboard.kept import Kept, Pace
from workers.dashboard.queue_rows import HOUR, STEP_S, QueueRow, build
from workers.dashboard.site import Site
from workers.dashboard.tenant_rows import name, parse_tenant
from workers.jobs import KINDS, QUEUES

# Of a queue's held lanes, and of its tenants.
HOLDS_SHOWN_MAX = 20
TENANTS_SHOWN_MAX = 10
# Of jobs a minute, at least: a single one must not fill the chart.
TOP_MIN = 10.0
# What ended changes slowly beside what waits.
PAST_PACE = Pace(age_s=5.0, rest=20.0, grace_s=10.0)
DEPTH = (
    ("scheduled", "p1"),
    ("available", "p2"),
    ("dispatched", "p3"),
    ("running", "p4"),
    ("retryable", "hw"),
)


@dataclass(frozen=True, slots=True)
class Past:
    """Of the last hour, from the jobs that ended last."""

    runs: Mapping[str, Runs]
    ended: Sequence[Ended]


def routes(site: Site) -> list[Route]:
    desk = Queues(site)
    return [
        site.page("/queues", desk.show),
        site.page("/queues/{queue}", desk.show_one),
        site.action("/queues/pause", desk.pause),
        site.action("/queues/resume", desk.resume),
    ]


class Queues:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._counts = Kept(self._count, flow.PACE)
        self._past = Kept(self._look_back, PAST_PACE)
        site.first_reads += [self._counts.get, self._past.get]

    def _count(self) -> Counts:
        with self._site.read() as conn:
            return flow.count(conn)

    def _look_back(self) -> Past:
        since = datetime.now(UTC) - HOUR
        with self._site.read() as conn:
            return Past(
                backlog.list_runs(conn, since=since),
                backlog.list_ended(conn, since=since, step_s=STEP_S),
            )

    def _look(self) -> tuple[Flow, list[QueueRow]]:
        counts, past = self._counts.get().value, self._past.get().value
        with self._site.read() as conn:
            now = flow.look(conn, counts)
        return now, build(now, past.runs, past.ended)

    def show(self, request: Request) -> Response:
        now, rows = self._look()
        held = [parse_tenant(pause.name) for pause in now.pauses if pause.scope == "tenant"]
        with self._site.read() as conn:
            known = tenants.list_accounts(conn, [each for each in held if each])
        return self._site.show(
            request,
            "queues.html",
            names={str(each): name(each, known.get(each)) for each in held if each},
            rows=rows,
            depths={row.name: draw_depth(row) for row in rows},
            sparks={row.name: draw_past(row) for row in rows},
            pauses=now.pauses,
        )

    def show_one(self, request: Request) -> Response:
        wanted = request.path_params["queue"]
        now, rows = self._look()
        row = next((row for row in rows if row.name == wanted), None)
        if row is None:
            raise Refused(
                f"There is no queue {wanted[:60]!r}; there are {', '.join(QUEUES)}.", status=404
            )
        sharers = list_sharers(row.name, now)
        with self._site.read() as conn:
            known = tenants.list_accounts(conn, [each["id"] for each in sharers])
        return self._site.show(
            request,
            "queue.html",
            row=row,
            depth=draw_depth(row),
            spark=draw_past(row),
            sharers=sharers,
            names={each["id"]: name(each["id"], known.get(each["id"])) for each in sharers},
            holds=row.holds[:HOLDS_SHOWN_MAX],
        )

    def pause(self, request: Request, form: Form) -> Response:
        scope, what = named(form)
        why = form.why
        with self._site.act(request, f"pause_{scope}", target=f"{scope} {what}", why=why) as act:
            recalled = lanes.pause(
                act.conn,
                scope=scope,
                name=what,
                reason=why,
                paused_by=request.state.operator.name,
            )
            act.changed = recalled is not None
            act.details["recalled"] = recalled
        return self._site.back(
            form,
            f"{scope.capitalize()} {what} is paused;"
            f" {plural(recalled or 0, 'job')} came back from the runway.",
        )

    def resume(self, request: Request, form: Form) -> Response:
        scope, what = named(form)
        with self._site.act(
            request, f"resume_{scope}", target=f"{scope} {what}", why=form.why
        ) as act:
            if not lanes.resume(act.conn, scope=scope, name=what):
                raise Refused(f"{scope.capitalize()} {what} is not paused.", status=409)
        return self._site.back(form, f"{scope.capitalize()} {what} goes on.")


def named(form: Form) -> tuple[str, str]:
    """A queue or a kind that there is. Raises Refused for anything else."""
    scope, wanted = form.one("scope"), form.one("name")
    known = {"queue": frozenset(QUEUES), "kind": frozenset(KINDS)}.get(scope)
    if known is None:
        raise Refused(f"A queue or a kind is paused here, not a {scope[:40]!r}.")
    if wanted not in known:
        raise Refused(f"There is no {scope} {wanted[:60]!r}.", status=404)
    return scope, wanted


def draw_depth(row: QueueRow) -> Markup:
    parts = [Part(state, row.states[state], css) for state, css in DEPTH]
    return charts.share(parts, label=row.name)


def draw_past(row: QueueRow) -> dict[str, Markup]:
    minutes = STEP_S / 60
    done = [jobs / minutes for jobs in row.completed]
    failed = [jobs / minutes for jobs in row.discarded]
    return {
        "completed": charts.spark(
            done, label=f"{row.name}: completed per min", top=TOP_MIN, since="\u22121 h"
        ),
        "discarded": charts.spark(
            failed, label=f"{row.name}: discarded per min", css="fb", top=TOP_MIN, since="\u22121 h"
        ),
    }


def list_sharers(queue: str, now: Flow) -> list[dict[str, Any]]:
    """Tenants with work in the queue, whoever has the most in flight and waiting first."""
    waiting: dict[UUID, int] = {}
    flying: dict[UUID, int] = {}
    for row in now.counts.waiting:
        if row.queue == queue:
            waiting[row.tenant] = waiting.get(row.tenant, 0) + row.jobs
    for flyer in now.counts.flying:
        if flyer.queue == queue:
            flying[flyer.tenant] = flying.get(flyer.tenant, 0) + flyer.jobs
    everybody = sorted(
        waiting.keys() | flying.keys(),
        key=lambda each: (-flying.get(each, 0), -waiting.get(each, 0), each),
    )
    return [
        {
            "id": each,
            "waiting": waiting.get(each, 0),
            "flying": flying.get(each, 0),
            "weight": now.weights.get(each, 1.0),
        }
        for each in everybody[:TENANTS_SHOWN_MAX]
    ]
