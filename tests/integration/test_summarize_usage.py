"""A month of usage is what its logs say, whoever wrote them and in whichever order."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import usage
from db.fence import Fence, LeaseLost
from db.pool import Connection, connect
from pipelines import summarize_usage
from pipelines.summarize_usage import run
from tests.housekeeping import held, lose
from tests.integration.schema_world import OTHER, OWNER, insert, sign_up
from tests.integration.test_schema_functions import one

COLUMNS = "total_messages, total_conversations, total_tokens, total_ai_requests, total_ai_cost"
NOW_MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC')"


@pytest.fixture
def world(conn: Connection) -> Connection:
    sign_up(conn, OWNER, "a@example.com")
    sign_up(conn, OTHER, "b@example.com")
    return conn


@pytest.fixture
def fence(world: Connection, database_url: str) -> Iterator[Fence]:
    with held(world, database_url, "summarize_usage") as held_fence:
        yield held_fence


def log(conn: Connection, at: str = "2026-03-15", user: UUID = OWNER, **columns: Any) -> UUID:
    log_id = uuid4()
    values = {"usage_type": "message", "total_tokens": 5, "total_cost": Decimal("0.1"), **columns}
    insert(conn, "usage_logs", {"id": log_id, "user_id": user, "created_at": at, **values})
    return log_id


def stored(conn: Connection) -> dict[tuple[UUID, int, int], tuple[Any, ...]]:
    rows = conn.execute(
        f"SELECT user_id, year, month, {COLUMNS} FROM monthly_usage_summary".encode()
    )
    return {row[:3]: row[3:] for row in rows.fetchall()}


def recount(conn: Connection) -> dict[tuple[UUID, int, int], tuple[Any, ...]]:
    """By Postgres itself, from the logs alone."""
    rows = conn.execute(
        "SELECT user_id, extract(year FROM at)::int, extract(month FROM at)::int,"
        " count(*) FILTER (WHERE usage_type = 'message'),"
        " count(*) FILTER (WHERE usage_type = 'conversation'), sum(total_tokens),"
        " count(*) FILTER (WHERE total_tokens > 0), sum(total_cost)"
        " FROM usage_logs, LATERAL (SELECT created_at AT TIME ZONE 'UTC' AS at) AS utc"
        " WHERE user_id IS NOT NULL GROUP BY 1, 2, 3"
    )
    return {row[:3]: row[3:] for row in rows.fetchall()}


def test_marked_months_say_what_their_logs_say(world: Connection, fence: Fence) -> None:
    world.execute("SET TIME ZONE 'Pacific/Auckland'")
    log(world, "2026-03-31 23:59:59.999999+00")
    log(world, "2026-04-01 00:00+00", usage_type="conversation", total_tokens=0)
    log(world, "2026-04-02", user=OTHER, total_cost=Decimal("0.0000000001"))

    result = run(fence)

    assert result == {"users": 2, "months_changed": 3, "differences": 0, "complete": True}
    assert stored(world) == recount(world)
    assert stored(world)[OWNER, 2026, 3] == (1, 0, 5, 1, Decimal("0.1"))


def test_running_twice_changes_nothing(world: Connection, fence: Fence) -> None:
    log(world)
    run(fence)
    before = world.execute("SELECT * FROM monthly_usage_summary").fetchall()

    results = [run(fence)["users"], run(fence, everybody=True)["months_changed"]]

    assert results == [0, 0]
    assert world.execute("SELECT * FROM monthly_usage_summary").fetchall() == before


def test_killed_midway_it_is_finished_by_the_next(
    world: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the marks of a user were taken and before anything was stored."""
    log(world)
    log(world, user=OTHER)
    with held(world, database_url, "summarize_usage") as first:
        monkeypatch.setattr(summarize_usage, "PAGE_USERS", 1)
        summarize = summarize_usage.summarize

        def die_after_one(*args: Any) -> None:
            summarize(*args)
            lose(world, first)

        monkeypatch.setattr(summarize_usage, "summarize", die_after_one)
        with pytest.raises(LeaseLost):
            run(first)
        monkeypatch.setattr(summarize_usage, "summarize", summarize)
    after_the_kill = len(stored(world))

    with held(world, database_url, "summarize_usage") as second:
        result = run(second)

    assert (after_the_kill, result["users"]) == (1, 1)
    assert stored(world) == recount(world)


