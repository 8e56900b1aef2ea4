"""Who is reminded of which leads, once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from db import housekeeping
from db.fence import Fence, LeaseLost
from db.pool import Connection, connect
from pipelines import remind_follow_ups
from pipelines.remind_follow_ups import run
from tests.housekeeping import Customer, column, customer, held, lose, told
from tests.mailed import mails

KIND = "remind_follow_ups"


@pytest.fixture
def owner(conn: Connection) -> Customer:
    return customer(conn)


@pytest.fixture
def fence(conn: Connection, database_url: str) -> Iterator[Fence]:
    with held(conn, database_url, KIND) as held_fence:
        yield held_fence


def move(conn: Connection, lead_id: UUID, hours: float) -> None:
    conn.execute(
        "UPDATE leads SET next_follow_up_at = now() - make_interval(secs => %s) WHERE id = %s",
        (hours * 3600, lead_id),
    )


def test_a_due_follow_up_makes_a_notification_and_a_mail(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    lead_id = owner.capture(1, name="Ann", email="ann@x.example", notes="Call her.")

    result = run(fence)

    assert result == {"reminded": 1, "mails": 1}
    (notification,) = told(conn, "follow_up")
    assert (notification["user_id"], notification["priority"]) == (str(owner.id), "high")
    assert notification["action_url"] == f"/leads/{lead_id}"
    assert "Ann" in notification["message"]
    (data,) = mails(conn, "follow_up_reminder")
    assert (data["lead_name"], data["lead_id"], data["notes"]) == ("Ann", str(lead_id), "Call her.")
    assert (data["agent_name"], data["full_name"]) == ("Bot", "Ola")


def test_running_twice_changes_nothing(conn: Connection, owner: Customer, fence: Fence) -> None:
    owner.capture(1, name="Ann")
    run(fence)

    result = run(fence)

    assert result == {"reminded": 0, "mails": 0}
    assert (len(told(conn, "follow_up")), len(mails(conn, "follow_up_reminder"))) == (1, 1)


def test_killed_midway_it_is_finished_by_the_next(
    conn: Connection, database_url: str, owner: Customer
) -> None:
    """Between the notifications and the mail."""
    owner.capture(1, name="Ann")
    owner.capture(2, name="Bob")
    with held(conn, database_url, KIND) as first:
        remind_follow_ups.remind_next(first, None)
        lose(conn, first)
        with pytest.raises(LeaseLost):
            run(first)
    after_the_kill = len(told(conn, "follow_up")), mails(conn, "follow_up_reminder")

    with held(conn, database_url, KIND) as second:
        result = run(second)

    assert after_the_kill == (2, [])
    assert result == {"reminded": 0, "mails": 1}
    assert [data["lead_count"] for data in mails(conn, "follow_up_reminder")] == [2]


def test_only_open_leads_whose_time_has_come_are_told_of(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    owner.capture(None, name="never")
    owner.capture(-1, name="later")
    owner.capture(31 * 24, name="long ago")
    owner.capture(1, name="won", status="converted")
    owner.capture(1, name="gone", status="lost")
    owner.capture(29 * 24, name="now")

    run(fence)

    assert [data["lead_name"] for data in mails(conn, "follow_up_reminder")] == ["now"]
    assert len(told(conn, "follow_up")) == 1


def test_a_moved_date_reminds_again(conn: Connection, owner: Customer, fence: Fence) -> None:
    lead_id = owner.capture(5, name="Ann")
    run(fence)
    move(conn, lead_id, 1)

    run(fence)
    run(fence)

    assert (len(told(conn, "follow_up")), len(mails(conn, "follow_up_reminder"))) == (2, 2)


def test_many_leads_of_a_person_make_one_mail_whatever_the_batches(
    conn: Connection, owner: Customer, fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remind_follow_ups, "BATCH_ROWS", 5)
    other = customer(conn, "other@example.com", "Otto")
    other.capture(3, name="Zoe")
    for hours in range(1, 13):
        owner.capture(hours, name=f"Lead {hours}", email=f"{hours}@x.example")

    result = run(fence)

    assert result == {"reminded": 13, "mails": 2}
    assert len(told(conn, "follow_up")) == 13
    by_name = {data["full_name"]: data for data in mails(conn, "follow_up_reminder")}
    assert by_name["Otto"]["lead_name"] == "Zoe"
    assert by_name["Ola"]["lead_count"] == 12
    listed = [lead["name"] for lead in by_name["Ola"]["leads"]]
    assert listed == [f"Lead {hours}" for hours in range(12, 2, -1)]


def test_whoever_the_lead_is_assigned_to_is_reminded(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    colleague = customer(conn, "colleague@example.com", "Cora")
    owner.capture(1, name="Ann", assigned_to=colleague.id)

    run(fence)

    assert [each["user_id"] for each in told(conn, "follow_up")] == [str(colleague.id)]
    assert [data["full_name"] for data in mails(conn, "follow_up_reminder")] == ["Cora"]


def test_who_left_leaves_the_reminder_to_the_owner(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    colleague = customer(conn, "colleague@example.com", "Cora")
    owner.capture(1, name="Ann", assigned_to=colleague.id)
    run(fence)
    conn.execute("DELETE FROM auth.users WHERE id = %s", (colleague.id,))

    run(fence)

    assert [each["user_id"] for each in told(conn, "follow_up")] == [str(owner.id)]


def test_a_lead_without_anything_and_a_user_without_an_address_do_no_harm(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    owner.capture(1)
    silent = customer(conn, "silent@example.com", "Sam")
    silent.capture(1, name="  ", phone="+1 555 0100")
    conn.execute("UPDATE user_profiles SET email = NULL WHERE id = %s", (silent.id,))

    result = run(fence)

    assert result == {"reminded": 2, "mails": 1}
    assert [data["lead_name"] for data in mails(conn, "follow_up_reminder")] == ["a visitor"]
    assert run(fence) == {"reminded": 0, "mails": 0}


def test_a_lead_that_was_won_in_between_is_not_mailed(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    owner.capture(1, name="Ann")
    remind_follow_ups.remind_next(fence, None)
    conn.execute("UPDATE leads SET status = 'converted'")

    assert run(fence) == {"reminded": 0, "mails": 0}
    assert column(conn, "SELECT count(*) FROM worker.lead_reminders WHERE NOT mailed") == [0]


def test_a_lead_that_is_being_edited_waits_for_the_next_run(
    conn: Connection, database_url: str, owner: Customer, fence: Fence
) -> None:
    edited, _ = owner.capture(1, name="Ann"), owner.capture(1, name="Bob")
    with connect(database_url) as editor:
        editor.execute("UPDATE leads SET notes = 'n' WHERE id = %s", (edited,))

        first = run(fence)

        editor.rollback()
    assert (first["reminded"], run(fence)["reminded"]) == (1, 1)


def test_an_owner_who_is_being_deleted_is_not_waited_for(
    conn: Connection, database_url: str, owner: Customer, fence: Fence
) -> None:
    owner.capture(1, name="Ann")
    with connect(database_url) as deleter:
        deleter.execute("SELECT FROM user_profiles FOR UPDATE")

        assert run(fence) == {"reminded": 0, "mails": 0}


def test_two_runs_at_once_remind_of_each_lead_once(
    conn: Connection, database_url: str, owner: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remind_follow_ups, "BATCH_ROWS", 5)
    for _ in range(40):
        owner.capture(1, name="Ann")

    with held(conn, database_url, KIND) as one, held(conn, database_url, KIND) as other:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(run, (one, other)))
        run(one)

    listed = [data.get("lead_count", 1) for data in mails(conn, "follow_up_reminder")]
    assert len(told(conn, "follow_up")) == 40
    assert sum(listed) == 40


def test_it_finds_its_rows_by_an_index_on_stale_statistics(
    conn: Connection, owner: Customer
) -> None:
    conn.execute("ANALYZE leads")
    conn.execute(
        "INSERT INTO leads (agent_id, name) SELECT %s, 'n' FROM generate_series(1, 3000)",
        (owner.agent_id,),
    )

    with conn.transaction():
        conn.execute(housekeeping.SQL.plan_by_index)
        plan = conn.execute(
            b"EXPLAIN " + housekeeping.SQL.remind_leads,
            {"since": None, "days_max": 30, "rows_max": 500},
        ).fetchall()

    text = "\n".join(line for (line,) in plan)
    assert "leads_next_follow_up_at_idx" in text
    assert "Seq Scan" not in text
