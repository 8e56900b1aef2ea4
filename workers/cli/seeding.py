"""`avivro seed`: linked rows for load tests."""

import secrets
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from db import seeding
from db.pool import Connection
from db.seeding import Seeded, SeededError
from db.seeding_rows import Plan
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database

SEED_MAX = 2**31 - 1


def register(app: typer.Typer) -> None:
    app.command("seed")(seed)


def seed(
    agents: Annotated[int, typer.Option(min=1, max=seeding.AGENTS_MAX)] = 10,
    conversations: Annotated[int, typer.Option(min=0, max=seeding.CONVERSATIONS_MAX)] = 1_000,
    messages: Annotated[int, typer.Option(min=0, max=seeding.MESSAGES_MAX)] = 10_000,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=SEED_MAX, help="The same number makes the same rows."),
    ] = None,
    why: WhyOption = auditing.UNSAID,
    as_json: console.JsonOption = False,
) -> None:
    """Fill the database with accounts, agents, conversations, messages and leads of 90 days.

    All or nothing, by COPY. Triggers stay on: counters and notifications are right, and running
    workers will score and aggregate what was written.
    """
    chosen = secrets.randbelow(SEED_MAX) if seed is None else seed
    try:
        with database() as conn:
            plan = Plan(agents, conversations, messages, chosen, seeding.read_clock(conn))
            seeded = fill(conn, plan)
            auditing.note(conn, "seed_rows", "database", why=why, seed=chosen)
    except SeededError as error:
        console.fail(f"{error}; give another --seed", code=1)
    except ValueError as error:
        console.fail(str(error), code=2)
    print_seeded(seeded, chosen, as_json=as_json)


def fill(conn: Connection, plan: Plan) -> Seeded:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console.err, transient=True) as bars:
        planned = {"conversations": plan.conversations, "messages": plan.messages}
        tasks = {table: bars.add_task(table, total=total) for table, total in planned.items()}

        def report(table: str, rows: int) -> None:
            if table in tasks:
                bars.update(tasks[table], completed=rows)

        return seeding.fill(conn, plan, report)


def print_seeded(seeded: Seeded, seed: int, *, as_json: bool) -> None:
    rows = {table: getattr(seeded, table) for table in Seeded.__slots__}
    if as_json:
        console.print_json({"seed": seed, **rows})
        return
    console.print_table("seeded", ("table", "rows"), list(rows.items()))
    console.err.print(f"again, in another database: --seed {seed}")
