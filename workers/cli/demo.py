"""`avivro demo`: a real site becomes searchable knowledge, through the real queue and workers."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape

from db import demo as statements
from db import sources
from db.pool import Connection, connect
from db.sources import SourceProgress
from pipelines.counting import plural
from workers import config, sample, stack
from workers.answering import Question
from workers.cli import console, knowledge, search
from workers.cli.operations import apply_migrations
from workers.cli.services import services
from workers.config import Config

EMAIL = "demo@avivro.example"
QUESTIONS = 3
PASSAGES = 2


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    url: Annotated[list[str] | None, typer.Option(help="Your own page; may be repeated.")] = None,
    path: Annotated[list[str] | None, typer.Option(help="Your own file or folder.")] = None,
    question: Annotated[
        list[str] | None, typer.Option("--question", "-q", help="Ask this instead.")
    ] = None,
) -> None:
    """Start everything, index a small site (or your own input), ask three questions, end."""
    began = time.monotonic()
    with ExitStack() as after:
        found = after.enter_context(services())
        own = [item for text in (*(url or ()), *(path or ())) for item in knowledge.items_of(text)]
        base = None if own else after.enter_context(sample.serve())
        if base is not None:
            found = allow(found, base)
        apply_migrations(found)
        assert found.database_url is not None
        conn = after.enter_context(connect(found.database_url, name="avivro demo"))
        agent_id = make_agent(conn)
        ids = offer(conn, found, agent_id, base, own)
        done = index(conn, found, ids)
        knowledge.print_sources(done)
        print_stages(done)
        answer(conn, found, agent_id, questions(conn, agent_id, question, own))
        print_end(found, agent_id, time.monotonic() - began)
    if any(source.status != "completed" for source in done):
        raise typer.Exit(1)


def allow(found: Config, base: str) -> Config:
    """Private addresses are out of reach for workers; the sample's own server is not."""
    allowed = ",".join(filter(None, (found.egress_allow, base.removeprefix("http://"))))
    return replace(found, egress_allow=allowed)


def make_agent(conn: Connection) -> UUID:
    user_id = statements.ensure_user(conn, email=EMAIL, full_name="Demo User")
    agent_id = statements.create_agent(
        conn,
        user_id=user_id,
        name="Avivro demo agent",
        description="Answers questions about Avivro.",
        system_prompt="You answer questions about Avivro from its documentation.",
    )
    conn.commit()
    return agent_id


def offer(
    conn: Connection, found: Config, agent_id: UUID, base: str | None, own: Sequence[str]
) -> list[UUID]:
    """Insert the sources as a web tier would: the rows are all that the workers need."""
    agent = knowledge.require_agent(conn, agent_id)
    if base is None:
        ids = [knowledge.create(conn, agent, item, None, found.home) for item in own]
    else:
        ids = [
            sources.create_source(
                conn, agent_id=agent_id, name=page, type="url", url=f"{base}/{page}"
            )
            for page in sample_pages()
        ] + [
            sources.create_source(
                conn,
                agent_id=agent_id,
                name=file.name,
                type="file",
                file_url=f"{base}/{file.name}",
                file_name=file.name,
            )
            for file in sample.FILES
        ]
    conn.commit()
    return ids


def sample_pages() -> list[str]:
    return [page.relative_to(sample.SITE).as_posix() for page in sample.PAGES]


def index(conn: Connection, found: Config, ids: Sequence[UUID]) -> list[SourceProgress]:
    console.err.print(f"indexing {plural(len(ids), 'source')} through the queue ...")
    with stack.running(found):
        return knowledge.follow(conn, ids)


def print_stages(done: Sequence[SourceProgress]) -> None:
    """Where the time went, over all sources; stages of several sources overlap."""
    reports = [source.progress or {} for source in done if source.status == "completed"]
    rows = [
        (stage, f"{sum(report.get('stages_ms', {}).get(stage, 0) for report in reports)} ms", what)
        for stage, what in (
            ("reading", f"{total(reports, 'chars'):,} characters"),
            ("splitting", f"{total(reports, 'chunks_added'):,} chunks"),
            ("embedding", f"{sum(source.tokens_count for source in done):,} tokens"),
            ("storing", f"{total(reports, 'chunks_added'):,} rows"),
        )
    ]
    console.print_table("stages", ("stage", "time", "amount"), rows)


def total(reports: Sequence[dict[str, Any]], name: str) -> int:
    return sum(int(report.get(name, 0)) for report in reports)


def questions(
    conn: Connection, agent_id: UUID, asked: Sequence[str] | None, own: Sequence[str]
) -> list[str]:
    """The user's own, or the sample's, or the titles of what was indexed."""
    if asked:
        return list(asked)
    if not own:
        return [question.text for question in sample.QUESTIONS]
    names = [Path(item).stem for item in own]
    return (statements.list_sections(conn, agent_id=agent_id, limit=QUESTIONS) or names)[:QUESTIONS]


def answer(conn: Connection, found: Config, agent_id: UUID, asked: Sequence[str]) -> None:
    for question in asked:
        console.out.rule(f"[bold]{escape(question)}[/]", align="left")
        search.print_answer(conn, found, Question(agent_id, question, limit=PASSAGES))


def print_end(found: Config, agent_id: UUID, took_s: float) -> None:
    model = found.embedding_model
    if model == config.LOCAL:
        local = "Embeddings came from the local model in the installation: no key, no network."
    else:
        local = f"Embeddings came from {model}; nothing ran on a local model."
    for line in (
        f"Done in {took_s:.1f} s. {local}",
        f'Ask more:  avivro search {agent_id} "your question"',
        "Keep it running:  avivro up     Look at the work:  avivro jobs list",
        f"Watch it then:  http://{found.dashboard_host}:{found.dashboard_port} (its password is "
        "printed once), or avivro top",
    ):
        console.out.print(line, markup=False, highlight=False, soft_wrap=True)
