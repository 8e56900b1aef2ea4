"""Who has more or less than fair, and why?"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from db import backlog, lanes, tenants
from db.backlog import NOBODY
from db.pool import Connection
from pipelines.counting import plural
from workers.dashboard import charts, flow
from workers.dashboard.fairness import Share, jain
from workers.dashboard.forms import Form, Refused, query_of
from workers.dashboard.kept import Kept
from workers.dashboard.site import SAFE, Site
from workers.dashboard.tenant_rows import (
    WEIGHT_MAX,
    WEIGHT_MIN,
    WEIGHTS_SHOWN,
    Name,
    Tally,
    TenantRow,
    build,
    complete,
    foresee,
    name,
    parse_tenant,
)

ROWS_MAX = 25
IDLE_PER_PAGE = 50
FOUND_MAX = 50
ACCOUNTS_COUNTED_MAX = 10_000
STRIP_MAX = 8
SEARCH_CHARS_MAX = 200
DISCARDS_SHOWN_MAX = 20
DISCARDS_FOR = timedelta(days=1)
ACTIONS = ("pause_tenant", "resume_tenant", "set_weight")
WEIGHT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?|\.[0-9]{1,6}")
# The bars end here, so that their figures have room behind them.
SCALE = 84.0


@dataclass(frozen=True, slots=True)
class Ruler:
    """One axis for all rows: a round top and where its ticks lie, in percent."""

    top: float
    ticks: Sequence[float]

    def at(self, value: float) -> float:
        return round(SCALE * min(value, self.top) / self.top, 2)


@dataclass(frozen=True, slots=True)
class Board:
    """What is reckoned of a look: of thousands of tenants, that takes a while."""

    tally: Tally
    rows: Sequence[TenantRow]


def reckon(found: flow.Flow) -> Board:
    tally = Tally(found)
    return Board(tally, build(tally))


@dataclass(frozen=True, slots=True)
class Slice:
    """Of the strip that says who got what, in percent of its width."""

    x: float
    width: float
    label: str
    jobs: int


def routes(site: Site) -> list[Route]:
    desk = Tenants(site)
    return [
        site.page("/tenants", desk.show),
        site.page("/tenants/{tenant}", desk.show_one),
        site.action("/tenants/pause", desk.pause),
        site.action("/tenants/resume", desk.resume),
        site.action("/tenants/weigh", desk.weigh),
    ]


class Tenants:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._kept = Kept(self._look, flow.PACE)
        site.first_reads.append(self._kept.get)

    def _look(self) -> Board:
        with self._site.read() as conn:
            return reckon(flow.look(conn, flow.count(conn)))

    def _board(self, conn: Connection, kept: Board) -> Board:
        """What is kept for all who look, and anew where an operator decided otherwise since."""
        before = kept.tally.flow
        now = replace(before, pauses=lanes.list_pauses(conn), weights=lanes.list_weights(conn))
        return kept if now == before else reckon(now)

    def show(self, request: Request) -> Response:
        query = query_of(request)
        wanted = query.get("q", "").strip()[:SEARCH_CHARS_MAX]
        if tenant := parse_tenant(wanted):
            return RedirectResponse(f"/tenants/{tenant}", 303, headers=SAFE)
        kept = self._kept.get().value
        with self._site.read() as conn:
            board = self._board(conn, kept)
            tally, rows = board.tally, board.rows
            shown = rows[:ROWS_MAX]
            known = tenants.list_accounts(conn, [row.name.id for row in shown])
            found = find(conn, wanted)
            idle = page_idle(conn, query, [row.name.id for row in rows])
        shown = [complete(tally, row, known.get(row.name.id)) for row in shown]
        names = {row.name.id: row.name for row in shown}
        return self._site.show(
            request,
            "tenants.html",
            rows=shown,
            all_rows=len(rows),
            ruler=rule([row.share for row in shown]),
            strip=slice_starts(tally, names),
            spark=charts.spark,
            begun_most=max((n for row in shown for n in row.by_minute), default=0),
            figures=summarize(tally, rows),
            foreseen=foresee_all(tally, shown),
            wanted=wanted,
            found=found,
            idle=idle,
            limits=LIMITS,
        )

    def show_one(self, request: Request) -> Response:
        tenant = named_tenant(request.path_params["tenant"])
        query = query_of(request)
        kept = self._kept.get().value
        with self._site.read() as conn:
            tally = self._board(conn, kept).tally
            account = tenants.list_accounts(conn, [tenant]).get(tenant)
            since = datetime.now(UTC) - DISCARDS_FOR
            discards = backlog.list_discards(conn, tenant, since=since, rows_max=DISCARDS_SHOWN_MAX)
            history = tenants.list_history(conn, target=target(tenant), actions=ACTIONS)
            usage = tenants.read_usage(conn, tenant)
        row = tally.describe(tenant)
        try_weight = query.get("weight", "")
        return self._site.show(
            request,
            "tenant.html",
            row=row,
            who=name(tenant, account),
            account=account,
            ruler=rule([row.share]),
            pause=tally.flow.pause_of("tenant", str(tenant)),
            discards=discards,
            history=history,
            usage=usage,
            foreseen=foresee_all(tally, [row]),
            tried=foresee(tally, tenant, [parse_weight(try_weight)]) if try_weight else [],
            try_weight=try_weight,
            limits=LIMITS,
        )

    def pause(self, request: Request, form: Form) -> Response:
        tenant = named_tenant(form.one("tenant"), is_held=True)
        why = form.why
        with self._site.act(request, "pause_tenant", target=target(tenant), why=why) as act:
            recalled = lanes.pause(
                act.conn,
                scope="tenant",
                name=str(tenant),
                reason=why,
                paused_by=request.state.operator.name,
            )
            act.changed = recalled is not None
            act.details["recalled"] = recalled
        return self._site.back(
            form,
            f"Tenant {tenant} is paused; {plural(recalled or 0, 'job')} came back from the runway.",
        )

    def resume(self, request: Request, form: Form) -> Response:
        tenant = named_tenant(form.one("tenant"), is_held=True)
        with self._site.act(request, "resume_tenant", target=target(tenant), why=form.why) as act:
            if not lanes.resume(act.conn, scope="tenant", name=str(tenant)):
                raise Refused(f"Tenant {tenant} is not paused.", status=409)
        return self._site.back(form, f"Tenant {tenant} goes on.")

    def weigh(self, request: Request, form: Form) -> Response:
        tenant = named_tenant(form.one("tenant"))
        weight = parse_weight(form.one("weight"))
        with self._site.act(request, "set_weight", target=target(tenant), why=form.why) as act:
            before = lanes.list_weights(act.conn).get(tenant, 1.0)
            lanes.set_weight(act.conn, tenant, weight)
            act.changed = weight != before
            act.details.update({"from": before, "to": weight})
        return self._site.back(
            form, f"Tenant {tenant} has weight {weight:g} from now on; it had {before:g}."
        )


LIMITS = {
    "weight_min": WEIGHT_MIN,
    "weight_max": WEIGHT_MAX,
    "rows": ROWS_MAX,
    "found": FOUND_MAX,
    "accounts": ACCOUNTS_COUNTED_MAX,
    "lanes": backlog.LANES_MAX,
    "nobody": NOBODY,
}


def find(conn: Connection, wanted: str) -> list[Name]:
    if not wanted:
        return []
    accounts = tenants.find_accounts(conn, wanted, rows_max=FOUND_MAX)
    return [name(account.id, account) for account in accounts]


def page_idle(conn: Connection, query: Mapping[str, str], busy: Sequence[UUID]) -> dict[str, Any]:
    """Accounts with nothing waiting: how many, and where asked for a page of them."""
    count = tenants.count_accounts(conn, but=busy, rows_max=ACCOUNTS_COUNTED_MAX + 1)
    if query.get("idle") != "show":
        return {"count": count, "names": [], "next": None, "is_shown": False}
    after = parse_tenant(query.get("after", ""))
    found = tenants.page_accounts(conn, after=after, but=busy, rows_max=IDLE_PER_PAGE + 1)
    page = found[:IDLE_PER_PAGE]
    return {
        "count": count,
        "names": [name(account.id, account) for account in page],
        "next": page[-1].id if len(found) > IDLE_PER_PAGE else None,
        "is_shown": True,
    }


def summarize(tally: Tally, rows: Sequence[TenantRow]) -> dict[str, Any]:
    """The figures above the table."""
    counts = tally.flow.counts
    by_verdict = {
        verdict: sum(row.verdict == verdict for row in rows)
        for verdict in ("held", "stopped", "behind", "capped", "over", "even")
    }
    return {
        **by_verdict,
        "jain": jain(row.share for row in rows),
        "window_s": counts.window_s,
        "is_cut": counts.at - counts.since < flow.WINDOW,
        "started": sum(row.jobs for row in counts.started),
        "flying": sum(row.jobs for row in counts.flying),
        "lanes_cut": any(
            number >= backlog.LANES_MAX
            for number in Counter(row.queue for row in counts.waiting).values()
        ),
    }


def slice_starts(tally: Tally, names: Mapping[UUID, Name]) -> list[Slice]:
    """Who got what was begun: the largest, and the rest as one."""
    begun = {tenant: sum(row.jobs for row in rows) for tenant, rows in tally.started.items()}
    total = sum(begun.values())
    largest = sorted(begun, key=lambda tenant: (-begun[tenant], tenant))
    parts = [(label(each, names), begun[each]) for each in largest[:STRIP_MAX]]
    if rest := largest[STRIP_MAX:]:
        parts.append((plural(len(rest), "other"), sum(begun[each] for each in rest)))
    slices, x = [], 0.0
    for text, jobs in parts:
        slices.append(Slice(round(x, 2), round(100 * jobs / total, 2), text, jobs))
        x += 100 * jobs / total
    return slices


def label(tenant: UUID, names: Mapping[UUID, Name]) -> str:
    known = names.get(tenant)
    if known is not None:
        return known.title[:24]
    return "no tenant" if tenant == NOBODY else f"…{str(tenant)[-6:]}"


def rule(shares: Sequence[Share]) -> Ruler:
    """Up to the next round figure, with four ticks or five."""
    most = max((max(share.got, share.fair) for share in shares), default=0.0)
    rough = max(most, 4.0) / 4
    size = 10 ** math.floor(math.log10(rough))
    step = next(step * size for step in (1, 2, 5, 10) if step * size >= rough)
    count = max(1, math.ceil(most / step))
    return Ruler(step * count, [step * n for n in range(count + 1)])


def foresee_all(tally: Tally, rows: Sequence[TenantRow]) -> dict[UUID, list[tuple[float, str]]]:
    """By tenant, what some weights would mean; its own among them."""
    return {
        row.name.id: foresee(tally, row.name.id, sorted({*WEIGHTS_SHOWN, row.weight}))
        for row in rows
    }


def target(tenant: UUID) -> str:
    return f"tenant {tenant}"


def named_tenant(text: str, *, is_held: bool = False) -> UUID:
    """Raises Refused for what is no id, and where only a real tenant can be held."""
    tenant = parse_tenant(text)
    if tenant is None:
        raise Refused(f"{text[:60]!r} is no tenant's id: ids are UUIDs.", status=404)
    if is_held and tenant == NOBODY:
        raise Refused("Work of no tenant is held by its queue or its kind.")
    return tenant


def parse_weight(text: str) -> float:
    """Raises Refused unless it is a number from WEIGHT_MIN to WEIGHT_MAX."""
    weight = float(text) if WEIGHT.fullmatch(text.strip()) else 0.0
    if not WEIGHT_MIN <= weight <= WEIGHT_MAX:
        raise Refused(
            f"A weight is a number from {WEIGHT_MIN:g} to {WEIGHT_MAX:g}, not {text[:40]!r}."
        )
    return weight
