"""When a usage period begins and ends, and what is kept of one that is over."""

import threading
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.embedded import Services
from db.pool import Connection, connect
from tests.conftest import fresh_database
from tests.integration.schema_world import OTHER, OWNER, sign_up
from tests.integration.test_schema_functions import one

PERIODS = (
    "SELECT period_start::text, period_end::text, messages_counted, message_limit, tier"
    " FROM worker.billing_periods WHERE user_id = %s ORDER BY period_start"
)


@pytest.fixture(scope="module")
def shared(services: Services, template: str) -> Iterator[Connection]:
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture
def user(shared: Connection) -> Iterator[Connection]:
    """A customer in one database for the module; each test's writes are undone."""
    with shared.transaction(force_rollback=True):
        sign_up(shared, OWNER, "a@example.com")
        yield shared


def put(conn: Connection, **values: Any) -> None:
    """Write columns of the user's profile as a web tier would."""
    for name, value in values.items():
        conn.execute(f"UPDATE user_profiles SET {name} = %s WHERE id = %s".encode(), [value, OWNER])


def anchor(conn: Connection) -> tuple[int, str]:
    row = conn.execute(
        "SELECT billing_anchor_day, usage_period_start::text FROM user_profiles WHERE id = %s",
        [OWNER],
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def kept(conn: Connection) -> list[tuple[Any, ...]]:
    return conn.execute(PERIODS, [OWNER]).fetchall()


def days_of(anchor_day: int, year: int) -> list[date]:
    """An anchor's twelve days of a year, by counting down from it to a day that exists."""
    found = []
    for month in range(1, 13):
        day = anchor_day
        while True:
            try:
                found.append(date(year, month, day))
                break
            except ValueError:
                day -= 1
    return found


@pytest.mark.parametrize("anchor_day", [1, 15, 28, 29, 30, 31])
def test_every_day_lies_in_the_period_that_its_anchor_gives(
    user: Connection, anchor_day: int
) -> None:
    starts = sorted(day for year in range(2023, 2030) for day in days_of(anchor_day, year))

    rows = user.execute(
        "SELECT at::date, private.period_start(%(a)s, at::date),"
        " private.next_period_start(%(a)s, at::date)"
        " FROM generate_series('2024-01-01'::date, '2028-12-31', '1 day') AS at",
        {"a": anchor_day},
    ).fetchall()

    wrong = [
        (at, began, ends)
        for at, began, ends in rows
        if began != max(s for s in starts if s <= at) or ends != min(s for s in starts if s > at)
    ]
    assert (len(rows), wrong) == (1827, [])


@pytest.mark.parametrize(
    ("began", "today", "begins"),
    [
        ("2025-01-31", "2025-02-27", "2025-01-31"),
        ("2025-01-31", "2025-02-28", "2025-02-28"),
        ("2024-01-31", "2024-02-29", "2024-02-29"),
        ("2024-01-30", "2024-02-29", "2024-02-29"),
        ("2025-01-29", "2025-02-28", "2025-02-28"),
        ("2025-01-31", "2025-07-30", "2025-06-30"),
    ],
)
def test_a_reset_begins_the_period_that_today_lies_in(
    user: Connection, began: str, today: str, begins: str
) -> None:
    put(user, usage_period_start=began)

    user.execute("SELECT worker.end_periods(NULL, %s)", [today])

    assert anchor(user) == (int(began[-2:]), begins)


def test_an_anchor_outlives_the_months_that_are_too_short_for_it(user: Connection) -> None:
    put(user, usage_period_start="2025-01-31")

    for today in ("2025-02-28", "2025-03-31", "2025-04-30", "2025-05-31"):
        user.execute("SELECT worker.end_periods(NULL, %s)", [today])

    starts = [row[:2] for row in kept(user)]
    assert anchor(user) == (31, "2025-05-31")
    assert starts == [
        ("2025-01-31", "2025-02-28"),
        ("2025-02-28", "2025-03-31"),
        ("2025-03-31", "2025-04-30"),
        ("2025-04-30", "2025-05-31"),
    ]


@pytest.mark.parametrize(
    ("written", "anchored"),
    [("2025-02-28", 31), ("2025-02-27", 27), ("2025-03-01", 1), ("2025-04-30", 31)],
)
def test_a_day_that_the_anchor_would_not_give_is_a_new_anchor(
    user: Connection, written: str, anchored: int
) -> None:
    put(user, usage_period_start="2025-01-31")

    put(user, usage_period_start=written)

    assert anchor(user) == (anchored, written)


def test_a_profile_made_with_an_anchor_begins_in_its_running_period(user: Connection) -> None:
    user.execute("DELETE FROM user_profiles")

    user.execute("INSERT INTO user_profiles (id, billing_anchor_day) VALUES (%s, 17)", [OWNER])

    running = one(user, "SELECT private.period_start(17, (now() AT TIME ZONE 'UTC')::date)::text")
    assert anchor(user) == (17, running)


@pytest.mark.parametrize("how", ["increment_message_usage(%(user)s)", "reset_monthly_usage()"])
def test_the_counter_of_a_period_that_ends_is_kept(user: Connection, how: str) -> None:
    put(user, usage_period_start="2025-01-31", monthly_messages_used=42, monthly_message_limit=50)

    for _ in range(2):
        user.execute(f"SELECT {how}".encode(), {"user": OWNER})

    assert kept(user) == [("2025-01-31", "2025-02-28", 42, 50, "free")]


def test_a_start_moved_by_hand_keeps_the_counter_too(user: Connection) -> None:
    put(user, usage_period_start="2025-01-15", monthly_messages_used=7)

    user.execute(
        "UPDATE user_profiles SET monthly_messages_used = 0, usage_period_start = '2025-01-20'"
    )

    assert kept(user) == [("2025-01-15", "2025-01-20", 7, 1000, "free")]


def test_a_start_that_is_set_back_gives_no_day_a_second_time(user: Connection) -> None:
    put(user, usage_period_start="2025-01-01", monthly_messages_used=5)
    user.execute("SELECT worker.end_periods(NULL, '2025-02-10')")

    for back, counted, today in (
        ("2025-01-01", 6, "2025-02-12"),
        ("2025-01-10", 7, "2025-02-20"),
        ("2024-11-20", 8, "2025-02-25"),
    ):
        put(user, usage_period_start=back, monthly_messages_used=counted)
        user.execute("SELECT worker.end_periods(NULL, %s)", [today])

    assert [row[:3] for row in kept(user)] == [
        ("2025-01-01", "2025-02-01", 5),
        ("2025-02-01", "2025-02-10", 7),
        ("2025-02-10", "2025-02-20", 8),
    ]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["count", "count", "pass", "pass", "set back", "anchor"]),
        st.integers(0, 75),
    ),
    max_size=14,
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(anchor_day=st.integers(1, 31), steps=STEPS)
def test_whatever_moves_a_start_nothing_is_counted_twice_and_no_day_is_in_two_periods(
    user: Connection, anchor_day: int, steps: list[tuple[str, int]]
) -> None:
    """Nor is it lost, but for what somebody counts in a period that is over already."""
    counted, today = 0, date(2025, 1, 31)
    with user.transaction(force_rollback=True):
        put(user, usage_period_start="2025-01-01", billing_anchor_day=anchor_day)
        for what, number in steps:
            match what:
                case "count":
                    counted += number
                    user.execute(
                        "UPDATE user_profiles SET monthly_messages_used = monthly_messages_used"
                        " + %s",
                        [number],
                    )
                case "pass":
                    today += timedelta(days=number)
                case "set back":
                    user.execute(
                        "UPDATE user_profiles SET usage_period_start = usage_period_start - %s",
                        [number],
                    )
                case "anchor":
                    put(user, billing_anchor_day=number % 31 + 1)
            user.execute("SELECT worker.end_periods(NULL, %s)", [today])

        periods = [(row[0], row[1], row[2]) for row in kept(user)]
        used = one(user, "SELECT monthly_messages_used FROM user_profiles")

    kept_or_running = sum(period[2] for period in periods) + used
    is_set_back = "set back" in {what for what, number in steps if number}
    assert kept_or_running <= counted if is_set_back else kept_or_running == counted
    assert all(began < ended for began, ended, _ in periods)
    assert all(before[1] <= after[0] for before, after in pairwise(periods))


