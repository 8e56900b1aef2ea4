"""What does not index, what costs more than usual?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import resyncs, watched_sources
from db.pool import Connection
from db.watched_sources import SCAN_MAX, Counts, Day, Filter, Reckoning, Spender
from pipelines.counting import noun, plural
from workers.dashboard import charts, drawings, masks, source_trouble
from workers.dashboard.bulk_runs import Task, do_parts
from workers.dashboard.drawings import Bar
from workers.dashboard.forms import Form, Refused, query_of
from workers.dashboard.frozen import describe, freeze, read_frozen
from workers.dashboard.frozen import tell as tell_done
from workers.dashboard.listing import (
    filled,
    path_id,
    pattern_of,
    place_of,
    read_choice,
    read_id,
    read_place,
    read_text,
    turn,
)
from workers.dashboard.redaction import redact
from workers.dashboard.site import Act, Site, address
from workers.dashboard.words import capped, duration, money
from workers.jobs import ResyncSource, enqueue

STATUSES = ("pending", "processing", "completed", "failed")
TYPES = ("file", "url", "text", "api", "notion", "google_drive")
TROUBLES = ("failing", "stale", "paused")
PAGE_ROWS = 50
FAILING_MAX = 15
WORKING_MAX = 500
SLOW_SHOWN_MAX = 15
STALE_MAX = 5
DAYS = 21
TENANTS_MAX = 6
RUNS_MAX = 20
CHILDREN_MAX = 50
# One action indexes at most so many sources again, a second apart or less.
INDEX_MAX = 1_000
INDEX_GAP_S = 0.2
FIELDS = ("status", "type", "tenant", "trouble", "q")


def routes(site: Site) -> list[Route]:
    return [
        site.page("/knowledge", partial(show_list, site)),
        site.page("/knowledge/index-all", partial(preview, site), role="operator"),
        site.action("/knowledge/index-all", partial(index_all, site)),
        site.action("/knowledge/index", partial(index_one, site)),
        site.action("/knowledge/resync", partial(resync, site)),
        site.page("/knowledge/{source_id}", partial(show_source, site)),
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list is filtered by, as the address says it."""

    fields: dict[str, str]
    tenant: UUID | None
    status: str | None
    type: str | None
    trouble: str | None
    text: str | None

    @property
    def is_all(self) -> bool:
        return not self.fields


def read_asked(fields: Mapping[str, str]) -> Asked:
    """Raises Refused for what is no filter."""
    return Asked(
        filled(fields, FIELDS),
        tenant=read_id(fields, "tenant"),
        status=read_choice(fields, "status", STATUSES),
        type=read_choice(fields, "type", TYPES),
        trouble=read_choice(fields, "trouble", TROUBLES),
        text=read_text(fields, "q"),
    )


def filter_of(conn: Connection, asked: Asked) -> Filter:
    found = Filter(
        status=asked.status, type=asked.type, text=asked.text, pattern=pattern_of(asked.text)
    )
    if asked.tenant is not None:
        found = replace(found, agent_ids=watched_sources.list_agents(conn, asked.tenant))
    if asked.trouble is not None:
        ids = watched_sources.list_troubled_ids(conn, asked.trouble)  # type: ignore[arg-type]
        found = replace(found, ids=ids)
    return found


def show_list(site: Site, request: Request) -> Response:
    fields = query_of(request)
    asked, before = read_asked(fields), read_place(fields)
    with site.read() as conn:
        counts = watched_sources.count(conn)
        found = watched_sources.find_matching(
            conn, filter_of(conn, asked), before=before, rows_max=PAGE_ROWS + 1
        )
        plain = asked.is_all and before is None
        more = overview(conn) if plain else {}
    return site.show(
        request,
        "knowledge.html",
        asked=asked,
        counts=counts,
        parts=parts_of(counts),
        shares=charts.share(parts_of(counts), label="Sources by status"),
        page=turn(
            found,
            lambda row: place_of(row.created_at, row.id),
            rows_max=PAGE_ROWS,
            path="/knowledge",
            fields=asked.fields,
        ),
        plain=plain,
        statuses=STATUSES,
        types=TYPES,
        kinds_of_trouble=TROUBLES,
        maxima=watched_sources,
        query=urlencode(asked.fields),
        **more,
    )


