"""`avivro top`: the engine at a glance, in a terminal, until q or Ctrl-C."""

import time
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from db import jobs, metrics, processes
from db.jobs import Job
from db.pool import AWAY, UNMIGRATED, Connection, connect
from db.processes import Process
from workers import health
from workers.cli import console
from workers.cli.keys import watching_keys
from workers.cli.queues import Queue, read_queues, told
from workers.cli.services import services
from workers.dashboard.words import duration, size
from workers.finding import Finding
from workers.jobs import KINDS

RUNNING_SHOWN_MAX = 12
# Of one look where no screen bounds it.
LINES_MAX = 200
ENDED = "avivro_attempts_total"
# Looks that a queue's row of bars goes back.
LOOKS_KEPT = 30
BARS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


@dataclass(frozen=True, slots=True)
class Glance:
    """What one look shows. `ended` counts attempts by outcome since the queue was made."""

    findings: list[Finding]
    queues: list[Queue]
    processes: list[Process]
    running: list[Job]
    ended: dict[str, float]
    ended_in: dict[str, float] = field(default_factory=dict)


def register(app: typer.Typer) -> None:
    app.command("top")(top)


def look(conn: Connection, *, redis_url: str | None) -> Glance:
    findings = health.look(conn, redis_url=redis_url)
    ended: dict[str, float] = defaultdict(float)
    ended_in: dict[str, float] = defaultdict(float)
    with conn.transaction():
        for sample in metrics.read_totals(conn):
            if sample.name == ENDED:
                ended[sample.labels["outcome"]] += sample.value
                kind = KINDS.get(sample.labels["kind"])
                ended_in["" if kind is None else kind.queue] += sample.value
        running = jobs.list_jobs(conn, state="running", rows_max=RUNNING_SHOWN_MAX)
        queues, live = read_queues(conn), processes.list_live(conn)
    return Glance(findings, queues, live, running, dict(ended), dict(ended_in))


def top(
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between looks.")] = 2.0,
    as_json: console.JsonOption = False,
) -> None:
    """Watch what is wrong, what waits, who works on what, until q is pressed.

    With --json, or where it is piped elsewhere: one look, then the end.
    """
    with services(redis=False) as found:
        assert found.database_url is not None
        try:
            if as_json or not console.out.is_terminal:
                show_once(found.database_url, found.redis_url, as_json=as_json)
            else:
                watch(found.database_url, found.redis_url, every_s=every)
        except UNMIGRATED:
            console.fail("the database lacks a migration: run avivro migrate", code=3)


def show_once(url: str, redis_url: str | None, *, as_json: bool) -> None:
    try:
        with connect(url, autocommit=True, name="avivro top") as conn:
            glance = look(conn, redis_url=redis_url)
    except AWAY as error:
        console.fail(f"Postgres does not answer: {first_line(error)}", code=3)
    if as_json:
        console.print_json(glance)
    else:
        trend = Trend()
        trend.add(glance, time.monotonic())
        console.out.print(draw(trend))


def watch(url: str, redis_url: str | None, *, every_s: float) -> None:
    """Until q or Ctrl-C, whether Postgres is there or not."""
    trend = Trend()
    with (
        watching_keys() as quits,
        Live(console=console.out, auto_refresh=False, screen=True) as live,
    ):
        while True:
            try:
                with connect(url, autocommit=True, name="avivro top") as conn:
                    while True:
                        trend.add(look(conn, redis_url=redis_url), time.monotonic())
                        live.update(draw(trend, *console.out.size), refresh=True)
                        if quits(every_s):
                            return
            except AWAY as error:
                live.update(draw_away(trend, error, *console.out.size), refresh=True)
                if quits(every_s):
                    return


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


class Trend:
    """The last looks, and what ended a second between them."""

    def __init__(self) -> None:
        self.glance: Glance | None = None
        self.per_s: dict[str, float] = {}
        self.queue_per_s: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=LOOKS_KEPT))
        self._looked_at = 0.0

    def add(self, glance: Glance, now: float) -> None:
        """Processes tell every few seconds what ended, so rates come in steps."""
        before, passed_s = self.glance, now - self._looked_at
        if before is not None and passed_s > 0:
            self.per_s = rates(before.ended, glance.ended, passed_s)
            for name, rate in rates(before.ended_in, glance.ended_in, passed_s).items():
                self.queue_per_s[name].append(rate)
        self.glance, self._looked_at = glance, now


def rates(before: dict[str, float], now: dict[str, float], passed_s: float) -> dict[str, float]:
    return {name: (total - before.get(name, 0.0)) / passed_s for name, total in now.items()}


