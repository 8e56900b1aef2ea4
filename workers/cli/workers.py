"""`avivro workers`: which processes live, and letting one end in order."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from db import processes
from db.pool import Connection
from db.processes import Process
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database
from workers.dashboard.words import duration

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_processes(as_json: console.JsonOption = False) -> None:
    """List live processes: workers, dispatchers, schedulers, dashboards."""
    with database() as conn:
        found = processes.list_live(conn)
    if as_json:
        console.print_json(found)
        return
    now = datetime.now(UTC)
    console.print_table("processes", ("id", "process"), [row(each, now) for each in found])


def row(process: Process, now: datetime) -> tuple[object, str]:
    return process.id, "\n".join(lines(process, now))


def lines(process: Process, now: datetime) -> Iterator[str]:
    """Beside an id there is room for few words a line, in a terminal of 80 columns."""
    lives = duration((now - process.started_at).total_seconds())
    lease = duration((process.expires_at - now).total_seconds())
    yield f"{process.role} on {process.host}:{process.pid}"
    yield f"lives {lives}, lease {lease}" + (", draining" if process.drain_requested_at else "")
    stats = process.stats or {}
    if stats:
        yield f"{stats.get('rss_mb', 0)} MB, {stats.get('jobs_ended', 0):,} jobs ended"
    if process.queues:
        yield " ".join(f"{name}:{each['threads']}" for name, each in process.queues.items())


@app.command("drain")
def drain(
    process_id: Annotated[UUID, typer.Argument(metavar="ID", help="As `workers list` shows it.")],
    why: WhyOption = auditing.UNSAID,
    as_json: console.JsonOption = False,
) -> None:
    """Let a worker finish what it runs and end. Its `avivro worker` starts a fresh one."""
    with database() as conn:
        asked = ask(conn, process_id, why)
    if asked is None:
        console.fail(f"no live worker process has the id {process_id}", code=1)
    if as_json:
        console.print_json({"id": process_id, "host": asked.host, "pid": asked.pid})
        return
    console.out.print(f"{asked.host}:{asked.pid} drains: it ends what it runs", highlight=False)


def ask(conn: Connection, process_id: UUID, why: str) -> processes.Asked | None:
    asked = processes.request_drain(conn, process_id)
    if asked is not None and not asked.again:
        target = f"worker {asked.host}:{asked.pid}"
        auditing.note(conn, "drain_worker", target, why=why, process_id=str(process_id))
    return asked
