"""A very negative conversation: one notification and one event, whoever sets its score."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from db.pool import Connection, connect
from tests.scoring import Scoring, scoring


@pytest.fixture
def world(conn: Connection, database_url: str) -> Iterator[Scoring]:
    with scoring(conn, database_url) as prepared:
        conn.execute(
            "INSERT INTO webhooks (user_id, name, url, events)"
            " VALUES (%s, 'w', 'https://a.example', '{conversation.negative}')",
            (prepared.user_id,),
        )
        yield prepared


def told(world: Scoring) -> tuple[int, int]:
    """Notifications and events."""
    return (
        world.count("notifications WHERE type = 'negative_conversation'"),
        world.count("webhook_deliveries WHERE event_type = 'conversation.negative'"),
    )


def set_score(conn: Connection, conversation_id: UUID, score: Any, label: Any) -> None:
    conn.execute(
        "UPDATE conversations SET sentiment_score = %s, sentiment_label = %s WHERE id = %s",
        (score, label, conversation_id),
    )


def test_its_owner_is_told_who_is_unhappy_with_whom(world: Scoring) -> None:
    conversation = world.converse("this is bad", name="Grace")

    world.run()

    (told_of,) = world.rows("SELECT * FROM notifications WHERE type = 'negative_conversation'")
    assert told_of["message"] == "Grace is very unhappy in a conversation with Ada."
    assert (told_of["user_id"], told_of["agent_id"], told_of["priority"]) == (
        world.user_id, world.agent_id, "high",
    )  # fmt: skip
    assert told_of["action_url"] == f"/conversations/{conversation}"
    (event,) = world.rows("SELECT * FROM webhook_deliveries")
    assert event["event_type"] == "conversation.negative"
    assert event["event_data"]["id"] == str(conversation)
    assert event["event_data"]["sentiment_score"] == -0.8


def test_it_is_told_once_however_often_the_score_crosses_the_line(world: Scoring) -> None:
    conversation = world.converse()

    for score, label in ((-0.8, "negative"), (0.7, "positive"), (None, None), (-0.9, "negative")):
        set_score(world.conn, conversation, score, label)

    assert told(world) == (1, 1)


@pytest.mark.parametrize(
    ("score", "label", "is_told"),
    [
        (-0.5, "negative", True),
        (-0.499, "negative", False),
        (-0.9, "neutral", False),
        (None, "negative", True),
        (-0.9, None, False),
    ],
)
def test_it_takes_half_of_the_scale_and_the_label(
    world: Scoring, score: float | None, label: str | None, is_told: bool
) -> None:
    set_score(world.conn, world.converse(), score, label)

    assert told(world) == ((1, 1) if is_told else (0, 0))


def test_one_that_is_inserted_so_is_told_of(world: Scoring) -> None:
    world.conn.execute(
        "INSERT INTO conversations (agent_id, sentiment_score, sentiment_label)"
        " VALUES (%s, -0.7, 'negative')",
        (world.agent_id,),
    )

    assert told(world) == (1, 1)


def test_many_writers_at_once_tell_once(world: Scoring) -> None:
    conversation = world.converse()

    def write(number: int) -> None:
        with connect(world.url, autocommit=True) as own:
            for turn in range(5):
                score = -0.9 if (number + turn) % 2 else 0.9
                set_score(own, conversation, score, "negative" if score < 0 else "positive")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))

    assert told(world) == (1, 1)


def test_a_score_is_stored_although_telling_of_it_fails(world: Scoring) -> None:
    conversation = world.converse()
    world.conn.execute("ALTER TABLE notifications ADD CHECK (type <> 'negative_conversation')")

    set_score(world.conn, conversation, -0.8, "negative")

    assert (world.whole(conversation), told(world)) == ((-0.8, "negative"), (0, 0))
