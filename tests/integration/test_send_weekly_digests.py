"""When a week is told of, to whom, and with which figures."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from db import demo, housekeeping
from db.fence import Fence, LeaseLost
from db.pool import Connection
from pipelines import send_weekly_digests
from pipelines.email.render import render
from pipelines.send_weekly_digests import run
from tests.housekeeping import Customer, column, customer, held, lose
from tests.mailed import mails

KIND = "send_weekly_digests"
MONDAY = date(2026, 3, 2)
SUNDAY = MONDAY - timedelta(days=1)
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)

# A user's zone, what its clocks show, and whether that is the time for a digest.
MOMENTS = (
    ("UTC", "2026-03-02T07:59:59", False),
    ("UTC", "2026-03-02T08:00:00", True),
    ("UTC", "2026-03-04T23:59:59", True),
    ("UTC", "2026-03-05T00:00:00", False),
    ("UTC", "2026-03-01T23:00:00", False),
    # It is Sunday in UTC still, and Thursday already.
    ("Pacific/Kiritimati", "2026-03-02T08:00:00", True),
    ("Pacific/Pago_Pago", "2026-03-04T23:59:00", True),
    ("Asia/Kathmandu", "2026-03-02T07:59:00", False),
    ("Asia/Kathmandu", "2026-03-02T08:00:00", True),
    # The clocks were changed the day before: an hour earlier and later in UTC.
    ("America/New_York", "2026-03-09T07:59:00", False),
    ("America/New_York", "2026-03-09T08:00:00", True),
    ("Europe/Berlin", "2026-10-26T07:59:00", False),
    ("Europe/Berlin", "2026-10-26T08:00:00", True),
)


@pytest.fixture
def owner(conn: Connection) -> Customer:
    return customer(conn)


@pytest.fixture
def fence(conn: Connection, database_url: str) -> Iterator[Fence]:
    with held(conn, database_url, KIND) as held_fence:
        yield held_fence


def count_day(conn: Connection, agent_id: UUID, day: date, **figures: int) -> None:
    """A row of daily_stats as aggregate_daily_stats leaves it: without a mark."""
    values = {"agent_id": agent_id, "date": day, **figures}
    conn.execute(
        f"INSERT INTO daily_stats ({', '.join(values)})"
        f" VALUES ({', '.join(['%s'] * len(values))})".encode(),
        list(values.values()),
    )
    conn.execute("DELETE FROM worker.stats_marks")


def digest(conn: Connection) -> dict[str, Any]:
    (data,) = mails(conn, "weekly_digest")
    return data


def test_on_monday_morning_the_week_is_told_beside_the_one_before(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    for day, conversations in ((SUNDAY, 8), (MONDAY - timedelta(days=7), 4)):
        count_day(conn, owner.agent_id, day, total_conversations=conversations,
                  total_messages=50, total_leads=1, positive_sentiment_count=3,
                  negative_sentiment_count=1)  # fmt: skip
    for day in (MONDAY - timedelta(days=8), MONDAY - timedelta(days=14)):
        count_day(conn, owner.agent_id, day, total_conversations=3, total_leads=2)
    for day in (MONDAY, MONDAY - timedelta(days=15)):
        count_day(conn, owner.agent_id, day, total_conversations=1000)

    result = run(fence, at=AT)

    assert result == {"users": 1, "mails": 1}
    data = digest(conn)
    assert data == {
        "full_name": "Ola", "time_zone": "UTC",
        "period_start": "2026-02-23", "period_end": "2026-03-01",
        "conversations": 12, "messages": 100, "leads": 2,
        "previous_conversations": 6, "previous_messages": 0, "previous_leads": 4,
        "positive_percent": 75.0,
        "agents": [{"name": "Bot", "conversations": 12, "leads": 2}],
    }  # fmt: skip
    mail = render("weekly_digest", data, subject=None, app_url="https://app.example")
    assert mail.subject == "Your week with Avivro: 12 conversations"
    assert "75 % of the conversations went well" in mail.text
    assert "+100 %" in mail.text


def test_running_twice_changes_nothing(conn: Connection, owner: Customer, fence: Fence) -> None:
    count_day(conn, owner.agent_id, SUNDAY, total_conversations=1)
    run(fence, at=AT)
    conn.execute("DELETE FROM email_logs")

    again = [run(fence, at=AT), run(fence, at=AT + timedelta(days=2))]

    assert again == [{"users": 0, "mails": 0}] * 2
    assert mails(conn, "weekly_digest") == []


def test_killed_midway_it_is_finished_by_the_next(
    conn: Connection, database_url: str, owner: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_weekly_digests, "BATCH_USERS", 1)
    other = customer(conn, "other@example.com", "Otto")
    for each in (owner, other):
        count_day(conn, each.agent_id, SUNDAY, total_leads=1)
    with held(conn, database_url, KIND) as first:
        with first.write() as own:
            housekeeping.send_digests(own, since=None, at=AT, topic_rows_max=9, rows_max=1)
        lose(conn, first)
        with pytest.raises(LeaseLost):
            run(first, at=AT)
    after_the_kill = len(mails(conn, "weekly_digest"))

    with held(conn, database_url, KIND) as second:
        result = run(second, at=AT)

    assert (after_the_kill, result["mails"]) == (1, 1)
    assert {data["full_name"] for data in mails(conn, "weekly_digest")} == {"Ola", "Otto"}


def test_the_next_week_is_told_again(conn: Connection, owner: Customer, fence: Fence) -> None:
    count_day(conn, owner.agent_id, SUNDAY, total_conversations=1)

    results = [run(fence, at=AT + timedelta(weeks=week)) for week in range(4)]

    assert [result["mails"] for result in results] == [1, 1, 0, 0]


def test_monday_is_the_users_own(conn: Connection, owner: Customer, fence: Fence) -> None:
    sent = [
        (zone, local)
        for zone, local, _ in MOMENTS
        if is_sent(conn, owner, fence, zone=zone, at=datetime.fromisoformat(local))
    ]

    assert sent == [(zone, local) for zone, local, is_time in MOMENTS if is_time]


def is_sent(conn: Connection, owner: Customer, fence: Fence, *, zone: str, at: datetime) -> bool:
    """Whether the week before that moment is told of, alone."""
    for table in ("worker.reminders", "email_logs", "daily_stats"):
        conn.execute(f"DELETE FROM {table}".encode())
    owner.live_in(zone)
    monday = at.date() - timedelta(days=at.weekday())
    count_day(conn, owner.agent_id, monday - timedelta(days=1), total_conversations=1)
    count_day(conn, owner.agent_id, monday, total_conversations=100)

    run(fence, at=at.replace(tzinfo=ZoneInfo(zone)))

    found = [data["conversations"] for data in mails(conn, "weekly_digest")]
    assert found in ([], [1])
    return found == [1]


def test_the_turn_of_the_year_has_one_week(conn: Connection, owner: Customer, fence: Fence) -> None:
    """2027-01-01 is a Friday of the week 53 of 2026."""
    monday = date(2026, 12, 28)
    count_day(conn, owner.agent_id, monday - timedelta(days=1), total_conversations=1)
    count_day(conn, owner.agent_id, date(2027, 1, 3), total_conversations=2)

    first = run(fence, at=datetime(2026, 12, 28, 9, tzinfo=UTC))
    second = run(fence, at=datetime(2027, 1, 4, 9, tzinfo=UTC))

    assert (first["mails"], second["mails"]) == (1, 1)
    assert [data["conversations"] for data in mails(conn, "weekly_digest")] == [1, 2]


def test_whoever_moves_to_another_zone_on_monday_gets_one(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    count_day(conn, owner.agent_id, SUNDAY, total_conversations=1)
    owner.live_in("Pacific/Kiritimati")
    conn.execute("DELETE FROM worker.stats_marks")
    run(fence, at=datetime(2026, 3, 1, 18, tzinfo=UTC))
    owner.live_in("Pacific/Pago_Pago")

    run(fence, at=datetime(2026, 3, 2, 19, tzinfo=UTC))

    assert len(mails(conn, "weekly_digest")) == 1


def test_who_had_nothing_in_both_weeks_gets_none(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    count_day(conn, owner.agent_id, SUNDAY, widget_opens=5)
    silent = customer(conn, "silent@example.com", "Sam")
    count_day(conn, silent.agent_id, SUNDAY, total_conversations=1)
    conn.execute("UPDATE user_profiles SET email = NULL WHERE id = %s", (silent.id,))
    demo.ensure_user(conn, email="idle@example.com", full_name="Ida")

    assert run(fence, at=AT)["mails"] == 0


def test_the_ten_busiest_agents_are_listed(conn: Connection, owner: Customer, fence: Fence) -> None:
    for number in range(1, 13):
        agent_id = demo.create_agent(
            conn, user_id=owner.id, name=f"Agent {number}", description="", system_prompt=""
        )
        count_day(conn, agent_id, SUNDAY, total_conversations=number)

    run(fence, at=AT)

    data = digest(conn)
    assert data["conversations"] == 78
    assert [agent["name"] for agent in data["agents"]] == [
        f"Agent {number}" for number in range(12, 2, -1)
    ]


def test_what_visitors_asked_is_listed_the_most_asked_first(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    count_day(conn, owner.agent_id, SUNDAY, total_conversations=3)
    week = datetime(2026, 2, 23, tzinfo=UTC)
    for number, (topics, at) in enumerate(
        (
            (["prices", "delivery"], week),
            (["delivery", " "], week + timedelta(days=6, hours=23)),
            (["before"], week - timedelta(seconds=1)),
            (["after"], week + timedelta(days=7)),
        )
    ):
        conversation_id = owner.converse(number)
        conn.execute(
            "INSERT INTO sentiment_analysis"
            " (conversation_id, agent_id, overall_score, label, topics, created_at)"
            " VALUES (%s, %s, 0, 'neutral', %s, %s)",
            (conversation_id, owner.agent_id, topics, at),
        )
    conn.execute("DELETE FROM worker.stats_marks")

    run(fence, at=AT)

    assert digest(conn)["questions"] == ["delivery", "prices"]


def test_figures_that_wait_to_be_counted_are_waited_for(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    """After a downtime, the digests may come before the job that counts."""
    count_day(conn, owner.agent_id, SUNDAY, total_conversations=1)
    conn.execute(
        "INSERT INTO worker.stats_marks (agent_id, from_at, until_at, marked_at)"
        " VALUES (%s, '2026-03-01', '2026-03-01', now() - interval '5 min')",
        (owner.agent_id,),
    )

    before = run(fence, at=AT)
    conn.execute("DELETE FROM worker.stats_marks")

    assert (before["mails"], run(fence, at=AT)["mails"]) == (0, 1)


def test_figures_of_the_running_week_are_not_waited_for(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    """What counts into this week is marked all the time."""
    count_day(conn, owner.agent_id, SUNDAY, total_conversations=1)
    conn.execute(
        "INSERT INTO worker.stats_marks (agent_id, from_at, until_at, marked_at)"
        " VALUES (%s, '2026-03-02', '2026-03-02', now() - interval '5 min')",
        (owner.agent_id,),
    )

    assert run(fence, at=AT)["mails"] == 1


def test_the_clock_is_the_databases_unless_one_is_given(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    (is_time,) = column(
        conn,
        "SELECT t >= date_trunc('week', t) + interval '8 h'"
        " AND t < date_trunc('week', t) + interval '3 days'"
        " FROM (SELECT now() AT TIME ZONE 'UTC' AS t) AS clock",
    )
    count_day(conn, owner.agent_id, date(2026, 1, 1), total_conversations=1)

    assert run(fence)["users"] == int(is_time)
