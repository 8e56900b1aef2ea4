"""`avivro schedules`: what is enqueued when; run it, pause it, give it other times."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer

from db.pool import Connection
from db.schedules import LATE_S_MIN
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database
from workers.spans import span

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The name of a schedule.")]


@app.command("list")
def list_schedules(as_json: console.JsonOption = False) -> None:
    """List the timetable: what runs when, last, next and how late, in UTC."""
    with database() as conn:
        entries = operating().list_entries(conn)
    if as_json:
        console.print_json(entries)
        return
    columns = ("name", "times (UTC)", "last", "next", "late by")
    console.print_table("schedules", columns, [line(e) for e in entries], whole=columns[:4])


def line(entry: Any) -> tuple[str, ...]:
    return (
        entry.name,
        entry.cron
        if entry.cron == entry.cron_default
        else f"{entry.cron}\n(was {entry.cron_default})",
        console.moment(entry.last),
        "paused" if entry.paused else console.moment(entry.next),
        "; ".join(lateness(entry)),
    )


def lateness(entry: Any) -> Iterator[str]:
    if entry.late_s >= LATE_S_MIN:
        yield span(entry.late_s)
    if entry.missed_1d:
        yield f"{entry.missed_1d:,} missed in 24 h, {entry.made_up_1d:,} made up"


@app.command("run")
def run(name: Name, why: WhyOption = auditing.UNSAID) -> None:
    """Enqueue the schedule's job now, beside its times; also while it is paused."""
    with known(name) as conn:
        job_id = operating().fire_by_hand(conn, name)
        auditing.note(conn, "run_schedule", f"schedule {name}", why=why, job_id=job_id)
    console.out.print(f"job {job_id}")


@app.command("pause")
def pause(name: Name, why: WhyOption = auditing.UNSAID) -> None:
    """Let the schedule fire nothing until it is resumed."""
    with known(name) as conn:
        if operating().pause(conn, name):
            auditing.note(conn, "pause_schedule", f"schedule {name}", why=why)
    console.out.print(f"{name} is paused")


@app.command("resume")
def resume(name: Name, why: WhyOption = auditing.UNSAID) -> None:
    """Go on with the next time; those that were missed are skipped."""
    with known(name) as conn:
        if operating().resume(conn, name):
            auditing.note(conn, "resume_schedule", f"schedule {name}", why=why)
    console.out.print(f"{name} goes on")


@app.command("edit")
def edit(
    name: Name,
    cron: Annotated[
        str, typer.Argument(help='Five fields in UTC, such as "30 2 * * mon", or "every 30 s".')
    ],
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Give the schedule other times; they stay, also when a new version is deployed."""
    with known(name) as conn:
        try:
            changed = operating().edit(conn, name, cron)
        except ValueError as error:
            console.fail(str(error), code=2)
        if changed:
            auditing.note(conn, "edit_schedule", f"schedule {name}", why=why, cron=cron)
    console.out.print(f"{name} fires at other times now: {cron}", markup=False)


@app.command("reset")
def reset(name: Name, why: WhyOption = auditing.UNSAID) -> None:
    """Give the schedule the timetable's own times again."""
    with known(name) as conn:
        if operating().reset(conn, name):
            auditing.note(conn, "reset_schedule", f"schedule {name}", why=why)
    console.out.print(f"{name} fires at the timetable's own times")


@contextmanager
def known(name: str) -> Iterator[Connection]:
    """A connection, once the schedule is known to be in the timetable. Exits with 2 otherwise."""
    names = operating().names()
    if name not in names:
        console.fail(f"there is no schedule {name}; known are {', '.join(names)}", code=2)
    with database() as conn:
        yield conn


def operating() -> Any:
    """Imports point down and the schedules stand above, so here they are only a name."""
    return import_module("schedules.operating")