def overview(conn: Connection) -> dict[str, Any]:
    """What is in trouble, and what it costs; beside the list of all."""
    working = watched_sources.list_working(conn, rows_max=WORKING_MAX)
    troubles = source_trouble.judge(
        watched_sources.list_failing(conn, rows_max=FAILING_MAX),
        working,
        watched_sources.list_stale(conn, rows_max=STALE_MAX),
        now=datetime.now(UTC),
    )
    days = watched_sources.sum_days(conn, days=DAYS)
    spenders = watched_sources.sum_tenants(conn, rows_max=TENANTS_MAX)
    return {
        "troubles": troubles[: FAILING_MAX + SLOW_SHOWN_MAX + STALE_MAX],
        "slow_s": source_trouble.SLOW_S,
        "today": days[-1],
        "usual_usd": usual_usd(days, now=datetime.now(UTC)),
        "cost_chart": draw_days(days),
        "tenant_chart": draw_tenants(spenders) if spenders else "",
        "costs_anything": any(day.usd or day.tokens for day in days),
    }


def usual_usd(days: list[Day], *, now: datetime) -> float | None:
    """What the days before cost by this time, on an even day: the middle of those that did."""
    before = sorted(float(day.usd) for day in days[:-1] if day.usd)
    if not before:
        return None
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return before[len(before) // 2] * (now - midnight).total_seconds() / 86_400


def draw_days(days: list[Day]) -> Any:
    series = charts.Series("embedding", [float(day.usd) for day in days], css="p3")
    at = [day.day_at.replace(tzinfo=UTC) for day in days]
    return charts.columns(
        [series], at=at, unit="$", label=f"Cost of embedding per day in US dollars, {DAYS} days"
    )


def draw_tenants(spenders: list[Spender]) -> Any:
    bars = [
        Bar(
            each.owner or "an account that is gone",
            each.usd,
            note=""
            if each.cap_usd is None
            else f"of {money(each.cap_usd)} a month ({money(each.month_usd)} so far)",
            is_over=each.cap_usd is not None and (each.month_usd or 0) >= each.cap_usd,
        )
        for each in spenders
    ]
    rest = spenders[0].tenants - len(spenders)
    if rest > 0:
        shown = sum(each.usd for each in spenders)
        bars.append(Bar(f"{rest:,} {noun(rest, 'other')}", spenders[0].all_usd - shown))
    return drawings.money_bars(bars, label="Cost of embedding today by tenant")


def parts_of(counts: Counts) -> tuple[charts.Part, ...]:
    ready = max(0, counts.total - counts.pending - counts.processing - counts.failed)
    return (
        charts.Part("failed", counts.failed, css="hb"),
        charts.Part("queued", counts.pending, css="p2"),
        charts.Part("indexing", counts.processing, css="p4"),
        charts.Part("ready", ready, css="dn"),
    )


def show_source(site: Site, request: Request) -> Response:
    source_id = path_id(request, "source_id", "source")
    with site.read() as conn:
        source = watched_sources.get(conn, source_id)
        if source is None:
            raise Refused("There is no such source: it was deleted, or never was.", status=404)
        crawl = watched_sources.find_crawl(conn, source_id)
        context: dict[str, Any] = {
            "source": source,
            "jobs": watched_sources.list_jobs(conn, source_id),
            "runs": resyncs.list_runs(conn, source_id, rows_max=RUNS_MAX),
            "paid": watched_sources.sum_runs(conn, source_id),
            "crawl": crawl,
            "page_counts": {} if crawl is None else watched_sources.count_pages(conn, source_id),
            "children": watched_sources.list_children(conn, source_id, rows_max=CHILDREN_MAX),
        }
    return site.show(
        request,
        "source.html",
        settings=redact(source.settings),
        full_usd=full_usd(source),
        children_max=CHILDREN_MAX,
        figure=figure,
        paid_usd=paid_usd,
        tell_progress=tell_progress,
        **context,
    )


def full_usd(source: watched_sources.Source) -> Any:
    """What embedding all of it would cost; None where its price or its size is not known."""
    if source.usd_per_million is None or not source.tokens:
        return None
    return source.usd_per_million * source.tokens / 1_000_000


def figure(report: Mapping[str, Any], name: str) -> str:
    """A count of a run's report, whatever stands there."""
    number = report.get(name, 0)
    return f"{number:,}" if isinstance(number, int) else "0"


def paid_usd(report: Mapping[str, Any]) -> Decimal:
    try:
        return Decimal(str(report.get("cost_usd", 0)))
    except InvalidOperation:
        return Decimal(0)


def tell_progress(progress: Mapping[str, Any]) -> str:
    """Where a run is: reading, 12 of 40."""
    done, total = progress.get("done"), progress.get("total")
    told = [str(progress[name]) for name in ("stage", "note") if progress.get(name)]
    if isinstance(done, int) and isinstance(total, int) and total:
        told.append(f"{done:,} of {total:,}")
    return masks.cut(", ".join(told))


def index_one(site: Site, request: Request, form: Form) -> Response:
    source_id = form_id(form, "source_id", "source")
    target = f"source {source_id}"
    with site.act(request, "index_source", target=target, why=form.why, once=True) as act:
        require(act.conn, source_id)
        idle = watched_sources.lock_idle(act.conn, [source_id])
        if not idle:
            raise Refused("It waits or is being indexed already.", status=409)
        watched_sources.retry(act.conn, idle)
        watched_sources.enqueue_missing(act.conn, idle)
    return site.back(form, "The source is on its way to be indexed again.")


def resync(site: Site, request: Request, form: Form) -> Response:
    source_id = form_id(form, "source_id", "source")
    target = f"source {source_id}"
    with site.act(request, "resync_source", target=target, why=form.why, once=True) as act:
        require(act.conn, source_id)
        act.details["job_id"] = job_id = enqueue(act.conn, ResyncSource(source_id))
    return site.back(form, f"Job {job_id} asks whether the source changed.")


def form_id(form: Form, name: str, what: str) -> UUID:
    found = read_id({name: form.one(name)}, name)
    if found is None:
        raise Refused(f"The {what} is missing.")
    return found


def require(conn: Connection, source_id: UUID) -> None:
    if watched_sources.get(conn, source_id) is None:
        raise Refused("There is no such source.", status=404)


def preview(site: Site, request: Request) -> Response:
    asked = read_asked(query_of(request))
    with site.read() as conn:
        found = watched_sources.reckon_matching(conn, filter_of(conn, asked), rows_max=INDEX_MAX)
    back = address("/knowledge", asked.fields)
    count = len(found.ids or ())
    return site.show(
        request,
        "bulk.html",
        title="Index sources again",
        back=back,
        action="/knowledge/index-all",
        word=f"Index {count:,} again",
        fields=asked.fields,
        **freeze(found.ids or ()),
        filter=", ".join(f"{name}: {text}" for name, text in asked.fields.items()) or "all",
        **tell(found),
    )


def tell(found: Reckoning) -> dict[str, Any]:
    """What happens, what is left out, and how fast, in words."""
    count = len(found.ids or ())
    sources = f"{noun(count, 'source')} of {plural(found.tenants, 'tenant')}"
    happens = [
        (f"{count:,}", f"{sources} {noun(count, 'is', 'are')} indexed again"),
        (f"{found.tokens:,}", "tokens are stored of them: what did not change costs nothing"),
        (money(found.usd_max), "if all of that changed, at the prices known today"),
    ]
    if found.unread:
        happens.append((f"{found.unread:,}", "of them were never read: nobody knows their size"))
    if found.unpriced:
        happens.append((f"{found.unpriced:,}", "of them with a model whose price is not known"))
    waiting = noun(found.busy, "waits or is being indexed", "wait or are being indexed")
    skipped = [(f"{found.busy:,}", f"{waiting} already")]
    if found.matching > count:
        skipped.append(
            (f"{found.matching - count:,}", f"beyond the cap of {INDEX_MAX:,}: ask again after")
        )
    if found.scanned >= SCAN_MAX:
        skipped.append((capped(SCAN_MAX + 1, SCAN_MAX), "only the newest were looked at"))
    pace = f"One every {duration(INDEX_GAP_S)}, all begun after {duration(count * INDEX_GAP_S)}."
    return {"happens": happens, "skipped": skipped, "pace": pace}


def index_all(site: Site, request: Request, form: Form) -> Response:
    asked = read_asked({name: form.one(name, "") for name in FIELDS})
    frozen = read_frozen(form, most=INDEX_MAX)

    def change(act: Act, ids: Sequence[UUID]) -> int:
        idle = watched_sources.lock_idle(act.conn, ids)
        watched_sources.retry(act.conn, idle)
        watched_sources.enqueue_missing(act.conn, idle)
        watched_sources.spread(act.conn, idle, gap_s=INDEX_GAP_S)
        act.details.update(describe(frozen, idle), filter=asked.fields)
        return len(idle)

    target = f"sources {urlencode(asked.fields) or 'all'}"[:300]
    key = frozen.key("index")
    task = Task(key, "index_sources", target, form.why, "sources", [frozen.ids], change)
    done = do_parts(site, request, task)
    told = f"{plural(done.changed, 'source')} will be indexed again."
    return site.back(form, tell_done(frozen, done, told))
