"""Which conversations are closed, when, and with which duration."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from db import housekeeping
from db.fence import Fence, LeaseLost
from db.pool import Connection, connect
from pipelines import close_idle_conversations
from pipelines.close_idle_conversations import run
from tests.housekeeping import Customer, column, customer, held, lose

KIND = "close_idle_conversations"


@pytest.fixture
def owner(conn: Connection) -> Customer:
    return customer(conn)


@pytest.fixture
def fence(conn: Connection, database_url: str) -> Iterator[Fence]:
    with held(conn, database_url, KIND) as held_fence:
        yield held_fence


def row(conn: Connection, conversation_id: UUID) -> tuple[Any, ...]:
    found = conn.execute(
        "SELECT status, duration_seconds FROM conversations WHERE id = %s", (conversation_id,)
    ).fetchone()
    assert found is not None
    return tuple(found)


def test_what_nobody_goes_on_with_is_resolved(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    idle = owner.converse(50, 50, 49, 25)
    silent = owner.converse(25)
    chatty = owner.converse(50, 50, 23)
    fresh = owner.converse(23)
    archived = owner.converse(50, 49, status="archived")

    result = run(fence)

    assert result == {"closed": 2, "complete": True}
    assert row(conn, idle) == ("resolved", 25 * 3600)
    assert row(conn, silent) == ("resolved", 0)
    assert [row(conn, each)[0] for each in (chatty, fresh)] == ["active", "active"]
    assert row(conn, archived)[0] == "archived"


def test_running_twice_changes_nothing(conn: Connection, owner: Customer, fence: Fence) -> None:
    owner.converse(50, 49)
    run(fence)
    before = column(conn, "SELECT to_jsonb(c) FROM conversations AS c ORDER BY id")

    result = run(fence)

    assert result["closed"] == 0
    assert column(conn, "SELECT to_jsonb(c) FROM conversations AS c ORDER BY id") == before


def test_killed_midway_it_is_finished_by_the_next(
    conn: Connection, database_url: str, owner: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(close_idle_conversations, "PAGE_ROWS", 2)
    for _ in range(6):
        owner.converse(30)
    open_left = "SELECT count(*) FROM conversations WHERE status = 'active'"
    with held(conn, database_url, KIND) as first:
        (page, *_) = [close_idle_conversations.find_page(first, None)]
        close_idle_conversations.close_page(first, page)
        lose(conn, first)
        with pytest.raises(LeaseLost):
            run(first)
    after_the_kill = column(conn, open_left)

    with held(conn, database_url, KIND) as second:
        result = run(second)

    assert after_the_kill == [4]
    assert (result["closed"], column(conn, open_left)) == (4, [0])


def test_webhooks_hear_of_it_once(conn: Connection, owner: Customer, fence: Fence) -> None:
    conn.execute(
        "INSERT INTO webhooks (user_id, name, url, events)"
        " VALUES (%s, 'w', 'https://a.example', '{conversation.resolved}')",
        (owner.id,),
    )
    owner.converse(50, 49)

    run(fence)
    run(fence)

    (data,) = column(conn, "SELECT event_data FROM webhook_deliveries")
    assert (data["status"], data["duration_seconds"]) == ("resolved", 3600)


def test_an_import_is_idle_as_its_messages_are(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    """Messages older than their conversation make no negative duration."""
    imported = owner.converse(0, 100, 90)
    half_imported = owner.converse(0, 100, 1)

    run(fence)

    assert row(conn, imported) == ("resolved", 0)
    assert row(conn, half_imported)[0] == "active"


def test_what_is_opened_again_has_a_day_again(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    idle = owner.converse(50, 49)
    run(fence)
    conn.execute("UPDATE conversations SET status = 'active' WHERE id = %s", (idle,))

    soon = run(fence)
    conn.execute("UPDATE worker.reopened_conversations SET reopened_at = now() - interval '1 day'")

    assert (soon["closed"], run(fence)["closed"]) == (0, 1)
    assert row(conn, idle) == ("resolved", 3600)


def test_an_agent_that_is_being_deleted_is_not_waited_for(
    conn: Connection, database_url: str, owner: Customer, fence: Fence
) -> None:
    owner.converse(50, 49)
    with connect(database_url) as deleter:
        deleter.execute("SELECT FROM agents FOR UPDATE")

        assert run(fence)["closed"] == 0


def test_two_runs_at_once_close_each_once(
    conn: Connection, database_url: str, owner: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(close_idle_conversations, "PAGE_ROWS", 5)
    conn.execute(
        "INSERT INTO webhooks (user_id, name, url, events)"
        " VALUES (%s, 'w', 'https://a.example', '{conversation.resolved}')",
        (owner.id,),
    )
    for _ in range(40):
        owner.converse(30)

    with (
        held(conn, database_url, KIND) as one,
        held(conn, database_url, KIND) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        results = list(threads.map(run, (one, other)))

    assert sum(result["closed"] for result in results) == 40
    assert column(conn, "SELECT count(*) FROM webhook_deliveries") == [40]


def test_a_duration_beyond_an_int_is_cut(conn: Connection, owner: Customer, fence: Fence) -> None:
    ancient = owner.converse(24 * 365 * 100, 24 * 365 * 10)

    run(fence)

    assert row(conn, ancient) == ("resolved", 2**31 - 1)


def test_a_conversation_before_all_calendars_does_not_stop_the_others(
    conn: Connection, owner: Customer, fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(close_idle_conversations, "PAGE_ROWS", 1)
    idle = owner.converse(30)
    conn.execute("SET session_replication_role = replica")
    broken = owner.converse(31)
    conn.execute("UPDATE conversations SET created_at = '-infinity' WHERE id = %s", (broken,))

    run(fence)

    assert row(conn, idle)[0] == "resolved"


def test_a_message_on_its_way_keeps_its_conversation_open(
    conn: Connection, database_url: str, owner: Customer, fence: Fence
) -> None:
    """It is not committed yet: nobody waits for it, the next run looks again."""
    idle = owner.converse(50, 49)
    with connect(database_url) as visitor:
        Customer(visitor, owner.id, owner.agent_id).write(idle, 0)

        result = run(fence)

    assert (result["closed"], row(conn, idle)[0]) == (0, "active")


def test_a_message_between_the_look_and_the_lock_wins(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    idle = owner.converse(50, 49)
    page = close_idle_conversations.find_page(fence, None)
    owner.write(idle, 0)

    closed = close_idle_conversations.close_page(fence, page)

    assert ([each.is_idle for each in page], closed) == ([True], 0)
    assert row(conn, idle)[0] == "active"


def test_those_that_go_on_for_ever_do_not_hide_the_idle_ones(
    conn: Connection, owner: Customer, fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(close_idle_conversations, "PAGE_ROWS", 3)
    for hours in range(100, 107):
        owner.converse(hours, 1)
    idle = owner.converse(30)

    run(fence)

    assert row(conn, idle)[0] == "resolved"


def test_it_finds_its_rows_by_an_index_on_stale_statistics(
    conn: Connection, owner: Customer
) -> None:
    conn.execute("ANALYZE conversations")
    conn.execute(
        "INSERT INTO conversations (agent_id, status, created_at)"
        " SELECT %s, 'resolved', now() - n * interval '1 min' FROM generate_series(1, 5000) AS n",
        (owner.agent_id,),
    )

    with conn.transaction():
        conn.execute(housekeeping.SQL.plan_by_index)
        plan = conn.execute(
            b"EXPLAIN " + housekeeping.SQL.find_open,
            {"since_at": None, "since_id": None, "idle_s": 86400.0, "rows_max": 500},
        ).fetchall()

    text = "\n".join(line for (line,) in plan)
    assert "conversations_open_idx" in text
    assert "messages_conversation_id_created_at_idx" in text
    assert "Seq Scan" not in text
