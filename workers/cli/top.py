"""`avivro top`: the engine at a glance, in a terminal, until Ctrl-C."""

import time
from collections import defaultdict, deque
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
from workers.cli.queues import Queue, read_queues, told
from workers.cli.services import services
from workers.dashboard.words import duration, size
from workers.finding import Finding
from workers.jobs import KINDS

RUNNING_SHOWN_MAX = 12
FINDINGS_SHOWN_MAX = 4
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
    """Watch what is wrong, what waits, who works on what. With --json: one look, then the end."""
    with services(redis=False) as found:
        assert found.database_url is not None
        try:
            if as_json:
                with connect(found.database_url, autocommit=True, name="avivro top") as conn:
                    console.print_json(look(conn, redis_url=found.redis_url))
            else:
                watch(found.database_url, found.redis_url, every_s=every)
        except UNMIGRATED:
            console.fail("the database lacks a migration: run avivro migrate", code=3)


def watch(url: str, redis_url: str | None, *, every_s: float) -> None:
    """Until Ctrl-C, whether Postgres is there or not."""
    trend = Trend()
    with Live(console=console.out, auto_refresh=False, screen=console.out.is_terminal) as live:
        while True:
            try:
                with connect(url, autocommit=True, name="avivro top") as conn:
                    while True:
                        trend.add(look(conn, redis_url=redis_url), time.monotonic())
                        live.update(draw(trend), refresh=True)
                        time.sleep(every_s)
            except AWAY as error:
                live.update(draw_away(trend, str(error)), refresh=True)
                time.sleep(every_s)


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


def draw(trend: Trend) -> Group:
    glance = trend.glance
    assert glance is not None
    return Group(
        draw_head(trend.per_s),
        *(draw_finding(finding) for finding in glance.findings[:FINDINGS_SHOWN_MAX]),
        Text(""),
        draw_queues(glance, trend),
        Text(""),
        draw_processes(glance),
        Text(""),
        draw_running(glance),
    )


def draw_head(per_s: dict[str, float]) -> Text:
    ended = ", ".join(f"{rate:.1f} {name}/s" for name, rate in sorted(per_s.items()) if rate)
    clock = f"{datetime.now(UTC):%H:%M:%S} UTC"
    return Text.assemble(("Avivro workers", "bold"), f"  {clock}  ", (ended or "", "cyan"))


def draw_finding(finding: Finding) -> Text:
    """A glyph and words, never a colour alone."""
    glyph, style = ("\u25a0", "bold red") if finding.level == "stop" else ("\u2016", "yellow")
    return Text.assemble(
        (f"{glyph} {finding.title}", style), f". {finding.evidence} ", (finding.do, "dim")
    )


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


def draw_processes(glance: Glance) -> Table:
    table = columns("process", "host", "pid", "since", "lease", "memory")
    now = datetime.now(UTC)
    for process in glance.processes:
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


def draw_running(glance: Glance) -> Table:
    table = columns("job", "kind", "attempt", "runs for", "tenant", "progress")
    now = datetime.now(UTC)
    for job in glance.running:
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


def columns(*names: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def draw_away(trend: Trend, error: str) -> Group:
    reason = error.strip().partition("\n")[0]
    told_once = Text(f"\u25a0 Postgres does not answer: {reason}", "bold red")
    return Group(told_once) if trend.glance is None else Group(told_once, draw(trend))
