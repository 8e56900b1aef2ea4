"""Scores while visitors write and owners edit, delete and move: no error, and right in the end."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any
from uuid import UUID

import psycopg
import pytest

from db import sentiment
from db.pool import Connection, connect
from pipelines.errors import Snooze
from tests.integration.schema_world import acting_as
from tests.scoring import Scoring, WordJudge, scoring

WRITES_EACH = 40
TEXTS = ("hello", "this is bad", "good", "", "bad and late", "good work")
# What a message's score must be, by its words alone.
WRONG_MESSAGES = """
SELECT count(*) FROM messages AS m LEFT JOIN sentiment_analysis AS s ON s.message_id = m.id
WHERE CASE WHEN m.role = 'user'
      THEN m.sentiment_score IS DISTINCT FROM
               CASE WHEN m.content LIKE '%%bad%%' THEN -0.8
                    WHEN m.content LIKE '%%good%%' THEN 0.6 ELSE 0 END
           OR s.overall_score IS DISTINCT FROM m.sentiment_score
           OR s.conversation_id IS DISTINCT FROM m.conversation_id
      ELSE m.sentiment_score IS NOT NULL OR s.id IS NOT NULL END
"""
WRONG_AGENTS = """
SELECT count(*) FROM sentiment_analysis AS s JOIN conversations AS c ON c.id = s.conversation_id
WHERE s.agent_id <> c.agent_id
"""
WRITES = (
    "INSERT INTO messages (conversation_id, role, content) SELECT unnest(%(some)s::uuid[]), 'user',"
    " %(text)s",
    "UPDATE messages SET content = %(text)s WHERE conversation_id = %(a)s",
    "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE conversation_id = %(a)s"
    " LIMIT 2 FOR UPDATE SKIP LOCKED)",
    "UPDATE messages SET conversation_id = %(b)s WHERE id = (SELECT id FROM messages"
    " WHERE conversation_id = %(a)s LIMIT 1 FOR UPDATE SKIP LOCKED)",
    "UPDATE messages SET role = %(role)s WHERE id = (SELECT id FROM messages"
    " WHERE conversation_id = %(a)s LIMIT 1 FOR UPDATE SKIP LOCKED)",
    "UPDATE conversations SET visitor_name = %(text)s WHERE id = %(a)s",
)


@pytest.fixture
def world(conn: Connection, database_url: str) -> Iterator[Scoring]:
    with scoring(conn, database_url) as prepared:
        yield prepared


def write(url: str, seed: int, conversations: list[UUID]) -> int:
    """How many writes of a visitor or an owner were refused: none may be."""
    dice = random.Random(seed)
    refused = 0
    with connect(url, autocommit=True) as own:
        for _ in range(WRITES_EACH):
            some = dice.sample(conversations, 3)
            values = {
                "some": some,
                "a": some[0],
                "b": some[1],
                "text": dice.choice(TEXTS),
                "role": dice.choice(["user", "assistant"]),
            }
            try:
                own.execute(dice.choice(WRITES).encode(), values)
            except psycopg.Error:
                refused += 1
    return refused


def keep_scoring(world: Scoring, judge: WordJudge, stopped: Event) -> None:
    with world.attempt() as fence:
        while not stopped.wait(0.01):
            try:
                world.work(fence, judge=judge)
            except Snooze:
                continue


def at_once(works: list[Callable[[], int]], scorers: list[Callable[[Event], None]]) -> list[int]:
    stopped = Event()
    with ThreadPoolExecutor(len(works) + len(scorers)) as threads:
        scoring_now = [threads.submit(scorer, stopped) for scorer in scorers]
        counts = [each.result() for each in [threads.submit(work) for work in works]]
        stopped.set()
        for each in scoring_now:
            each.result()
    return counts


def test_scores_are_right_after_any_mix_of_writers(world: Scoring) -> None:
    conversations = [world.converse(text) for text in TEXTS]

    refused = at_once(
        [lambda seed=seed: write(world.url, seed, conversations) for seed in range(4)],  # type: ignore[misc]
        [
            lambda stopped, name=name: keep_scoring(world, WordJudge(name), stopped)  # type: ignore[misc]
            for name in ("acme/one", "acme/two")
        ],
    )
    world.run()

    assert refused == [0] * 4
    assert (world.one(WRONG_MESSAGES), world.one(WRONG_AGENTS)) == (0, 0)
    assert world.count("worker.sentiment_marks") == 0
    stored = [world.whole(conversation) for conversation in conversations]
    world.conn.execute("UPDATE conversations SET sentiment_score = NULL, sentiment_label = NULL")
    world.conn.execute(
        "INSERT INTO worker.sentiment_marks (agent_id, conversation_id)"
        " SELECT agent_id, id FROM conversations"
    )
    world.run()
    assert [world.whole(conversation) for conversation in conversations] == stored


def test_a_deletion_that_began_first_never_waits_for_scores(world: Scoring) -> None:
    """It holds the agent and wants its conversations next: whoever scores holds none of them."""
    world.converse("this is bad")

    with ThreadPoolExecutor(1) as threads, connect(world.url) as deleting:
        deleting.execute("SELECT FROM agents WHERE id = %s FOR UPDATE", (world.agent_id,))
        scored = threads.submit(world.run)
        wait_until_somebody_waits(world.url)
        deleting.execute("DELETE FROM agents WHERE id = %s", (world.agent_id,))
        deleting.commit()
        result = scored.result(timeout=30)

    assert result == {"messages": 0, "conversations": 0, "complete": True}
    assert world.count("worker.sentiment_marks") == world.count("sentiment_analysis") == 0
    assert world.count("usage_logs") == 1


def wait_until_somebody_waits(url: str) -> None:
    deadline = time.monotonic() + 30
    with connect(url, autocommit=True) as conn:
        while not conn.execute(
            "SELECT true FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_owners_edit_through_row_level_security(world: Scoring) -> None:
    conversation = world.converse("this is bad")
    world.run()

    with acting_as(world.conn, "authenticated", world.user_id):
        world.conn.execute("UPDATE messages SET content = 'good'")
        seen = (world.scores(conversation), world.count("sentiment_analysis"))
        world.conn.execute("RESET ROLE")
        marked = world.count("worker.sentiment_marks")

    assert (seen, marked) == (([None], 1), 1)


SCANNED = ("messages", "sentiment_analysis")


@pytest.mark.parametrize(
    "statement", ["list_unscored", "store_scores", "find_settled", "list_scored"]
)
def test_a_batch_reads_its_rows_by_index_on_stale_statistics(
    world: Scoring, statement: str
) -> None:
    """Right after an import, the planner believes that the tables are empty."""
    world.conn.execute("ANALYZE")
    world.conn.execute(
        "INSERT INTO conversations (agent_id) SELECT %s FROM generate_series(1, 1000)",
        (world.agent_id,),
    )
    world.conn.execute(
        "INSERT INTO messages (conversation_id, role, content)"
        " SELECT id, 'user', 'good' FROM conversations, generate_series(1, 5)"
    )
    values = {
        "agent_id": world.agent_id,
        "conversation_ids": [
            row["id"] for row in world.rows("SELECT id FROM conversations LIMIT 200")
        ],
        "scores": "[]",
        "chars_max": 4000,
        "rows_max": 50,
        "messages_max": 200,
    }

    with world.conn.transaction():
        sentiment.plan_by_index(world.conn)
        query = b"EXPLAIN (FORMAT JSON) " + getattr(sentiment.SQL, statement)
        row = world.conn.execute(query, values).fetchone()

    assert row is not None
    scans = [node for node in nodes_of(row[0][0]["Plan"]) if node["Relation Name"] in SCANNED]
    assert scans
    assert [node for node in scans if not node.keys() & {"Index Cond", "Recheck Cond"}] == []


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All scans of tables within a plan."""
    if "Relation Name" in plan and plan["Node Type"] != "ModifyTable":
        yield plan
    for child in plan.get("Plans", []):
        yield from nodes_of(child)
