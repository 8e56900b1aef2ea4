"""`avivro ingest` and `reindex`: knowledge in."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from db import crawls, processes, sources
from db.pool import Connection, connect
from db.sources import Agent, SourceProgress
from workers import stack, uploads
from workers.chains import callback_of
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.models import YesOption, agree, print_estimate, require_estimate
from workers.cli.services import database, services
from workers.config import Config
from workers.jobs import ReindexAgent, ReportReindex, enqueue

POLL_S = 0.2
STDIN_CHARS_MAX = 50_000_000
IDS_NOTED_MAX = 20


def register(app: typer.Typer) -> None:
    app.command("ingest")(ingest)
    app.command("reindex")(reindex)


def ingest(
    agent: Annotated[UUID, typer.Argument(help="The agent's id.")],
    what: Annotated[str, typer.Argument(metavar="URL|PATH|-", help="A page, a file, or stdin.")],
    name: Annotated[str | None, typer.Option(help="The source's name.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is searchable.")] = True,
    crawl: Annotated[bool, typer.Option(help="The whole site that the address leads to.")] = False,
    pages: Annotated[int | None, typer.Option(min=1, help="At most.")] = None,
    why: WhyOption = auditing.UNSAID,
    as_json: console.JsonOption = False,
) -> None:
    """Give an agent a page, a site, a file, a folder of files, or the text on standard input."""
    check_crawl(what, crawl=crawl, pages=pages)
    with services() as found:
        assert found.database_url is not None
        with connect(found.database_url, name="avivro ingest") as conn:
            known = require_agent(conn, agent)
            if crawl:
                ids = [create_site(conn, known, what, name, pages)]
            else:
                ids = [create(conn, known, item, name, found.home) for item in items_of(what)]
            note(conn, agent, ids, why)
            conn.commit()
            if wait:
                with crew_for(conn, found):
                    done = follow(conn, ids)
            else:
                done = sources.list_progress(conn, ids)
    if as_json:
        console.print_json(done)
    else:
        print_sources(done)
    if any(source.status == "failed" for source in done):
        raise typer.Exit(1)


def reindex(
    agent: Annotated[UUID, typer.Argument(help="The agent's id.")],
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say what it costs; changes nothing.")
    ] = False,
    yes: YesOption = False,
    why: WhyOption = auditing.UNSAID,
    as_json: console.JsonOption = False,
) -> None:
    """Index all sources of an agent again, after what customers wait for; tell its owner."""
    with database() as conn:
        require_agent(conn, agent)
        cost = require_estimate(conn, agent, None)
        if not estimate:
            agree(cost, yes=yes)
            job_id = enqueue(conn, ReindexAgent(agent))
            batch_id = callback_of(conn, job_id, then=ReportReindex(agent))
            auditing.note(conn, "reindex_agent", f"agent {agent}", why=why, job_id=job_id)
    if estimate:
        console.print_json(cost) if as_json else print_estimate(cost)
    elif as_json:
        console.print_json({"batch": batch_id})
    else:
        console.out.print(f"batch {batch_id}; avivro jobs show {batch_id} says how far it is")


def note(conn: Connection, agent: UUID, ids: Sequence[UUID], why: str) -> None:
    """Of many sources, the audit log names the first."""
    named = [str(each) for each in ids[:IDS_NOTED_MAX]]
    auditing.note(
        conn, "add_sources", f"agent {agent}", why=why, sources=len(ids), source_ids=named
    )


def check_crawl(what: str, *, crawl: bool, pages: int | None) -> None:
    if pages is not None and not crawl:
        console.fail("--pages is how many pages --crawl may keep: it needs --crawl", code=2)
    if crawl and not what.startswith(("http://", "https://")):
        console.fail("--crawl needs the http(s) address of a site", code=2)


@contextmanager
def crew_for(conn: Connection, found: Config) -> Iterator[None]:
    """Workers for the length of the block, unless some are at work already."""
    with conn.transaction():
        roles = {process.role for process in processes.list_live(conn)}
    if {"worker", "dispatcher"} <= roles:
        yield
        return
    console.err.print("no workers are running: starting some for this command")
    with stack.running(found):
        yield


def items_of(what: str) -> list[str]:
    """The address itself, or every file below a folder."""
    if what == "-" or what.startswith(("http://", "https://")):
        return [what]
    path = Path(what)
    if path.is_dir():
        files = [str(file) for file in sorted(path.rglob("*")) if file.is_file()]
        if files:
            return files
        console.fail(f"{what} holds no files", code=2)
    if not path.is_file():
        console.fail(f"{what} is neither a file, a folder nor an http(s) address", code=2)
    return [what]


def create_site(
    conn: Connection, agent: Agent, url: str, name: str | None, pages: int | None
) -> UUID:
    crawl = True if pages is None else {"pages_max": pages}
    return crawls.create_site(
        conn, agent_id=agent.id, name=name or url, url=url, settings={"crawl": crawl}
    )


def create(conn: Connection, agent: Agent, item: str, name: str | None, home: Path) -> UUID:
    if item == "-":
        content = sys.stdin.read(STDIN_CHARS_MAX + 1).replace("\0", "")
        if len(content) > STDIN_CHARS_MAX:
            console.fail(f"standard input holds over {STDIN_CHARS_MAX} characters", code=2)
        return sources.create_source(
            conn, agent_id=agent.id, name=name or "standard input", type="text", content=content
        )
    if item.startswith(("http://", "https://")):
        return sources.create_source(
            conn, agent_id=agent.id, name=name or item, type="url", url=item
        )
    uploaded = uploads.store(Path(item), home)
    return sources.create_source(
        conn,
        agent_id=agent.id,
        name=name or Path(item).name,
        type="file",
        file_url=uploaded,
        file_name=Path(item).name,
    )


def follow(conn: Connection, ids: Sequence[UUID]) -> list[SourceProgress]:
    """Show the progress of sources until each is completed or failed; their last state."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[what]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console.err, transient=True) as bars:
        tasks: dict[UUID, TaskID] = {}
        while True:
            with conn.transaction():
                found = sources.list_progress(conn, ids)
            for source in found:
                if source.id not in tasks:
                    tasks[source.id] = bars.add_task(source.name[:40], total=None, what="")
                show(bars, tasks[source.id], source)
            if all(source.status in ("completed", "failed") for source in found):
                return found
            time.sleep(POLL_S)


def show(bars: Progress, task: TaskID, source: SourceProgress) -> None:
    progress = source.progress or {}
    if source.status in ("completed", "failed"):
        bars.update(task, total=1, completed=1, what=source.status)
    elif "total" in progress:
        bars.update(
            task, total=progress["total"], completed=progress["done"], what=progress["stage"]
        )
    else:
        bars.update(task, total=None, what=progress.get("stage", source.status))


def print_sources(done: Sequence[SourceProgress]) -> None:
    console.print_table(
        "sources",
        ("name", "status", "chunks", "tokens", "id"),
        [(s.name, s.status, s.chunks_count, s.tokens_count, s.id) for s in done],
    )
    for source in done:
        if source.error_message:
            console.err.print(f"{source.name}: {source.error_message}", style="red", markup=False)


def require_agent(conn: Connection, agent: UUID) -> Agent:
    known = sources.find_agent(conn, agent)
    if known is None:
        console.fail(f"there is no agent {agent}", code=1)
    return known
