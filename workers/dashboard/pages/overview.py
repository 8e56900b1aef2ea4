"""Is anything stuck, since when, and why?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db.history import Oldest
from workers.dashboard import charts, path_strip, ruler
from workers.dashboard.charts import Part, Series
from workers.dashboard.figures import RANGES, Figures, Hour, Past, Pulse, Range
from workers.dashboard.forms import Refused, query_of
from workers.dashboard.kept import Held
from workers.dashboard.overview_rows import (
    DONE,
    FAILED,
    QUEUE_OF,
    QueueRow,
    build_rows,
    rates,
    slots_of,
)
from workers.dashboard.percentiles import estimate_all, of_kinds
from workers.dashboard.site import Site
from workers.dashboard.words import duration
from workers.metrics import DISPATCH_LAG, DURATION

BANNERS_SHOWN = 2
# Of those that are not shown.
NAMED_MAX = 4
# Older figures say how old they are.
AGED_S = 5.0
DEPTH_CSS = {
    "scheduled": "p1",
    "available": "p2",
    "dispatched": "p3",
    "running": "p4",
    "retryable": "hw",
}
# A queue that never waited longer is named under the chart and not drawn on its floor.
QUIET_S = 1.0
FAILED_WIDTH = 126


@dataclass(frozen=True, slots=True)
class Drawn:
    """The charts of a queue's row."""

    ruler: Markup
    depth: Markup
    finished: Markup
    failed: Markup


def routes(site: Site) -> list[Route]:
    figures = Figures(site)

    def show(request: Request) -> Response:
        chosen = read_range(request)
        pulse, depths = figures.pulse.get(), figures.depths.get()
        hour, past = figures.hour.get(), figures.past(chosen)
        rows = rows_of(pulse.value, depths.value or (), past.value)
        return site.show(
            request,
            "overview.html",
            ranges=RANGES.values(),
            chosen=chosen,
            pulse=pulse.value,
            findings=pulse.value.findings[:BANNERS_SHOWN],
            more=pulse.value.findings[BANNERS_SHOWN:],
            named_max=NAMED_MAX,
            stages=path_strip.build(seen_of(pulse.value, hour.value, past.value)),
            rows=rows,
            drawn={row.queue: draw(row, figures, chosen) for row in rows},
            ruler_head=ruler.head(),
            depth_css=DEPTH_CSS,
            is_counted=depths.value is not None,
            aged_s=aged_s(pulse, depths),
            is_first=not pulse.value.has_jobs,
            **draw_hour(hour.value, rows, figures),
        )

    return [site.page("/", show)]


def read_range(request: Request) -> Range:
    name = query_of(request).get("range", "1h")
    if name not in RANGES:
        raise Refused(f"There is no such range: choose {', '.join(RANGES)}.")
    return RANGES[name]


def aged_s(*held: Held[Any]) -> float | None:
    """How old the oldest of these figures is, where that is worth a word."""
    age_s = max(each.age_s for each in held)
    return age_s if age_s > AGED_S else None


def rows_of(pulse: Pulse, depths: Sequence[Any], past: Past) -> list[QueueRow]:
    return build_rows(
        depths,
        slots={queue: (each.slots, each.hosts) for queue, each in pulse.slots.items()},
        running=pulse.running,
        pauses=pulse.facts.pauses,
        waits=of_kinds(past.times, DISPATCH_LAG, QUEUE_OF),
        runs=of_kinds(past.times, DURATION, QUEUE_OF),
        finished=past.finished,
        window=past.window,
    )


def seen_of(pulse: Pulse, hour: Hour, past: Past) -> path_strip.Seen:
    lags: dict[str, float] = {}
    for bucket in past.times:
        if bucket.name == DISPATCH_LAG.bucket:
            lags[bucket.bound] = lags.get(bucket.bound, 0.0) + bucket.jobs
    return path_strip.Seen(
        facts=pulse.facts,
        findings=pulse.findings,
        postgres_ms=pulse.postgres_ms,
        redis_ms=pulse.redis.ms,
        redis_used=pulse.redis.used_bytes,
        redis_max=pulse.redis.bytes_max,
        slots=pulse.slots,
        hosts=pulse.hosts,
        busy=sum(pulse.running.values()),
        next_schedule=pulse.next_schedule,
        lags=estimate_all(lags, DISPATCH_LAG.bounds),
        calls=hour.calls,
        call_times=hour.call_times,
    )