def test_a_log_that_moves_leaves_its_old_month_and_user(world: Connection, fence: Fence) -> None:
    moved, gone, edited = (log(world, at) for at in ("2026-01-05", "2026-02-05", "2026-03-05"))
    run(fence)

    world.execute(
        "UPDATE usage_logs SET user_id = %s, created_at = '2026-06-01' WHERE id = %s",
        [OTHER, moved],
    )
    world.execute("DELETE FROM usage_logs WHERE id = %s", [gone])
    world.execute("UPDATE usage_logs SET total_cost = 7 WHERE id = %s", [edited])
    run(fence)

    assert stored(world) == recount(world)
    assert set(stored(world)) == {(OTHER, 2026, 6), (OWNER, 2026, 3)}


def test_a_month_that_is_over_keeps_its_limit(world: Connection, fence: Fence) -> None:
    log(world, "2026-03-05")
    world.execute("SELECT log_usage(%s, NULL, 'message')", [OWNER])
    run(fence)

    world.execute("UPDATE user_profiles SET monthly_message_limit = 7 WHERE id = %s", [OWNER])
    log(world, "2026-03-06")
    run(fence)

    limits = world.execute(
        "SELECT message_limit, messages_remaining, total_messages FROM monthly_usage_summary"
        " ORDER BY year, month"
    ).fetchall()
    assert limits == [(1000, 998, 2), (7, 6, 1)]


def test_the_running_month_follows_agents(world: Connection, fence: Fence) -> None:
    world.execute("SELECT log_usage(%s, NULL, 'message')", [OWNER])
    for _ in range(3):
        insert(world, "agents", {"user_id": OWNER, "name": "A", "system_prompt": "s"})
    run(fence)
    three = one(world, "SELECT total_agents FROM monthly_usage_summary")

    world.execute(
        "UPDATE agents SET user_id = %s WHERE id = (SELECT id FROM agents LIMIT 1)", [OTHER]
    )
    world.execute(
        "DELETE FROM agents WHERE id = (SELECT id FROM agents WHERE user_id = %s LIMIT 1)", [OWNER]
    )
    run(fence)

    assert (three, one(world, "SELECT total_agents FROM monthly_usage_summary")) == (3, 1)


def test_an_agent_without_usage_makes_no_month(world: Connection, fence: Fence) -> None:
    insert(world, "agents", {"user_id": OWNER, "name": "A", "system_prompt": "s"})

    run(fence)

    assert stored(world) == {}


def test_logs_of_impossible_times_stop_nobody(world: Connection, fence: Fence) -> None:
    for at in ("infinity", "-infinity", "4000-01-01 BC", "20000-01-01"):
        log(world, at)
    log(world, user=OTHER)

    run(fence)

    assert set(stored(world)) == {(OTHER, 2026, 3)}


def test_marks_of_a_deleted_account_go(world: Connection, fence: Fence) -> None:
    log(world)
    world.execute("DELETE FROM auth.users WHERE id = %s", [OWNER])

    run(fence)

    assert one(world, "SELECT count(*) FROM worker.usage_marks") == 0


def test_pruned_logs_leave_their_months_as_they_were(world: Connection, fence: Fence) -> None:
    log(world)
    run(fence)
    before = stored(world)

    with world.transaction():
        world.execute("SET LOCAL avivro.retention = 'on'")
        world.execute("DELETE FROM usage_logs")
    run(fence)

    assert (stored(world), one(world, "SELECT count(*) FROM usage_logs")) == (before, 0)


def test_the_nightly_look_finds_what_nobody_marked(
    world: Connection, fence: Fence, caplog: pytest.LogCaptureFixture
) -> None:
    world.execute("SELECT log_usage(%s, NULL, 'message')", [OWNER])
    log(world, "2026-01-05")
    run(fence)
    world.execute("UPDATE monthly_usage_summary SET total_messages = 99 WHERE total_messages = 1")

    result = run(fence, everybody=True)

    assert (result["differences"], result["months_changed"]) == (1, 1)
    assert str(OWNER) in caplog.text
    assert (
        one(
            world,
            f"SELECT total_messages FROM monthly_usage_summary WHERE"
            f" make_date(year, month, 1) = {NOW_MONTH}",
        )
        == 1
    )


def test_what_log_usage_adds_leaves_nothing_to_recompute(world: Connection) -> None:
    world.execute("SELECT log_usage(%s, NULL, 'message', 3, 0.5)", [OWNER])

    assert one(world, "SELECT count(*) FROM worker.usage_marks") == 0
    assert stored(world) == recount(world)