def test_two_messages_at_the_boundary_end_one_period_and_both_count(
    conn: Connection, database_url: str
) -> None:
    callers, calls = 4, 25
    sign_up(conn, OWNER, "a@example.com")
    for _ in range(5):
        conn.execute("DELETE FROM worker.billing_periods")
        put(conn, usage_period_start="2025-01-31", monthly_messages_used=9)
        together = threading.Barrier(callers + 1)

        def count(together: threading.Barrier = together) -> None:
            with connect(database_url, autocommit=True) as own:
                together.wait()
                for _ in range(calls):
                    own.execute("SELECT increment_message_usage(%s)", [OWNER])

        def reset(together: threading.Barrier = together) -> None:
            with connect(database_url, autocommit=True) as own:
                together.wait()
                for _ in range(calls):
                    own.execute("SELECT reset_monthly_usage()")

        threads = [threading.Thread(target=count) for _ in range(callers)]
        threads.append(threading.Thread(target=reset))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        used = one(conn, "SELECT monthly_messages_used FROM user_profiles")
        assert (used, [row[2] for row in kept(conn)]) == (callers * calls, [9])


def test_a_bounded_reset_goes_on_where_the_last_one_stopped(user: Connection) -> None:
    sign_up(user, OTHER, "b@example.com")
    user.execute("UPDATE user_profiles SET usage_period_start = '2025-01-01'")

    ended = [one(user, "SELECT worker.end_periods(1, '2025-02-01')") for _ in range(3)]

    assert ended == [1, 1, 0]


def test_a_reset_of_a_day_in_the_past_ends_nothing(user: Connection) -> None:
    before = anchor(user)

    ended = one(user, "SELECT worker.end_periods(NULL, %s)", date(2020, 1, 1))

    assert (ended, anchor(user)) == (0, before)
