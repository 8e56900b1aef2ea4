"""`avivro schedules`: what is enqueued when; run, pause and resume it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer

from db.pool import Connection
from workers.cli import console
from workers.cli.services import database

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The name of a schedule.")]


@app.command("list")
def list_schedules(as_json: console.JsonOption = False) -> None:
    """List the timetable: what runs when, last and next, in UTC."""
    with database() as conn:
        entries = clock().list_entries(conn)
    if as_json:
        console.print_json(entries)
        return
    console.print_table(
        "schedules",
        ("name", "kind", "cron (UTC)", "last", "next"),
        [
            (e.name, e.kind, e.cron, shown(e.last), "paused" if e.paused else shown(e.next))
            for e in entries
        ],
    )


@app.command("run")
def run(name: Name) -> None:
    """Enqueue the schedule's job now, beside its times; also while it is paused."""
    with known(name) as conn:
        job_id = clock().fire_by_hand(conn, name)
    console.out.print(f"job {job_id}")


@app.command("pause")
def pause(name: Name) -> None:
    """Let the schedule fire nothing until it is resumed."""
    with known(name) as conn:
        clock().pause(conn, name)
    console.out.print(f"{name} is paused")


@app.command("resume")
def resume(name: Name) -> None:
    """Go on with the next time; those that were missed are skipped."""
    with known(name) as conn:
        clock().resume(conn, name)
    console.out.print(f"{name} goes on")


@contextmanager
def known(name: str) -> Iterator[Connection]:
    """A connection, once the schedule is known to be in the timetable. Exits with 2 otherwise."""
    names = clock().names()
    if name not in names:
        console.fail(f"there is no schedule {name}; known are {', '.join(names)}", code=2)
    with database() as conn:
        yield conn


def clock() -> Any:
    """Imports point down and the schedules stand above, so here they are only a name."""
    return import_module("schedules.clock")


def shown(at: Any) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"
