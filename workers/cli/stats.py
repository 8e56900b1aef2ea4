"""`avivro stats`: the daily figures of agents, and how to compute them anew without workers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

import typer

from db import daily_stats, stats_differences
from db.pool import Connection
from pipelines.counting import plural
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database

app = typer.Typer(no_args_is_help=True)
# Of one transaction.
DAYS_MAX = 366
AGENTS_MAX = 1_000
DIFFERENCES_DAYS = 7

From = Annotated[
    str | None, typer.Option("--from", metavar="DAY", help="Like 2026-03-01, the owner's day.")
]
To = Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last day, included.")]


@dataclass(frozen=True, slots=True)
class Range:
    """Days of an owner, both included; None for all before or after."""

    from_day: date | None
    to_day: date | None


@dataclass(frozen=True, slots=True)
class Recomputed:
    """`changed` rows of daily_stats were written anew, came or went."""

    agents: int = 0
    days: int = 0
    changed: int = 0


@app.command("recompute")
def recompute(
    agent: Annotated[UUID | None, typer.Argument(help="An agent's id; all without one.")] = None,
    from_day: From = None,
    to_day: To = None,
    why: WhyOption = auditing.UNSAID,
    as_json: console.JsonOption = False,
) -> None:
    """Compute daily figures from the raw rows, now. Needs no worker, and may run beside them."""
    asked = parse_range(from_day, to_day)
    with database() as conn:
        target = f"agent {agent}" if agent else "all agents"
        said = {"from": from_day, "to": to_day}
        auditing.note(conn, "recompute_stats", target, why=why, **said)
        total = recompute_all(conn, choose_agents(conn, agent), asked)
    if as_json:
        console.print_json(total)
        return
    console.out.print(
        f"{plural(total.changed, 'row')} changed, of {plural(total.days, 'day')}"
        f" of {plural(total.agents, 'agent')}",
        highlight=False,
    )


@app.command("show")
def show(
    agent: Annotated[UUID, typer.Argument(help="An agent's id.")],
    from_day: From = None,
    to_day: To = None,
    as_json: console.JsonOption = False,
) -> None:
    """List an agent's daily figures. Averages, rates and costs are text in JSON, digit by digit."""
    asked = parse_range(from_day, to_day)
    with database() as conn:
        check_agent(conn, agent)
        rows = daily_stats.list_stats(
            conn, agent_id=agent, from_day=asked.from_day, to_day=asked.to_day
        )
    if as_json:
        console.print_json(rows)
        return
    for row in rows:
        console.print_table(str(row.pop("date")), ("figure", "value"), list(row.items()))


def parse_range(from_day: str | None, to_day: str | None) -> Range:
    """Exits with 2 for what is no day, and for a range that ends before it begins."""
    asked = Range(parse_day(from_day), parse_day(to_day))
    if asked.from_day and asked.to_day and asked.from_day > asked.to_day:
        console.fail(f"--from {asked.from_day} is after --to {asked.to_day}", code=2)
    return asked


def parse_day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        console.fail(f'"{text}" is no day: write it like 2026-03-01', code=2)


def choose_agents(conn: Connection, agent: UUID | None) -> Iterator[UUID]:
    if agent is not None:
        check_agent(conn, agent)
        yield agent
        return
    last: UUID | None = None
    while found := daily_stats.list_agents(conn, after=last, agents_max=AGENTS_MAX):
        yield from found
        last = found[-1]


def check_agent(conn: Connection, agent: UUID) -> None:
    """Exits with 1 where there is no such agent."""
    if not daily_stats.hold_agents(conn, [agent]):
        console.fail(f"there is no agent {agent}", code=1)


def recompute_all(conn: Connection, agents: Iterator[UUID], asked: Range) -> Recomputed:
    total = Recomputed()
    for agent in agents:
        for days, changed in recompute_agent(conn, agent, asked):
            total = Recomputed(total.agents, total.days + days, total.changed + changed)
        total = Recomputed(total.agents + 1, total.days, total.changed)
    return total


def recompute_agent(conn: Connection, agent: UUID, asked: Range) -> Iterator[tuple[int, int]]:
    """How many days were computed and how many rows changed, by transaction."""
    since = asked.from_day
    while True:
        daily_stats.lock_agents(conn, daily_stats.hold_agents(conn, [agent]))
        days = daily_stats.list_days(
            conn, agent_id=agent, from_day=since, to_day=asked.to_day, days_max=DAYS_MAX
        )
        changed = daily_stats.recompute_days(conn, [agent] * len(days), days)
        conn.commit()
        yield len(days), changed
        if len(days) < DAYS_MAX:
            return
        since = days[-1] + timedelta(days=1)


def check(conn: Connection) -> tuple[str, bool, str]:
    """For `avivro doctor`: what the nightly recount found lately."""
    found = stats_differences.count_differences(conn, days=DIFFERENCES_DAYS)
    if not found.found:
        return ("daily figures", True, f"no difference found in {DIFFERENCES_DAYS} days")
    days = plural(found.found, "day was", "days were")
    detail = f"{days} stored wrongly, the last was found at {found.last_at}"
    advice = "; all are repaired: worker.stats_differences says which, please report them"
    if found.lasting:
        advice = f"; {found.lasting} are not repaired yet: run `avivro stats recompute`"
    return ("daily figures", found.lasting == 0, detail + advice)
