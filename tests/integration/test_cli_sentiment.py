"""`avivro sentiment`, as an operator uses it."""

import json
from collections.abc import Iterator
from datetime import datetime
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from db.pool import Connection
from tests.scoring import Scoring, scoring
from workers.cli import app


@pytest.fixture
def world(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scoring]:
    monkeypatch.setenv("DATABASE_URL", database_url)
    with scoring(conn, database_url) as prepared:
        conn.execute("UPDATE user_profiles SET time_zone = 'Asia/Kathmandu'")
        yield prepared


def run(*arguments: object, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, ["sentiment", *map(str, arguments)])
    assert result.exit_code == exit_code, result.output
    return result.output


def write_at(world: Scoring, moment: str, text: str = "this is bad") -> None:
    """A conversation of that moment, which nobody marked."""
    world.conn.execute(
        "UPDATE messages SET created_at = %s WHERE conversation_id = %s",
        (datetime.fromisoformat(moment), world.converse(text)),
    )
    world.conn.execute("DELETE FROM worker.sentiment_marks")


def test_a_range_is_of_the_owners_days_and_both_ends_count(world: Scoring) -> None:
    for moment in (
        "2026-03-01 18:14:59+00:00",  # 23:59:59 of the first in Nepal
        "2026-03-01 18:15:00+00:00",
        "2026-03-03 18:14:59+00:00",
        "2026-03-03 18:15:00+00:00",  # the fourth begins
    ):
        write_at(world, moment)

    printed = json.loads(
        run("backfill", world.agent_id, "--from", "2026-03-02", "--to", "2026-03-03", "--json")
    )
    result = world.run()

    assert printed == {"conversations": 2, "messages": 2}
    assert result == {"messages": 2, "conversations": 2, "complete": True}


def test_a_conversation_in_the_range_is_scored_whole_and_the_command_says_so(
    world: Scoring,
) -> None:
    conversation_id = world.converse("this is bad", "this is good")
    world.conn.execute(
        "UPDATE messages SET created_at = CASE content WHEN 'this is bad'"
        " THEN '2026-03-01 12:00+00'::timestamptz ELSE '2026-03-09 12:00+00' END"
        " WHERE conversation_id = %s",
        (conversation_id,),
    )
    world.conn.execute("DELETE FROM worker.sentiment_marks")

    printed = run("backfill", world.agent_id, "--to", "2026-03-02")
    result = world.run()

    assert "1 message of 1 conversation" in printed
    assert "and what else has no score in these" in " ".join(printed.split())
    assert result["messages"] == 2


def test_what_has_a_score_is_only_scored_again_when_asked_to(world: Scoring) -> None:
    write_at(world, "2026-03-02 12:00:00+00:00")
    run("backfill", world.agent_id)
    world.run()

    without = run("backfill", world.agent_id)
    world.run()
    again = run("backfill", world.agent_id, "--again")
    forgotten = world.count("sentiment_analysis WHERE message_id IS NOT NULL")
    world.run()

    assert "0 messages of 0 conversations" in without
    assert "1 message of 1 conversation" in again
    assert (forgotten, len(world.judge.asked)) == (0, 2)
    assert world.count("sentiment_analysis") == 2


def test_every_page_of_conversations_is_marked_once(
    world: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.cli.sentiment.PAGE_CONVERSATIONS", 2)
    for _ in range(5):
        world.converse("good")
    world.conn.execute("UPDATE conversations SET created_at = '2026-03-02'")
    world.conn.execute("DELETE FROM worker.sentiment_marks")

    printed = run("backfill", world.agent_id)

    assert "5 messages of 5 conversations" in printed
    assert world.count("worker.sentiment_marks") == 5


def test_where_it_is_off_nothing_is_done_and_it_says_so(world: Scoring) -> None:
    write_at(world, "2026-03-02 12:00:00+00:00")
    world.conn.execute("UPDATE agents SET enable_sentiment_analysis = false")

    printed = run("backfill", world.agent_id, exit_code=1)

    assert "sentiment analysis is off" in printed
    assert world.count("worker.sentiment_marks") == 0


def test_an_agent_or_a_conversation_that_is_not_there_is_named(world: Scoring) -> None:
    nobody = uuid4()

    assert str(nobody) in run("backfill", nobody, exit_code=1)
    assert str(nobody) in run("show", nobody, exit_code=1)


def test_a_conversations_scores_are_shown(world: Scoring) -> None:
    conversation = world.converse("hello", "this is bad")
    world.run()

    shown = json.loads(run("show", conversation, "--json"))
    printed = run("show", conversation)

    assert [(m["text"], m["label"]) for m in shown["messages"]] == [
        ("hello", "neutral"),
        ("this is bad", "negative"),
    ]
    assert shown["conversation"]["label"] == "negative"
    assert "this is bad" in printed
