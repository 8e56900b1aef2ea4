"""Who is told that a trial ends, when, and how often."""

from collections.abc import Iterator
from typing import Any

import pytest

from db import housekeeping
from db.fence import Fence, LeaseLost
from db.pool import Connection
from pipelines import remind_trials
from pipelines.email.render import render
from pipelines.remind_trials import run
from tests.housekeeping import Customer, clock, column, customer, held, lose, told
from tests.mailed import mails

KIND = "remind_trials"


@pytest.fixture
def owner(conn: Connection) -> Customer:
    return customer(conn)


@pytest.fixture
def fence(conn: Connection, database_url: str) -> Iterator[Fence]:
    with held(conn, database_url, KIND) as held_fence:
        yield held_fence


def begin_trial(conn: Connection, user: Customer, *, ends_in_h: float, **columns: Any) -> None:
    """As a payment provider's webhook does it."""
    conn.execute(
        "UPDATE user_profiles SET subscription_tier = 'starter', subscription_status = 'trialing'"
        " WHERE id = %s",
        (user.id,),
    )
    move_end(conn, user, ends_in_h)
    for name, value in columns.items():
        conn.execute(
            f"UPDATE subscription_history SET {name} = %s"
            " WHERE user_id = %s AND ended_at IS NULL".encode(),
            (value, user.id),
        )


def move_end(conn: Connection, user: Customer, ends_in_h: float) -> None:
    conn.execute(
        "UPDATE subscription_history SET trial_ends_at = now() + make_interval(secs => %s)"
        " WHERE user_id = %s AND ended_at IS NULL",
        (ends_in_h * 3600, user.id),
    )


def pass_hours(conn: Connection, user: Customer, hours: float) -> None:
    """As if that much time went by: the same end, and its reminders, come nearer."""
    ids = "private.email_id('trial_ending', %(user)s::text, extract(epoch FROM {})::text, '3')"
    statement = (
        "WITH h AS (SELECT trial_ends_at AS old, trial_ends_at - make_interval(secs => %(s)s)"
        " AS new FROM subscription_history WHERE user_id = %(user)s AND ended_at IS NULL),"
        f" r AS (UPDATE worker.reminders SET id = {ids.format('h.new')} FROM h"
        f" WHERE id = {ids.format('h.old')})"
        " UPDATE subscription_history SET trial_ends_at = h.new FROM h"
        " WHERE user_id = %(user)s AND ended_at IS NULL"
    )
    conn.execute(statement.encode(), {"user": user.id, "s": hours * 3600})


