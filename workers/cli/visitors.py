"""`avivro visitors`: delete what is known of a visitor, for operators who act for an owner."""

import time
from typing import Annotated
from uuid import UUID

import psycopg
import typer

from db import acting, erasures
from db.erasures import Request
from db.pool import Connection, connect
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.knowledge import crew_for
from workers.cli.services import database, services

app = typer.Typer(no_args_is_help=True)
POLL_S = 0.2
ROWS_MAX = 10_000
REFUSALS = (psycopg.errors.NoDataFound, psycopg.errors.InvalidParameterValue)

AgentArgument = Annotated[UUID, typer.Argument(help="The agent's id.")]


@app.command("erase")
def erase(
    agent: AgentArgument,
    visitor_id: Annotated[str | None, typer.Argument(help="As the widget calls them.")] = None,
    email: Annotated[str | None, typer.Option(help="An address they gave.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is done.")] = False,
    why: WhyOption = auditing.UNSAID,
    as_json: console.JsonOption = False,
) -> None:
    """Delete what an agent knows of a visitor, in every table; exits with 1 if traces remain."""
    with services() as found:
        assert found.database_url is not None
        with connect(found.database_url, name="avivro cli") as conn:
            request_id = ask(conn, agent, visitor_id, email)
            # Not whom: this log is kept for ever, and they are to be forgotten.
            said = {"request_id": str(request_id)}
            auditing.note(conn, "erase_visitor", f"agent {agent}", why=why, **said)
            conn.commit()
            if wait:
                with crew_for(conn, found):
                    request = follow(conn, request_id)
            else:
                request = load(conn, request_id)
    if as_json:
        console.print_json(request)
    else:
        tell(request)
    if request.state == "incomplete":
        raise typer.Exit(1)


@app.command("requests")
def list_requests(
    agent: Annotated[UUID | None, typer.Option(help="Only of this agent.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=ROWS_MAX)] = 100,
    as_json: console.JsonOption = False,
) -> None:
    """List erasures that were asked for, the newest first, and what remained."""
    with database() as conn:
        found = erasures.list_requests(conn, agent_id=agent, rows_max=limit)
        # Of agents that are gone there may be requests.
        if agent is not None and not found and erasures.find_owner(conn, agent) is None:
            console.fail(f"there is no agent {agent}", code=1)
    if as_json:
        console.print_json(found)
        return
    console.print_table(
        "erasures",
        ("id", "agent", "state", "requested", "finished", "rows changed", "remains"),
        [
            (r.id, r.agent_id, r.state, f"{r.requested_at:%Y-%m-%d %H:%M}",
             f"{r.finished_at:%Y-%m-%d %H:%M}" if r.finished_at else "",
             sum(r.counts.values()), listed(r.remains))
            for r in found
        ],
    )  # fmt: skip


def ask(conn: Connection, agent: UUID, visitor_id: str | None, email: str | None) -> UUID:
    """In the owner's place. Exits with 2 for what names nobody, with 1 for no such agent."""
    owner = erasures.find_owner(conn, agent)
    if owner is None:
        console.fail(f"there is no agent {agent}", code=1)
    try:
        with acting.acting_as(conn, owner):
            return erasures.request(conn, agent, visitor_id=visitor_id, email=email)
    except REFUSALS as error:
        console.fail(str(error.diag.message_primary), code=2)


def follow(conn: Connection, request_id: UUID) -> Request:
    while True:
        with conn.transaction():
            request = load(conn, request_id)
        if request.state in ("done", "incomplete"):
            return request
        time.sleep(POLL_S)


def load(conn: Connection, request_id: UUID) -> Request:
    found = erasures.get(conn, request_id)
    assert found is not None
    return found


def tell(request: Request) -> None:
    told = f"erasure {request.id} is {request.state}"
    if request.counts:
        told += f"; rows deleted or emptied: {listed(request.counts)}"
    if request.remains:
        told += f"; these still tell of the visitor, look at them: {listed(request.remains)}"
    console.out.print(told, markup=False, highlight=False, soft_wrap=True)


def listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{place} {count}" for place, count in sorted(counts.items()))
