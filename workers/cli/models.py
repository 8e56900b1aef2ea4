"""`avivro models`: which model an agent's chunks are embedded with, what another one would cost."""

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import typer

from db import models, sources
from db.models import Estimate
from db.pool import Connection
from pipelines.counting import noun, plural
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database
from workers.jobs import ChangeModel, enqueue

app = typer.Typer(no_args_is_help=True)
# As it is stored with the chunks; "local" is how settings name it.
LOCAL_MODELS = {"local": "wordllama-256"}

AgentArgument = Annotated[UUID, typer.Argument(help="The agent's id.")]
ModelArgument = Annotated[str, typer.Argument(help="Such as text-embedding-3-small, or local.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Pay without being asked.")]


@app.command("estimate")
def estimate(
    agent: AgentArgument, model: ModelArgument, as_json: console.JsonOption = False
) -> None:
    """Say what embedding an agent's chunks with a model costs; changes nothing."""
    with database() as conn:
        found = require_estimate(conn, agent, model)
    if as_json:
        console.print_json(found)
    else:
        print_estimate(found)


@app.command("change")
def change(
    agent: AgentArgument,
    model: ModelArgument,
    yes: YesOption = False,
    why: WhyOption = auditing.UNSAID,
    as_json: console.JsonOption = False,
) -> None:
    """Embed an agent's chunks with another model; the old vectors serve until all are there."""
    with database() as conn:
        found = require_estimate(conn, agent, model)
        agree(found, yes=yes)
        job_id = enqueue(conn, ChangeModel(agent, model), on_conflict="replace")
        said = {"model": model, "job_id": job_id}
        auditing.note(conn, "change_model", f"agent {agent}", why=why, **said)
    if as_json:
        console.print_json({"job": job_id, "estimate": asdict(found)})
        return
    print_estimate(found)
    console.out.print(f"job {job_id}; avivro models show {agent} says how far it is")


@app.command("show")
def show(agent: AgentArgument, as_json: console.JsonOption = False) -> None:
    """Show an agent's model and, while it is being changed, how far that is."""
    with database() as conn:
        known = sources.find_agent(conn, agent)
        under_way = models.find_change(conn, agent)
        chunks, done = models.count_twins(conn, agent)
    if known is None:
        console.fail(f"there is no agent {agent}", code=1)
    told = {"model": known.embedding_model}
    if under_way is not None:
        counts = {"chunks": chunks, "done": done, "since": under_way.started_at}
        told |= {"changing_to": under_way.model, **counts}  # type: ignore[dict-item]
    if as_json:
        console.print_json(told)
        return
    for name, value in told.items():
        console.out.print(f"[bold]{name:<12}[/] {value}", highlight=False)


@app.command("cancel")
def cancel(agent: AgentArgument, why: WhyOption = auditing.UNSAID) -> None:
    """End a change of model: the agent keeps the old one, the new vectors are deleted."""
    with database() as conn:
        ended = models.end_change(conn, agent)
        if ended:
            auditing.note(conn, "keep_model", f"agent {agent}", why=why)
    if not ended:
        console.fail(f"the model of agent {agent} is not being changed", code=1)
    console.out.print(f"agent {agent} keeps its model")


def require_estimate(conn: Connection, agent: UUID, model: str | None) -> Estimate:
    stored = LOCAL_MODELS.get(model, model) if model else None
    found = models.estimate_reindex(conn, agent, model=stored)
    if found is None:
        console.fail(f"there is no agent {agent}", code=1)
    return found


def agree(found: Estimate, *, yes: bool) -> None:
    """Ask before money is spent; exits with 1 where nobody agrees."""
    if yes or found.cost_usd == 0 or found.chunks_paid == 0:
        return
    print_estimate(found, to_stderr=True)
    typer.confirm("Go on?", abort=True, err=True)


def print_estimate(found: Estimate, *, to_stderr: bool = False) -> None:
    out = console.err if to_stderr else console.out
    out.print(
        f"{plural(found.chunks, 'chunk')}, {plural(found.tokens, 'token')} with "
        f"{found.model or 'no model yet'}: "
        f"{plural(found.chunks_kept, 'chunk stays', 'chunks stay')}, "
        f"{plural(found.chunks_recalled, 'vector is', 'vectors are')} remembered, "
        f"{plural(found.chunks_paid, 'chunk')} with {plural(found.tokens_paid, 'token')} "
        f"{noun(found.chunks_paid, 'is', 'are')} to be embedded",
        highlight=False,
    )
    out.print(f"cost: {money(found.cost_usd)}; at most {money(found.cost_usd_max)}")


def money(usd: Decimal | None) -> str:
    return "unknown, the price of this model is not listed" if usd is None else f"{usd:.6f} USD"