def test_three_days_before_the_end_a_mail_and_a_notification(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    begin_trial(conn, owner, ends_in_h=70, monthly_price="49.00", billing_cycle="monthly")

    result = run(fence)

    assert result == {"ending": 1, "mails": 1}
    (data,) = mails(conn, "trial_ending")
    mail = render("trial_ending", data, subject=None, app_url="https://app.example")
    assert mail.subject in ("Your trial ends in 3 days", "Your trial ends in 2 days")
    assert "Starter" in mail.text
    assert "$49.00 a month" in mail.text
    (notification,) = told(conn, "billing_update")
    assert (notification["title"], notification["priority"]) == (mail.subject, "high")


def test_running_twice_changes_nothing(conn: Connection, owner: Customer, fence: Fence) -> None:
    begin_trial(conn, owner, ends_in_h=70)
    run(fence)
    conn.execute("DELETE FROM notifications")
    conn.execute("DELETE FROM email_logs")

    result = run(fence)

    assert result == {"ending": 0, "mails": 0}
    assert (told(conn, "billing_update"), mails(conn, "trial_ending")) == ([], [])


def test_killed_midway_it_is_finished_by_the_next(
    conn: Connection, database_url: str, owner: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remind_trials, "BATCH_ROWS", 1)
    other = customer(conn, "other@example.com", "Otto")
    for each in (owner, other):
        begin_trial(conn, each, ends_in_h=70)
    with held(conn, database_url, KIND) as first:
        with first.write() as own:
            housekeeping.remind_trials(own, rows_max=1)
        lose(conn, first)
        with pytest.raises(LeaseLost):
            run(first)
    after_the_kill = len(mails(conn, "trial_ending"))

    with held(conn, database_url, KIND) as second:
        result = run(second)

    assert (after_the_kill, result["mails"]) == (1, 1)
    assert {data["full_name"] for data in mails(conn, "trial_ending")} == {"Ola", "Otto"}


def test_a_second_mail_comes_on_the_last_day(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    begin_trial(conn, owner, ends_in_h=60)
    run(fence)
    pass_hours(conn, owner, 20)
    between = run(fence)
    pass_hours(conn, owner, 20)

    last = run(fence)

    assert (between["mails"], last["mails"], run(fence)["mails"]) == (0, 1, 0)
    assert len(told(conn, "billing_update")) == 2


def test_who_is_first_seen_on_the_last_day_is_told_once(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    begin_trial(conn, owner, ends_in_h=5)

    run(fence)
    run(fence)

    assert len(mails(conn, "trial_ending")) == 1


def test_an_end_that_moves_is_told_of_again(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    begin_trial(conn, owner, ends_in_h=50)
    run(fence)
    move_end(conn, owner, 71)

    run(fence)

    assert len(mails(conn, "trial_ending")) == 2


@pytest.mark.parametrize("ends_in_h", [-1, 73])
def test_a_trial_that_is_over_or_far_from_it_is_not_told_of(
    conn: Connection, owner: Customer, fence: Fence, ends_in_h: float
) -> None:
    begin_trial(conn, owner, ends_in_h=ends_in_h)

    assert run(fence) == {"ending": 0, "mails": 0}


def test_who_has_a_plan_by_now_is_left_alone(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    begin_trial(conn, owner, ends_in_h=20)
    conn.execute("UPDATE user_profiles SET subscription_status = 'active'")

    assert run(fence) == {"ending": 0, "mails": 0}


def test_only_the_current_row_counts(conn: Connection, owner: Customer, fence: Fence) -> None:
    begin_trial(conn, owner, ends_in_h=20)
    conn.execute(
        "INSERT INTO subscription_history (user_id, tier, status, started_at, trial_ends_at)"
        " VALUES (%s, 'starter', 'trialing', now() + interval '1 s', now() + interval '20 days')",
        (owner.id,),
    )

    assert run(fence) == {"ending": 0, "mails": 0}


@pytest.mark.parametrize("status", ["active", "trialing"])
def test_a_row_with_the_trials_own_dates_counts(
    conn: Connection, owner: Customer, fence: Fence, status: str
) -> None:
    conn.execute("UPDATE user_profiles SET subscription_status = %s", (status,))
    conn.execute(
        "INSERT INTO subscription_history (user_id, tier, status, started_at, trial_ends_at)"
        " VALUES (%s, 'starter', 'trialing', now() - interval '11 days', now() + interval '20 h')",
        (owner.id,),
    )

    assert run(fence) == {"ending": 1, "mails": 1}


def test_who_has_no_address_is_notified_once(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    begin_trial(conn, owner, ends_in_h=70)
    conn.execute("UPDATE user_profiles SET email = NULL")

    first, second = run(fence), run(fence)

    assert (first["mails"], second["ending"]) == (0, 0)
    assert len(told(conn, "billing_update")) == 1


def test_days_are_counted_on_the_users_own_calendar(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    owner.live_in("Pacific/Kiritimati")
    begin_trial(conn, owner, ends_in_h=70)

    run(fence)

    (data,) = mails(conn, "trial_ending")
    (days,) = column(
        conn,
        "SELECT ((%s::timestamptz + interval '70 h') AT TIME ZONE 'Pacific/Kiritimati')::date"
        " - (%s AT TIME ZONE 'Pacific/Kiritimati')::date",
        clock(conn),
        clock(conn),
    )
    assert data["days_left"] == days


def test_it_finds_its_rows_by_an_index_on_stale_statistics(conn: Connection) -> None:
    with conn.transaction():
        conn.execute(housekeeping.SQL.plan_by_index)
        plan = conn.execute(
            b"EXPLAIN " + housekeeping.SQL.remind_trials, {"rows_max": 200}
        ).fetchall()

    text = "\n".join(line for (line,) in plan)
    assert "subscription_history_trial_idx" in text
    assert "Seq Scan" not in text
