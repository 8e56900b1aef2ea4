"""What does it cost per day and model, and who drives it?"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import tenants, usage_days
from db.usage_days import UNPRICED_MAX, DaySum, Spender
from workers.dashboard import charts
from workers.dashboard.charts import Series
from workers.dashboard.forms import query_of
from workers.dashboard.kept import Kept, Pace
from workers.dashboard.site import Site
from workers.dashboard.tenant_rows import name
from workers.dashboard.usage_book import DAY, open_book

SPANS = (30, 90)
# More series than shades can be told apart are taken together.
SERIES_MAX = 4
SHADES = ("p4", "p3", "p2", "p1")
OTHERS = "dn"
SPENDERS_MAX = 20
SPENDERS_SEEN_MAX = 500
NEAR_MAX = 20
MODEL_CHARS_MAX = 60
NO_MODEL = "no model"
SPENDERS_PACE = Pace(age_s=20.0, rest=20.0, grace_s=20.0)


@dataclass(frozen=True, slots=True)
class Total:
    """Of a model, or of a type of usage; `part` is its part of what all cost."""

    label: str
    calls: int
    tokens: int
    cost_usd: Decimal
    part: float
    css: str


@dataclass(frozen=True, slots=True)
class Months:
    """This month so far, and its whole days against the same days of the last one."""

    so_far_usd: Decimal
    days: int
    whole_usd: Decimal
    before_usd: Decimal

    @property
    def change(self) -> float | None:
        return float(self.whole_usd / self.before_usd) - 1 if self.before_usd else None


@dataclass(frozen=True, slots=True)
class SpenderPair:
    """What a tenant cost today and this month; without `tenant_id` accounts that are gone."""

    tenant_id: UUID | None
    today: Spender | None
    month: Spender | None

    @property
    def month_usd(self) -> Decimal:
        return self.month.cost_usd if self.month else Decimal(0)

    @property
    def today_usd(self) -> Decimal:
        return self.today.cost_usd if self.today else Decimal(0)


def routes(site: Site) -> list[Route]:
    return [site.page("/usage", UsagePage(site).show)]


class UsagePage:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._book = open_book(site)
        self._spenders = Kept(self._list_spenders, SPENDERS_PACE)
        site.first_reads += [self._spenders.get, self._read_book]

    def _read_book(self) -> None:
        self._book.read(wanted_days(datetime.now(UTC).date(), SPANS[0]))

    def _list_spenders(self) -> tuple[list[Spender], list[Spender]]:
        """Of today and of this month."""
        today = datetime.now(UTC).date()
        with self._site.read() as conn:
            return (
                usage_days.list_spenders(conn, day=today, rows_max=SPENDERS_SEEN_MAX),
                usage_days.list_month(conn, month=today, rows_max=SPENDERS_SEEN_MAX),
            )

    def show(self, request: Request) -> Response:
        query = query_of(request)
        span = next((days for days in SPANS if query.get("days") == str(days)), SPANS[0])
        by = "type" if query.get("by") == "type" else "model"
        today = datetime.now(UTC).date()
        counted = self._book.read(wanted_days(today, span))
        shown = [today - n * DAY for n in reversed(range(span))]
        sums = [each for day in shown for each in counted.sums.get(day, ())]
        label = label_type if by == "type" else label_model
        shades = shade(sums, label)
        spenders = merge(*self._spenders.get().value)
        return self._site.show(
            request,
            "usage.html",
            span=span,
            spans=SPANS,
            by=by,
            chart=draw(counted.sums, shown, label, shades, by=by),
            shades=shades,
            models=total(sums, label_model, shades if by == "model" else {}),
            types=total(sums, label_type, shades if by == "type" else {}),
            figures=summarize(sums, counted.sums, today),
            months=compare(counted.sums, today),
            counted=counted,
            is_empty=not sums and not counted.missing,
            spenders=spenders,
            unpriced_max=UNPRICED_MAX,
            **self._find_trouble({each.tenant_id for each in spenders if each.tenant_id}),
        )

    def _find_trouble(self, ids: set[UUID]) -> dict[str, Any]:
        """What needs somebody, and the names of those in it and of `ids`."""
        with self._site.read() as conn:
            near = usage_days.list_near_limits(conn, rows_max=NEAR_MAX + 1)
            budgets = usage_days.list_spent_budgets(conn, rows_max=NEAR_MAX)
            stuck = usage_days.list_stuck_periods(conn, rows_max=NEAR_MAX)
            unpriced = usage_days.list_unpriced(conn)
            ids = ids | {each.tenant for each in near} | {each.tenant for each in budgets}
            ids |= {each.tenant for each in stuck}
            known = tenants.list_accounts(conn, ids)
        return {
            "names": {each: name(each, known.get(each)) for each in ids},
            "near": near[:NEAR_MAX],
            "more_near": len(near) > NEAR_MAX,
            "budgets": budgets,
            "stuck": stuck,
            "unpriced": unpriced,
        }


def wanted_days(today: date, span: int) -> list[date]:
    """What is shown, and both months that are compared."""
    last_month = (today.replace(day=1) - DAY).replace(day=1)
    first = min(today - (span - 1) * DAY, last_month)
    return [first + n * DAY for n in range((today - first).days + 1)]


def label_model(each: DaySum) -> str:
    if each.model is None:
        return NO_MODEL
    plain = " ".join(each.model.split())
    return plain if len(plain) <= MODEL_CHARS_MAX else f"{plain[:MODEL_CHARS_MAX]}…"


def label_type(each: DaySum) -> str:
    return each.usage_type.replace("_", " ")


Label = Callable[[DaySum], str]


def cost_by(sums: Iterable[DaySum], label: Label) -> dict[str, Decimal]:
    costs: dict[str, Decimal] = defaultdict(Decimal)
    for each in sums:
        costs[label(each)] += each.cost_usd
    return costs


def shade(sums: Iterable[DaySum], label: Label) -> dict[str, str]:
    """The dearest, each with its own shade; the dearest is the darkest."""
    costs = cost_by(sums, label)
    dearest = sorted((each for each in costs if costs[each]), key=lambda each: (-costs[each], each))
    return dict(zip(dearest[:SERIES_MAX], SHADES, strict=False))


def draw(
    sums: Mapping[date, Sequence[DaySum]],
    days: Sequence[date],
    label: Label,
    shades: Mapping[str, str],
    *,
    by: str,
) -> Markup:
    costs = [None if day not in sums else cost_by(sums[day], label) for day in days]
    series = [
        Series(each, [None if c is None else float(c.get(each, 0)) for c in costs], css)
        for each, css in shades.items()
    ]
    others = [
        None if c is None else float(sum(v for k, v in c.items() if k not in shades)) for c in costs
    ]
    if any(others):
        series.append(Series("others", others, OTHERS))
    at = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    return charts.columns(
        series, at=at, unit="$", label=f"Cost a day by {by}, {len(days)} days", end="today"
    )


def total(sums: Sequence[DaySum], label: Label, shades: Mapping[str, str]) -> list[Total]:
    """The dearest first."""
    costs = cost_by(sums, label)
    everything = sum(costs.values(), Decimal(0))
    totals = [
        Total(
            each,
            sum(row.calls for row in sums if label(row) == each),
            sum(row.tokens for row in sums if label(row) == each),
            cost,
            float(cost / everything) if everything else 0.0,
            shades.get(each, OTHERS if shades else ""),
        )
        for each, cost in costs.items()
    ]
    return sorted(totals, key=lambda each: (-each.cost_usd, -each.tokens, each.label))


def summarize(
    sums: Sequence[DaySum], by_day: Mapping[date, Sequence[DaySum]], today: date
) -> dict[str, Any]:
    return {
        "today_usd": sum((each.cost_usd for each in by_day.get(today, ())), Decimal(0)),
        "yesterday_usd": sum((each.cost_usd for each in by_day.get(today - DAY, ())), Decimal(0)),
        "cost_usd": sum((each.cost_usd for each in sums), Decimal(0)),
        "tokens": sum(each.tokens for each in sums),
        "calls": sum(each.calls for each in sums),
    }


def compare(by_day: Mapping[date, Sequence[DaySum]], today: date) -> Months:
    """Whole days only, so that a morning is not held against a day."""
    first = today.replace(day=1)
    before = (first - DAY).replace(day=1)
    days = min((today - first).days, (first - before).days)
    return Months(
        cost_of(by_day, first, (today - first).days + 1),
        days,
        cost_of(by_day, first, days),
        cost_of(by_day, before, days),
    )


def cost_of(by_day: Mapping[date, Sequence[DaySum]], first: date, days: int) -> Decimal:
    return sum(
        (each.cost_usd for n in range(days) for each in by_day.get(first + timedelta(n), ())),
        Decimal(0),
    )


def merge(today: Sequence[Spender], month: Sequence[Spender]) -> list[SpenderPair]:
    """Who cost most this month first, then who did today."""
    days = {each.tenant: each for each in today}
    months = {each.tenant: each for each in month}
    pairs = [
        SpenderPair(each, days.get(each), months.get(each)) for each in days.keys() | months.keys()
    ]
    pairs.sort(key=lambda pair: (-pair.month_usd, -pair.today_usd, str(pair.tenant_id)))
    return pairs[:SPENDERS_MAX]
