"""A message's agent is its conversation's, whoever moves what at the same time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from uuid import UUID

import pytest

from db.pool import Connection, connect
from tests.integration.stats_world import (
    add_agent,
    add_conversation,
    add_message,
    add_owner,
    assert_days_are_right,
    serve,
)
from tests.processes import wait_until

AT = "2026-03-10 12:00+00"
STRAYS = """
SELECT count(*) FROM messages AS m JOIN conversations AS c ON c.id = m.conversation_id
WHERE m.agent_id IS DISTINCT FROM c.agent_id
"""


@pytest.fixture
def agents(conn: Connection) -> list[UUID]:
    owner = add_owner(conn)
    return [add_agent(conn, owner) for _ in range(3)]


@contextmanager
def meanwhile(url: str, statement: str, *values: object) -> Iterator[None]:
    """Run a statement on a connection of its own; it has begun to wait when the block begins."""

    def work() -> None:
        with connect(url) as own:
            own.execute(statement.encode(), values)

    with ThreadPoolExecutor(1) as threads, connect(url, autocommit=True) as watching:
        running = threads.submit(work)
        wait_until(lambda: is_waiting(watching), "the statement waits for the other")
        yield
        running.result()


def is_waiting(conn: Connection) -> bool:
    row = conn.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()"
    ).fetchone()
    return row == (1,)


def strays(conn: Connection) -> int:
    row = conn.execute(STRAYS.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_a_conversation_takes_its_messages_along_and_they_are_not_edited(
    conn: Connection, agents: list[UUID]
) -> None:
    conversation = add_conversation(conn, agents[0], AT)
    add_message(conn, conversation, AT)
    before = conn.execute("SELECT updated_at FROM messages").fetchone()

    conn.execute("UPDATE conversations SET agent_id = %s", (agents[1],))

    after = conn.execute("SELECT updated_at, agent_id FROM messages").fetchone()
    assert before is not None
    assert after == (before[0], agents[1])


def test_nobody_can_give_a_message_another_agent(conn: Connection, agents: list[UUID]) -> None:
    conversation = add_conversation(conn, agents[0], AT)

    add_message(conn, conversation, AT, agent_id=agents[1])
    conn.execute("UPDATE messages SET agent_id = NULL")

    assert strays(conn) == 0


def test_a_message_written_while_its_conversation_moves_gets_the_new_agent(
    conn: Connection, agents: list[UUID], database_url: str
) -> None:
    conversation = add_conversation(conn, agents[0], AT)
    insert = "INSERT INTO messages (conversation_id, role, content) VALUES (%s, 'user', 'x')"

    with connect(database_url) as moving:
        moving.execute("UPDATE conversations SET agent_id = %s", (agents[1],))
        with meanwhile(database_url, insert, conversation):
            moving.commit()

    assert strays(conn) == 0
    serve(conn)
    assert_days_are_right(conn)


def test_a_message_that_moves_to_a_moving_conversation_gets_the_new_agent(
    conn: Connection, agents: list[UUID], database_url: str
) -> None:
    conversation = add_conversation(conn, agents[0], AT)
    message = add_message(conn, add_conversation(conn, agents[2], AT), AT)
    move = "UPDATE messages SET conversation_id = %s WHERE id = %s"

    with connect(database_url) as moving:
        moving.execute(
            "UPDATE conversations SET agent_id = %s WHERE id = %s", (agents[1], conversation)
        )
        with meanwhile(database_url, move, conversation, message):
            moving.commit()

    assert strays(conn) == 0
    serve(conn)
    assert_days_are_right(conn)


def test_a_message_that_is_locked_while_its_conversation_moves_follows_it(
    conn: Connection, agents: list[UUID], database_url: str
) -> None:
    conversation = add_conversation(conn, agents[0], AT)
    add_message(conn, conversation, AT)
    add_message(conn, conversation, AT)
    serve(conn)

    with connect(database_url) as scoring:
        scoring.execute(
            "UPDATE messages SET sentiment_score = 0.5 WHERE id = (SELECT min(id::text)::uuid"
            " FROM messages)"
        )
        conn.execute("SET lock_timeout = '2s'")
        conn.execute("UPDATE conversations SET agent_id = %s", (agents[1],))
        left_behind = strays(conn)
        before = conn.execute("SELECT updated_at FROM messages ORDER BY id").fetchall()
        scoring.commit()
    serve(conn)

    assert (left_behind, strays(conn)) == (1, 0)
    assert conn.execute("SELECT updated_at FROM messages ORDER BY id").fetchall() == before
    assert_days_are_right(conn)


def test_writers_that_move_and_delete_crosswise_never_deadlock(
    conn: Connection, agents: list[UUID], database_url: str
) -> None:
    conversations = [add_conversation(conn, agents[n % 3], AT) for n in range(6)]
    for conversation in conversations * 3:
        add_message(conn, conversation, AT)

    def write(seed: int) -> None:
        dice = Random(seed)
        with connect(database_url, autocommit=True) as own:
            for _ in range(40):
                one, two, agent = *dice.sample(conversations, 2), dice.choice(agents)
                values = {"one": one, "two": two, "agent": agent, "some": [one, two]}
                own.execute(dice.choice(WRITES).encode(), values)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    serve(conn)

    assert strays(conn) == 0
    assert_days_are_right(conn)


WRITES = [
    "INSERT INTO messages (conversation_id, role, content) SELECT unnest(%(some)s::uuid[]),"
    " 'user', 'x'",
    "UPDATE conversations SET agent_id = %(agent)s WHERE id = %(one)s",
    "DELETE FROM messages WHERE id = (SELECT id FROM messages WHERE conversation_id = %(one)s"
    " LIMIT 1)",
    "UPDATE messages SET conversation_id = %(two)s WHERE id = (SELECT id FROM messages"
    " WHERE conversation_id = %(one)s LIMIT 1)",
    "UPDATE messages SET tokens_used = tokens_used + 1 WHERE id = (SELECT id FROM messages"
    " WHERE conversation_id = %(one)s LIMIT 1)",
]
