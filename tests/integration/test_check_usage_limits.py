"""Who is told of 80 and of 100 percent: once a period, whatever moves, and whoever was missed."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from db.embedded import Services
from db.fence import Fence, LeaseLost
from db.pool import Connection, connect
from pipelines import check_usage_limits
from pipelines.batching import repeat
from pipelines.check_usage_limits import run
from tests.conftest import fresh_database
from tests.housekeeping import held, lose
from tests.integration.schema_world import OTHER, OWNER, insert, sign_up
from tests.integration.test_schema_functions import one
from tests.mailed import mails

HIGH, URGENT = "high", "urgent"


@pytest.fixture(scope="module")
def shared(services: Services, template: str) -> Iterator[Connection]:
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as connection,
    ):
        listen(connection)
        yield connection


@pytest.fixture
def customer(shared: Connection) -> Iterator[Connection]:
    """One database for the module; each test's writes are undone."""
    with shared.transaction(force_rollback=True):
        yield shared


@pytest.fixture
def world(conn: Connection) -> Connection:
    listen(conn)
    return conn


def listen(conn: Connection) -> None:
    """A customer who hears of limits by webhook, too."""
    sign_up(conn, OWNER, "a@example.com")
    insert(
        conn,
        "webhooks",
        {
            "user_id": OWNER,
            "name": "w",
            "url": "https://a.example",
            "events": ["usage.limit_reached"],
        },
    )


@pytest.fixture
def fence(world: Connection, database_url: str) -> Iterator[Fence]:
    with held(world, database_url, "check_usage_limits") as held_fence:
        yield held_fence


def use(conn: Connection, messages: int, limit: int = 100) -> None:
    conn.execute(
        "UPDATE user_profiles SET monthly_messages_used = %s, monthly_message_limit = %s",
        (messages, limit),
    )


def told(conn: Connection) -> list[str]:
    rows = conn.execute(
        "SELECT priority FROM notifications WHERE type = 'usage_limit' ORDER BY priority"
    )
    return [row[0] for row in rows.fetchall()]


def events(conn: Connection) -> int:
    return int(one(conn, "SELECT count(*) FROM webhook_deliveries"))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(79, 100)], []),
        ([(80, 100), (81, 100), (79, 100), (80, 100)], [HIGH]),
        ([(80, 100), (100, 100), (101, 100), (0, 100), (100, 100)], [HIGH, URGENT]),
        ([(120, 100), (85, 100), (120, 100)], [URGENT]),
        ([(50, 100), (50, 60), (50, 50), (50, 100), (50, 50)], [HIGH, URGENT]),
        ([(100, 100), (100, 1000), (800, 1000), (1000, 1000)], [URGENT]),
        ([(0, 0)], []),
        ([(1, 0), (2, 0)], [URGENT]),
        ([(1, 1)], [URGENT]),
        ([(4, 5)], [HIGH]),
        ([(2**31 - 1, 2**31 - 1)], [URGENT]),
    ],
)
def test_each_mark_is_told_once_a_period(
    customer: Connection, steps: list[tuple[int, int]], expected: list[str]
) -> None:
    for messages, limit in steps:
        use(customer, messages, limit)

    assert told(customer) == expected
    mailed = [
        data["messages_used"] >= data["messages_limit"] for data in mails(customer, "usage_limit")
    ]
    assert sorted(mailed) == [each == URGENT for each in expected]
    assert events(customer) == expected.count(URGENT)


def test_a_new_period_is_told_of_anew(customer: Connection) -> None:
    use(customer, 100)

    customer.execute(
        "UPDATE user_profiles SET monthly_messages_used = 100,"
        " usage_period_start = usage_period_start + interval '1 month'"
    )

    assert told(customer) == [URGENT, URGENT]


def test_a_profile_that_begins_over_a_mark_is_told(customer: Connection) -> None:
    customer.execute("DELETE FROM user_profiles WHERE id = %s", [OWNER])

    customer.execute(
        "INSERT INTO user_profiles (id, email, monthly_messages_used, monthly_message_limit)"
        " VALUES (%s, 'a@example.com', 85, 100)",
        [OWNER],
    )

    assert told(customer) == [HIGH]


def test_callers_at_once_tell_each_mark_once(world: Connection, database_url: str) -> None:
    use(world, 0, limit=40)

    def count() -> None:
        with connect(database_url, autocommit=True) as own:
            for _ in range(15):
                own.execute("SELECT increment_message_usage(%s)", [OWNER])

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (told(world), one(world, "SELECT monthly_messages_used FROM user_profiles")) == (
        [HIGH, URGENT], 40,
    )  # fmt: skip


def test_a_telling_that_fails_refuses_no_message(world: Connection, fence: Fence) -> None:
    world.execute("ALTER TABLE notifications ADD CONSTRAINT never CHECK (type <> 'usage_limit')")
    use(world, 99)

    counted = one(world, "SELECT increment_message_usage(%s)", OWNER)
    world.execute("ALTER TABLE notifications DROP CONSTRAINT never")
    result = run(fence)

    assert (counted, result, told(world)) == (True, {"told": 1}, [URGENT])


def missed(conn: Connection, **columns: Any) -> None:
    """As when a trigger was switched off during a repair."""
    conn.execute("ALTER TABLE user_profiles DISABLE TRIGGER tell_of_usage")
    for name, value in columns.items():
        conn.execute(f"UPDATE user_profiles SET {name} = %s".encode(), [value])
    conn.execute("ALTER TABLE user_profiles ENABLE TRIGGER tell_of_usage")


def test_who_was_missed_is_told(world: Connection, fence: Fence) -> None:
    missed(world, monthly_messages_used=850)

    result = run(fence)

    assert (result, told(world)) == ({"told": 1}, [HIGH])


def test_running_twice_changes_nothing(world: Connection, fence: Fence) -> None:
    missed(world, monthly_messages_used=1000)
    run(fence)

    result = run(fence)

    assert (result, told(world), events(world)) == ({"told": 0}, [URGENT], 1)


def test_a_period_that_is_over_is_told_of_no_more(world: Connection, fence: Fence) -> None:
    missed(world, usage_period_start="2025-01-01", monthly_messages_used=1000)

    result = run(fence)

    assert (result, told(world)) == ({"told": 0}, [])


def test_killed_midway_it_is_finished_by_the_next(
    world: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_usage_limits, "BATCH_USERS", 1)
    sign_up(world, OTHER, "b@example.com")
    missed(world, monthly_messages_used=1000)
    with held(world, database_url, "check_usage_limits") as first:

        def die_after_one(tell_next: Any, **bounds: int) -> int:
            tell_next()
            lose(world, first)
            return repeat(tell_next, **bounds)

        monkeypatch.setattr(check_usage_limits, "repeat", die_after_one)
        with pytest.raises(LeaseLost):
            run(first)
        monkeypatch.setattr(check_usage_limits, "repeat", repeat)
    after_the_kill = len(told(world))

    with held(world, database_url, "check_usage_limits") as second:
        result = run(second)

    assert (after_the_kill, result, told(world)) == (1, {"told": 1}, [URGENT, URGENT])
