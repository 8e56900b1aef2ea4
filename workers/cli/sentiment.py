"""`avivro sentiment`: score what came before, and look at the scores of a conversation."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from db import sentiment
from db.pool import Connection
from db.sentiment import MarkedPage
from pipelines.counting import plural
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database

app = typer.Typer(no_args_is_help=True)
PAGE_CONVERSATIONS = 500
MESSAGES_MAX = 10_000
TEXT_CHARS = 80

DAY = ["%Y-%m-%d"]


@app.command("backfill")
def backfill(
    agent: Annotated[UUID, typer.Argument(help="The agent's id.")],
    start: Annotated[
        datetime | None, typer.Option("--from", formats=DAY, help="First day, the owner's.")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", formats=DAY, help="Last day, included.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Forget the scores of those days first.")
    ] = False,
    why: WhyOption = auditing.UNSAID,
    as_json: console.JsonOption = False,
) -> None:
    """Let the workers score an agent's messages of some days that have no score; all by default.

    A conversation's score is of all its messages: what else has none in those conversations is
    scored as well.
    """
    if start is not None and end is not None and start > end:
        console.fail(f"--from {start:%Y-%m-%d} is after --to {end:%Y-%m-%d}", code=2)
    with database() as conn:
        require_wanted(conn, agent)
        said = {"from": start and f"{start:%Y-%m-%d}", "to": end and f"{end:%Y-%m-%d}"}
        auditing.note(conn, "score_messages", f"agent {agent}", why=why, again=again, **said)
        conversations, messages = mark_all(conn, agent, start=start, end=end, again=again)
    if as_json:
        console.print_json({"conversations": conversations, "messages": messages})
        return
    console.out.print(
        f"{plural(messages, 'message')} of {plural(conversations, 'conversation')} will be scored,"
        " and what else has no score in these"
    )


def require_wanted(conn: Connection, agent_id: UUID) -> None:
    agent = sentiment.load_agent(conn, agent_id)
    if agent is None:
        console.fail(f"there is no agent {agent_id}", code=1)
    if not agent.is_enabled:
        console.fail(
            f"sentiment analysis is off for agent {agent_id}: nothing is done. Its owner switches "
            "it on in the agent's settings (agents.enable_sentiment_analysis).",
            code=1,
        )


def mark_all(
    conn: Connection, agent_id: UUID, *, start: datetime | None, end: datetime | None, again: bool
) -> tuple[int, int]:
    """Page by page, each in a transaction of its own: conversations marked, messages in them."""
    conversations = messages = 0
    page: MarkedPage | None = None
    while page := sentiment.mark_range(
        conn,
        agent_id,
        start_date=None if start is None else start.date(),
        end_date=None if end is None else end.date(),
        again=again,
        after=page,
        conversations_max=PAGE_CONVERSATIONS,
    ):
        conn.commit()
        conversations += page.marked_conversations
        messages += page.unscored_messages
    return conversations, messages


@app.command("show")
def show(
    conversation: Annotated[UUID, typer.Argument(help="The conversation's id.")],
    limit: Annotated[int, typer.Option(min=1, max=MESSAGES_MAX)] = 1000,
    as_json: console.JsonOption = False,
) -> None:
    """Show the scores of a conversation and of what its visitor wrote, and who judged."""
    with database() as conn:
        whole = sentiment.load_conversation(conn, conversation)
        if whole is None:
            console.fail(f"there is no conversation {conversation}", code=1)
        found = sentiment.list_messages(conn, conversation, chars_max=TEXT_CHARS, rows_max=limit)
    if as_json:
        console.print_json({"conversation": whole, "messages": found})
        return
    console.print_table(
        f"conversation {conversation}",
        ("at", "score", "label", "confidence", "judge", "topics", "message"),
        [
            (f"{m.created_at:%Y-%m-%d %H:%M}", m.score, m.label, m.confidence, m.judge,
             ", ".join(m.topics or ()), m.text)
            for m in found
        ]
        + [("all", whole.score, whole.label, whole.confidence, whole.judge,
            ", ".join(whole.topics or ()), "")],
    )  # fmt: skip
