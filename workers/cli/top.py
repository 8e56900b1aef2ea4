"""`avivro top`: the engine at a glance, in a terminal, until Ctrl-C."""

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table

from db import jobs, metrics, processes
from db.jobs import Job
from db.pool import Connection, connect
from db.processes import Process
from workers.cli import console
from workers.cli.queues import COLUMNS, Queue, read_queues, row
from workers.cli.services import services

RUNNING_SHOWN_MAX = 12
ENDED = "avivro_attempts_total"


@dataclass(frozen=True, slots=True)
class Glance:
    """What one look shows. `ended` counts attempts by outcome since the queue was made."""

    queues: list[Queue]
    processes: list[Process]
    running: list[Job]
    ended: dict[str, float]


def look(conn: Connection) -> Glance:
    ended: dict[str, float] = defaultdict(float)
    for sample in metrics.read_totals(conn):
        if sample.name == ENDED:
            ended[sample.labels["outcome"]] += sample.value
    running = jobs.list_jobs(conn, state="running", rows_max=RUNNING_SHOWN_MAX)
    return Glance(read_queues(conn), processes.list_live(conn), running, dict(ended))


def top(
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between looks.")] = 2.0,
    as_json: console.JsonOption = False,
) -> None:
    """Watch queues, processes and running jobs. With --json: one look, then the end."""
    with services(redis=False) as found:
        assert found.database_url is not None
        with connect(found.database_url, autocommit=True, name="avivro top") as conn:
            if as_json:
                console.print_json(take(conn))
            else:
                watch(conn, every)


def take(conn: Connection) -> Glance:
    with conn.transaction():
        return look(conn)


def watch(conn: Connection, every_s: float) -> None:
    before, seen_at = take(conn), time.monotonic()
    with Live(draw(before, {}), console=console.out, auto_refresh=False) as live:
        while True:
            time.sleep(every_s)
            glance, now = take(conn), time.monotonic()
            live.update(draw(glance, rates(before, glance, now - seen_at)), refresh=True)
            before, seen_at = glance, now


def rates(before: Glance, now: Glance, passed_s: float) -> dict[str, float]:
    """Attempts that ended a second, by outcome. Processes tell every few seconds."""
    return {
        outcome: (total - before.ended.get(outcome, 0.0)) / passed_s
        for outcome, total in now.ended.items()
    }


def draw(glance: Glance, ended_per_s: dict[str, float]) -> Group:
    return Group(
        table(COLUMNS, [row(queue) for queue in glance.queues]),
        "\n" + (", ".join(f"{rate:.1f} {name}/s" for name, rate in ended_per_s.items()) or "…"),
        table(
            ("process", "host", "pid", "since"),
            [(p.role, p.host, p.pid, f"{p.started_at:%H:%M:%S}") for p in glance.processes],
        ),
        table(
            ("job", "kind", "attempt", "started", "progress"),
            [
                (job.id, job.kind, job.attempt, f"{job.started_at:%H:%M:%S}", job.progress or "")
                for job in glance.running
            ],
        ),
    )


def table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> Table:
    drawn = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        drawn.add_column(column)
    for cells in rows:
        drawn.add_row(*(str(cell) for cell in cells))
    return drawn