def draw(row: QueueRow, figures: Figures, chosen: Range) -> Drawn:
    since = f"\u2212{chosen.words}"
    finished_top, failed_top = (
        figures.top(max(values, default=0.0), row.queue, chosen.name, what)
        for what, values in (("finished", row.finished), ("failed", row.failed))
    )
    return Drawn(
        ruler=ruler.row(
            row.queue,
            waits=row.waits,
            oldest_s=row.oldest_s,
            target_s=row.target_s,
            css=row.css,
        ),
        depth=charts.share(
            [Part(state, row.depth[state], css=css) for state, css in DEPTH_CSS.items()],
            label=row.queue,
        ),
        finished=charts.spark(
            row.finished,
            label=f"{row.queue} finished per minute",
            top=finished_top,
            since=since,
        ),
        failed=charts.spark(
            row.failed,
            label=f"{row.queue} failed per minute",
            css="fb",
            top=failed_top,
            width=FAILED_WIDTH,
            since=since,
        ),
    )


def draw_hour(hour: Hour, rows: Sequence[QueueRow], figures: Figures) -> dict[str, Any]:
    done, failed = (total(rates(hour.finished, names, hour.window)) for names in (DONE, FAILED))
    done, failed = done or empty(hour), failed or empty(hour)
    at = [hour.window.begins_at + timedelta(minutes=n) for n in range(slots_of(hour.window))]
    series, quiet = age_series(hour, rows)
    most = max(map(sum, zip(done, failed, strict=True)))
    return {
        # The last full minute: of the one under way nobody knows yet how many it will be.
        "last_at": at[-1],
        "done_last": done[-1],
        "failed_last": failed[-1],
        "finished_chart": charts.columns(
            [Series("completed", done), Series("failed", failed, css="fb")],
            at=at,
            unit="jobs",
            label="Attempts that ended per minute, completed and failed, last hour",
            end="now",
            top=figures.top(most, "hour"),
            empty="no attempt ended in this hour",
        ),
        "quiet": quiet,
        "age_chart": charts.lines(
            series,
            at=[*at, hour.window.ends_at],
            unit="seconds",
            label="Age of the oldest waiting job per queue, last hour, log scale",
            shape="log",
            end="now",
            empty="no job waited for longer than a second",
        ),
    }


def empty(hour: Hour) -> list[float]:
    return [0.0] * slots_of(hour.window)


def total(by_queue: Mapping[str, Sequence[float]]) -> list[float]:
    return [sum(values) for values in zip(*by_queue.values(), strict=True)]


def age_series(hour: Hour, rows: Sequence[QueueRow]) -> tuple[list[Series], list[str]]:
    """Lines of the queues that had to wait, and the names of those that did not."""
    series, quiet = [], []
    for row in rows:
        values = [*ages_of(row.queue, hour.oldest, hour), row.oldest_s or 0.0]
        known = [value for value in values if value is not None]
        if max(known) <= QUIET_S:
            quiet.append(row.queue)
            continue
        # Dotted where it is empty more often than not: those lines come and go.
        css = row.css or ("d" if sum(1 for v in known if not v) * 3 > len(known) else "")
        note = duration(row.oldest_s) if row.css and row.oldest_s else ""
        series.append(Series(row.queue, values, css=css, note=note))
    return series, quiet


def ages_of(queue: str, oldest: Sequence[Oldest], hour: Hour) -> list[float | None]:
    """Minute by minute; None where nobody looked."""
    values: list[float | None] = [None] * slots_of(hour.window)
    for sample in oldest:
        if sample.queue == queue:
            place = int((sample.at - hour.window.begins_at) / timedelta(minutes=1))
            values[place] = sample.waited_s
    return values
