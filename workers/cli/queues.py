"""`avivro queues`: what waits where, and stopping it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from db import lanes, metrics, processes
from db.lanes import Pause
from db.metrics import Depth
from db.pool import Connection
from pipelines.counting import plural
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption, user_name
from workers.cli.services import database
from workers.jobs import KINDS, QUEUES

app = typer.Typer(no_args_is_help=True)
STATES = ("scheduled", "available", "dispatched", "running", "retryable", "discarded")
COLUMNS = ("queue", "threads", "waiting", "running", "later", "discarded", "oldest", "paused")

QueueArgument = Annotated[str | None, typer.Argument(help="A queue.")]
KindOption = Annotated[str | None, typer.Option(help="A kind, in its queue.")]
TenantOption = Annotated[UUID | None, typer.Option(help="A tenant, in all queues.")]


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue as it is now. `waited_s` is how long its oldest due job has waited."""

    name: str
    threads: int
    jobs: dict[str, int]
    waited_s: float | None
    paused_at: datetime | None
    reason: str | None
    paused_by: str | None
    paused_kinds: list[str] = field(default_factory=list)


def read_queues(conn: Connection) -> list[Queue]:
    depths, pauses = metrics.count_jobs(conn), lanes.list_pauses(conn)
    capacity = processes.list_capacity(conn)
    return [
        describe(
            name,
            [depth for depth in depths if depth.queue == name],
            pauses,
            threads=capacity.get(name, (0, None))[0],
        )
        for name in QUEUES
    ]


def describe(name: str, depths: list[Depth], pauses: list[Pause], *, threads: int) -> Queue:
    counts: Counter[str] = Counter()
    for depth in depths:
        counts[depth.state] += depth.jobs
    own = next((p for p in pauses if (p.scope, p.name) == ("queue", name)), None)
    kinds = [p.name for p in pauses if p.scope == "kind" and queue_of(p.name) == name]
    return Queue(
        name,
        threads,
        {state: counts[state] for state in STATES},
        max((d.waited_s for d in depths if d.waited_s is not None), default=None),
        None if own is None else own.paused_at,
        None if own is None else own.reason,
        None if own is None else own.paused_by,
        kinds,
    )


def queue_of(kind: str) -> str | None:
    return KINDS[kind].queue if kind in KINDS else None


@app.command("list")
def list_queues(as_json: console.JsonOption = False) -> None:
    """List queues: jobs by state, threads of live workers, pauses."""
    with database() as conn:
        found = read_queues(conn)
        tenants = [pause for pause in lanes.list_pauses(conn) if pause.scope == "tenant"]
    if as_json:
        console.print_json(found)
        return
    console.print_table("queues", COLUMNS, [row(queue) for queue in found])
    for pause in tenants:
        who = told_of(pause.paused_by, pause.reason)
        console.out.print(f"tenant {pause.name} is paused{who}", highlight=False, markup=False)


def row(queue: Queue) -> tuple[object, ...]:
    """The columns that people look at; `later` is what is scheduled or waits for a retry."""
    jobs = queue.jobs
    return (
        queue.name,
        queue.threads,
        jobs["available"] + jobs["dispatched"],
        jobs["running"],
        jobs["scheduled"] + jobs["retryable"],
        jobs["discarded"],
        seconds(queue.waited_s),
        told(queue),
    )


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def told(queue: Queue) -> str:
    parts = ["yes" + told_of(queue.paused_by, queue.reason)] if queue.paused_at else []
    return ", ".join(parts + [f"kind {kind}" for kind in queue.paused_kinds])


def told_of(paused_by: str | None, reason: str | None) -> str:
    """Who paused it and why, as far as they said."""
    return (f" by {paused_by}" if paused_by else "") + (f": {reason}" if reason else "")


@app.command("pause")
def pause(
    queue: QueueArgument = None,
    kind: KindOption = None,
    tenant: TenantOption = None,
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason",
            "--why",
            help="Shown to whoever looks, and kept in the audit log.",
            callback=lambda given: None if given is None else auditing.read_why(given),
        ),
    ] = None,
) -> None:
    """Start nothing more of a queue, a kind or a tenant. What runs goes on; nothing is lost."""
    scope, name = chosen(queue, kind, tenant)
    with database() as conn:
        recalled = lanes.pause(
            conn, scope=scope, name=name, reason=reason, paused_by=f"cli:{user_name()}"
        )
        if recalled is not None:
            why = reason or auditing.UNSAID
            auditing.note(conn, f"pause_{scope}", f"{scope} {name}", why=why, recalled=recalled)
    console.out.print(
        f"{scope} {name} is paused; {plural(recalled or 0, 'job')} came back from the runway"
    )


@app.command("resume")
def resume(
    queue: QueueArgument = None,
    kind: KindOption = None,
    tenant: TenantOption = None,
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Let a queue, a kind or a tenant go on."""
    scope, name = chosen(queue, kind, tenant)
    with database() as conn:
        resumed = lanes.resume(conn, scope=scope, name=name)
        if resumed:
            auditing.note(conn, f"resume_{scope}", f"{scope} {name}", why=why)
    if not resumed:
        console.fail(f"{scope} {name} is not paused", code=1)
    console.out.print(f"{scope} {name} goes on")


def chosen(queue: str | None, kind: str | None, tenant: UUID | None) -> tuple[str, str]:
    """The scope and the name in it. Exits with 2 unless exactly one thing is named."""
    named = [
        (scope, str(name))
        for scope, name in (("queue", queue), ("kind", kind), ("tenant", tenant))
        if name is not None
    ]
    if len(named) != 1:
        console.fail("name one of: a queue, --kind, --tenant", code=2)
    if queue is not None and queue not in QUEUES:
        console.fail(f"there is no queue {queue}; known: {', '.join(QUEUES)}", code=2)
    if kind is not None and kind not in KINDS:
        console.fail(f"there is no kind {kind}; known: {', '.join(KINDS)}", code=2)
    return named[0]
