"""Whose period the schedule ends, and what it leaves alone."""

from collections.abc import Iterator

import pytest

from db.fence import Fence, LeaseLost
from db.pool import Connection, connect
from pipelines import reset_monthly_usage
from pipelines.reset_monthly_usage import run
from tests.housekeeping import held, lose
from tests.integration.schema_world import OTHER, OWNER, sign_up
from tests.integration.test_schema_functions import one

STATE = (
    "SELECT monthly_messages_used, usage_period_start = private.period_start("
    "billing_anchor_day, (now() AT TIME ZONE 'UTC')::date) FROM user_profiles ORDER BY id"
)


@pytest.fixture
def world(conn: Connection) -> Connection:
    """Two customers whose last period ended long ago."""
    for user, email in ((OWNER, "a@example.com"), (OTHER, "b@example.com")):
        sign_up(conn, user, email)
    conn.execute(
        "UPDATE user_profiles SET usage_period_start = '2025-01-31', monthly_messages_used = 9"
    )
    return conn


@pytest.fixture
def fence(world: Connection, database_url: str) -> Iterator[Fence]:
    with held(world, database_url, "reset_monthly_usage") as held_fence:
        yield held_fence


def kept(conn: Connection) -> int:
    return int(one(conn, "SELECT count(*) FROM worker.billing_periods"))


def test_periods_that_are_over_end_and_their_counters_are_kept(
    world: Connection, fence: Fence
) -> None:
    result = run(fence)

    assert result == {"profiles": 2, "complete": True}
    assert world.execute(STATE.encode()).fetchall() == [(0, True), (0, True)]
    assert world.execute(
        "SELECT DISTINCT period_start::text, period_end::text, messages_counted"
        " FROM worker.billing_periods"
    ).fetchall() == [("2025-01-31", "2025-02-28", 9)]


def test_running_twice_changes_nothing(world: Connection, fence: Fence) -> None:
    run(fence)
    world.execute("UPDATE user_profiles SET monthly_messages_used = 4")

    result = run(fence)

    assert (result["profiles"], kept(world)) == (0, 2)
    assert world.execute(STATE.encode()).fetchall() == [(4, True), (4, True)]


def test_killed_midway_it_is_finished_by_the_next(
    world: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reset_monthly_usage, "BATCH_PROFILES", 1)
    with held(world, database_url, "reset_monthly_usage") as first:
        reset_monthly_usage.end_batch(first)
        lose(world, first)
        with pytest.raises(LeaseLost):
            run(first)
    after_the_kill = kept(world)

    with held(world, database_url, "reset_monthly_usage") as second:
        result = run(second)

    assert (after_the_kill, result, kept(world)) == (1, {"profiles": 1, "complete": True}, 2)


def test_who_is_just_written_to_is_left_to_the_next_tick(
    world: Connection, database_url: str, fence: Fence
) -> None:
    with connect(database_url) as visitor:
        visitor.execute("UPDATE user_profiles SET full_name = 'x' WHERE id = %s", [OWNER])

        first = run(fence)
        visitor.commit()
    second = run(fence)

    assert (first["profiles"], second["profiles"]) == (1, 1)


def test_at_its_time_limit_it_stops_and_says_so(
    fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reset_monthly_usage, "BATCH_PROFILES", 1)

    result = run(fence, duration_s_max=0)

    assert result == {"profiles": 1, "complete": False}