def test_who_waits_for_a_recompute_is_added_to_it(
    world: Connection, database_url: str, fence: Fence
) -> None:
    """log_usage meets rows that are locked, rows that vanish, and rows that come meanwhile."""
    for step in ("locked", "vanishing", "coming"):
        world.execute("DELETE FROM usage_logs")
        run(fence)
        if step != "coming":
            log(world, str(one(world, "SELECT now()")))
            run(fence)
        if step == "vanishing":
            world.execute("DELETE FROM usage_logs")

        with connect(database_url) as recomputing, connect(database_url) as adding:
            months = [usage.find_months(recomputing)[1]]
            usage.take_marks(recomputing, OWNER, marks_max=10)
            ids = usage.lock_months(recomputing, OWNER, months)
            waiting = threading.Thread(
                target=lambda own=adding: own.execute(
                    "SELECT log_usage(%s, NULL, 'message', 3)", [OWNER]
                )
            )
            waiting.start()
            waiting.join(0.2)
            usage.recompute_months(recomputing, OWNER, ids)
            recomputing.commit()
            waiting.join()
            adding.commit()

        assert stored(world) == recount(world), step


def test_many_writers_and_recomputations_end_equal_to_a_recount(
    world: Connection, database_url: str
) -> None:
    """Logs are added, inserted, moved and deleted, several in a transaction."""
    writers, rounds = 6, 25
    errors: list[BaseException] = []
    done = threading.Event()

    def write(own: Connection, dice: Random) -> None:
        for _ in range(rounds):
            user = dice.choice([OWNER, OTHER])
            with own.transaction():
                for _ in range(dice.randint(1, 3)):
                    change(own, dice, user)

    def change(own: Connection, dice: Random, user: UUID) -> None:
        match dice.randrange(5):
            case 0 | 1:
                own.execute(
                    "SELECT log_usage(%s, NULL, %s, %s, 0.0000001)",
                    [user, dice.choice(["message", "conversation"]), dice.randint(0, 3)],
                )
            case 2:
                log(own, str(one(own, "SELECT now()")), user)
            case 3:
                own.execute(
                    "UPDATE usage_logs SET created_at = created_at - interval '31 days',"
                    " user_id = %s WHERE id = (SELECT id FROM usage_logs ORDER BY md5(id::text"
                    " || %s) LIMIT 1 FOR UPDATE SKIP LOCKED)",
                    [user, str(dice.random())],
                )
            case _:
                own.execute(
                    "DELETE FROM usage_logs WHERE id = (SELECT id FROM usage_logs ORDER BY"
                    " md5(id::text || %s) LIMIT 1 FOR UPDATE SKIP LOCKED)",
                    [str(dice.random())],
                )

    def guarded(task: Any) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    def writer(seed: int) -> None:
        with connect(database_url, autocommit=True) as own:
            write(own, Random(seed))

    def summarizer() -> None:
        with held(world, database_url, "summarize_usage") as fence:
            while not done.is_set():
                run(fence)

    writing = [
        threading.Thread(target=guarded, args=(lambda s=seed: writer(s),))
        for seed in range(writers)
    ]
    summing = [threading.Thread(target=guarded, args=(summarizer,)) for _ in range(2)]
    for thread in writing + summing:
        thread.start()
    for thread in writing:
        thread.join()
    done.set()
    for thread in summing:
        thread.join()
    with held(world, database_url, "summarize_usage") as last:
        run(last)

    assert errors == []
    assert stored(world) == recount(world)


def test_nothing_that_is_added_is_lost_to_recomputations(
    world: Connection, database_url: str
) -> None:
    """Each run finds something to mend, and has to write while others add."""
    writers, calls = 4, 40
    done = threading.Event()

    def add() -> None:
        with connect(database_url) as own:
            for _ in range(calls):
                own.execute("SELECT log_usage(%s, NULL, 'message', 1, 0.1)", [OWNER])
                own.execute("SELECT pg_sleep(0.002)")
                own.commit()

    def recompute() -> None:
        with held(world, database_url, "summarize_usage") as fence:
            while not done.is_set():
                world.execute("UPDATE monthly_usage_summary SET total_conversations = 7")
                run(fence, everybody=True)

    adding = [threading.Thread(target=add) for _ in range(writers)]
    recomputing = threading.Thread(target=recompute)
    for thread in [*adding, recomputing]:
        thread.start()
    for thread in adding:
        thread.join()
    done.set()
    recomputing.join()

    assert stored(world) == recount(world)
    assert one(world, "SELECT sum(total_messages) FROM monthly_usage_summary") == writers * calls