def draw(trend: Trend, width: int = 80, height: int = LINES_MAX) -> Group:
    """No more than `height` lines: what has no room is counted."""
    glance = trend.glance
    assert glance is not None
    # The head, the queues, and what parts the tables.
    left = height - len(glance.queues) - 7
    findings = draw_findings(glance.findings, width=width, lines_max=max(2, left // 2))
    left -= sum(lines(text, width) for text in findings)
    running = min(len(glance.running), max(left // 2, left - len(glance.processes)))
    return Group(
        draw_head(trend.per_s),
        *findings,
        Text(""),
        draw_queues(glance, trend),
        Text(""),
        draw_processes(glance, max(1, left - running)),
        Text(""),
        draw_running(glance, max(1, running)),
    )


def draw_findings(findings: list[Finding], *, width: int, lines_max: int) -> list[Text]:
    """In full as far as there is room for the titles of the others, too."""
    drawn: list[Text] = []
    left = lines_max
    for place, finding in enumerate(findings):
        others = len(findings) - place - 1
        if left <= 1 and others:
            drawn.append(Text(f"and {others + 1} more: avivro alerts list", "yellow"))
            break
        text = draw_finding(finding)
        if lines(text, width) + others > left:
            text = draw_title(finding)
        drawn.append(text)
        left -= lines(text, width)
    return drawn


def lines(text: Text, width: int) -> int:
    return 1 if text.no_wrap else len(text.wrap(console.out, width))


def draw_head(per_s: dict[str, float]) -> Text:
    ended = ", ".join(f"{rate:.1f} {name}/s" for name, rate in sorted(per_s.items()) if rate)
    clock = f"{datetime.now(UTC):%H:%M:%S} UTC"
    return Text.assemble(("Avivro workers", "bold"), f"  {clock}  ", (ended or "", "cyan"))


def draw_finding(finding: Finding) -> Text:
    return Text.assemble(draw_title(finding), f". {finding.evidence} ", (finding.do, "dim"))


def draw_title(finding: Finding) -> Text:
    """A glyph and words, never a colour alone."""
    glyph, style = ("\u25a0", "bold red") if finding.level == "stop" else ("\u2016", "yellow")
    return Text(f"{glyph} {finding.title}", style, no_wrap=True, overflow="ellipsis")


def draw_queues(glance: Glance, trend: Trend) -> Table:
    table = columns("oldest", "queue", "waiting", "running", "later", "discarded", "ended", "")
    for queue in sorted(glance.queues, key=lambda queue: -(queue.waited_s or 0)):
        found, recent = queue.jobs, trend.queue_per_s.get(queue.name, deque())
        table.add_row(
            Text(duration(queue.waited_s), "bold"),
            queue.name,
            f"{found['available'] + found['dispatched']:,}",
            f"{found['running']:,}/{queue.threads:,}",
            f"{found['scheduled'] + found['retryable']:,}",
            f"{found['discarded']:,}",
            bars(recent),
            Text(f"paused: {told(queue)}" if told(queue) else "", "yellow"),
        )
    return table


def bars(values: deque[float]) -> str:
    """The newest on the right; the highest of them fills its cell."""
    most = max(values, default=0.0)
    if not most:
        return ""
    drawn = "".join(BARS[round(value / most * (len(BARS) - 1))] for value in values)
    return f"{drawn} {values[-1]:,.1f}/s"


def draw_processes(glance: Glance, rows_max: int) -> Table:
    table = columns(
        some("process", glance.processes, rows_max), "host", "pid", "since", "lease", "memory"
    )
    now = datetime.now(UTC)
    for process in glance.processes[:rows_max]:
        memory_mb = (process.stats or {}).get("rss_mb")
        table.add_row(
            process.role,
            process.host,
            str(process.pid),
            duration((now - process.started_at).total_seconds()),
            f"{duration((now - process.renewed_at).total_seconds())} old",
            "" if memory_mb is None else size(memory_mb * 1e6),
        )
    return table


def draw_running(glance: Glance, rows_max: int) -> Table:
    table = columns(
        some("job", glance.running, rows_max), "kind", "attempt", "runs for", "tenant", "progress"
    )
    now = datetime.now(UTC)
    for job in glance.running[:rows_max]:
        ran_s = None if job.started_at is None else (now - job.started_at).total_seconds()
        table.add_row(
            str(job.id),
            job.kind,
            f"{job.attempt}/{job.max_attempts}",
            duration(ran_s),
            "" if job.tenant is None else str(job.tenant),
            Text("" if job.progress is None else str(job.progress)[:60]),
        )
    return table


def some(name: str, rows: Sequence[object], rows_max: int) -> str:
    """The head of a table that may be cut short."""
    return name if len(rows) <= rows_max else f"{name} ({rows_max} of {len(rows)})"


def columns(*names: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def draw_away(trend: Trend, error: Exception, width: int = 80, height: int = LINES_MAX) -> Group:
    told_once = Text(f"\u25a0 Postgres does not answer: {first_line(error)}", "bold red")
    if trend.glance is None:
        return Group(told_once)
    return Group(told_once, draw(trend, width, height - lines(told_once, width)))
