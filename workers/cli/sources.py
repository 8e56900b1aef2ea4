"""`avivro sources`: what an agent knows, how fresh it is, and what each run did."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import typer

from db import resyncs, sources
from db.pool import Connection
from db.resyncs import ListedSource, Run
from pipelines.counting import plural
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database
from workers.jobs import ResyncSource, enqueue

app = typer.Typer(no_args_is_help=True)
SOURCES_MAX = 50_000

SourceArgument = Annotated[UUID, typer.Argument(help="The source's id.")]


@app.command("list")
def list_sources(
    agent: Annotated[UUID, typer.Argument(help="The agent's id.")],
    limit: Annotated[int, typer.Option(min=1, max=SOURCES_MAX)] = 1000,
    as_json: console.JsonOption = False,
) -> None:
    """List an agent's sources: state, size, when they were refreshed and will be."""
    with database() as conn:
        if sources.find_agent(conn, agent) is None:
            console.fail(f"there is no agent {agent}", code=1)
        found = resyncs.list_sources(conn, agent, rows_max=limit)
    if as_json:
        console.print_json(found)
        return
    console.print_table(
        "sources",
        ("name", "type", "status", "chunks", "refreshed", "next", "id"),
        [
            (s.name[:60], s.type, s.status, s.chunks_count, shown(s.last_synced_at), next_of(s),
             s.id)
            for s in found
        ],
    )  # fmt: skip
    for source in found:
        if source.error_message:
            console.err.print(f"{source.name}: {source.error_message}", style="red", markup=False)


def next_of(source: ListedSource) -> str:
    if source.paused_at is not None:
        return f"paused after {plural(source.failures, 'failure')}"
    return shown(source.next_sync_at) or "by hand"


@app.command("history")
def history(
    source: SourceArgument,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: console.JsonOption = False,
) -> None:
    """Show what each run of a source read, stored and paid, newest first."""
    with database() as conn:
        require_source(conn, source)
        found = resyncs.list_runs(conn, source, rows_max=limit)
    if as_json:
        console.print_json([as_json_run(run) for run in found])
        return
    columns = ("ended", "kind", "status", "documents", "chunks", "tokens", "cost USD", "what")
    console.print_table("runs", columns, [row(run) for run in found])


@app.command("resync")
def resync(source: SourceArgument, why: WhyOption = auditing.UNSAID) -> None:
    """Ask whether a source changed, and index it if it did: now, whatever its times are."""
    with database() as conn:
        require_source(conn, source)
        job_id = enqueue(conn, ResyncSource(source))
        auditing.note(conn, "resync_source", f"source {source}", why=why, job_id=job_id)
    console.out.print(f"job {job_id}")


def require_source(conn: Connection, source: UUID) -> None:
    if sources.load_source(conn, source) is None:
        console.fail(f"there is no source {source}", code=1)


def as_json_run(run: Run) -> Mapping[str, Any]:
    """The row with its counts beside the rest of its report."""
    return {
        "id": run.id,
        "kind": run.kind,
        "status": run.status,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "error_message": run.error_message,
        "documents": run.report.get("documents", 0),
        "chunks_added": run.report.get("chunks_added", 0),
        "chunks_kept": run.report.get("chunks_kept", 0),
        "chunks_removed": run.report.get("chunks_removed", 0),
        "tokens_embedded": run.report.get("tokens_embedded", 0),
        "cost_usd": run.report.get("cost_usd", "0"),
        "report": run.report,
    }


def row(run: Run) -> tuple[object, ...]:
    counts = as_json_run(run)
    chunks = "+{chunks_added} ={chunks_kept} -{chunks_removed}".format_map(counts)
    return (
        shown(run.finished_at),
        run.kind,
        run.status,
        counts["documents"],
        chunks if run.status == "completed" else "",
        counts["tokens_embedded"],
        counts["cost_usd"],
        run.error_message or "",
    )


def shown(at: Any) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"
