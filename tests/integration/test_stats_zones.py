"""Days of 23 and 25 hours, odd offsets, dates that come twice or never; and sums over them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import UUID

import pytest

from db.embedded import Services
from db.pool import Connection, connect
from tests.conftest import fresh_database
from tests.integration.schema_world import insert
from tests.integration.stats_world import (
    add_agent,
    add_conversation,
    add_message,
    add_owner,
    assert_days_are_right,
    serve,
    stored_days,
)

# A zone, and an hour (UTC) around which its clocks change.
CHANGES = {
    "Asia/Kathmandu": "2026-03-29 01:00",
    "Europe/Berlin": "2026-03-29 01:00",
    "America/New_York": "2026-11-01 06:00",
    "Australia/Lord_Howe": "2026-04-04 15:00",
    # Midnight comes twice, never, or a minute after it the day before comes back.
    "America/Havana": "2025-11-02 05:00",
    "America/Sao_Paulo": "2018-02-18 02:00",
    "Africa/Cairo": "2026-04-23 22:00",
    "America/St_Johns": "2010-11-07 02:31",
    # A date that never was, and a zone far in the east.
    "Pacific/Apia": "2011-12-30 10:00",
    "Pacific/Kiritimati": "2026-01-01 10:00",
}


@pytest.fixture(scope="module")
def shared(services: Services, template: str) -> Iterator[Connection]:
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture
def undone(shared: Connection) -> Iterator[Connection]:
    with shared.transaction(force_rollback=True):
        yield shared


def scatter(conn: Connection, agent: UUID, around: datetime, dice: Random) -> None:
    """Rows every hour and a half or so, for two days before and after."""
    for quarter in range(-192, 193, 6):
        at = around + timedelta(minutes=15 * quarter, seconds=dice.randrange(-20, 900))
        visitor = f"v{dice.randrange(12)}"
        label = dice.choice([None, "positive", "neutral", "negative"])
        conversation = add_conversation(conn, agent, at, visitor_id=visitor, sentiment_label=label)
        for _ in range(dice.randrange(3)):
            late = at + timedelta(minutes=dice.randrange(600))
            add_message(conn, conversation, late, tokens_used=dice.randrange(9))
        if dice.random() < 0.3:
            insert(conn, "leads", {"agent_id": agent, "created_at": at})
            event = {"agent_id": agent, "event_type": "widget_opened", "created_at": at}
            insert(conn, "analytics_events", event)


@pytest.mark.parametrize(("zone", "around"), CHANGES.items())
def test_days_around_a_clock_change_hold_the_rows_of_their_date(
    undone: Connection, zone: str, around: str
) -> None:
    agent = add_agent(undone, add_owner(undone, zone))
    middle = datetime.fromisoformat(around).replace(tzinfo=UTC)
    scatter(undone, agent, middle, Random(zone))

    serve(undone)

    assert_days_are_right(undone)
    assert_sums_agree(undone, agent)


def assert_sums_agree(conn: Connection, agent: UUID) -> None:
    """get_agent_analytics of any range of days is the sum of the stored ones."""
    days = {day: figures for (_, day), figures in stored_days(conn).items()}
    first, last = min(days), max(days)
    for from_day, to_day in ((first, last), *((day, day) for day in days), (first, first)):
        chosen = [figures for day, figures in days.items() if from_day <= day <= to_day]
        expected = tuple(
            sum(figures[name] for figures in chosen)
            for name in (
                "total_conversations",
                "total_messages",
                "total_leads",
                "positive_sentiment_count",
                "neutral_sentiment_count",
                "negative_sentiment_count",
            )
        )
        assert analytics(conn, agent, from_day, to_day) == expected, (from_day, to_day)


def analytics(conn: Connection, agent: UUID, from_day: date, to_day: date) -> tuple[int, ...]:
    row = conn.execute(
        "SELECT total_conversations, total_messages, total_leads, positive_count, neutral_count,"
        " negative_count FROM get_agent_analytics(%s, %s::date, %s::date)",
        (agent, from_day, to_day),
    ).fetchone()
    assert row is not None
    return tuple(row)


@pytest.mark.parametrize("session", ["UTC", "America/Los_Angeles", "Asia/Kathmandu"])
def test_a_bare_day_is_the_owners_whatever_the_session_thinks(
    undone: Connection, session: str
) -> None:
    agent = add_agent(undone, add_owner(undone, "Asia/Kathmandu"))
    for at in ("2026-03-09 18:14+00", "2026-03-09 18:15+00", "2026-03-10 18:14+00"):
        add_conversation(undone, agent, at)
    undone.execute(f"SET LOCAL TIME ZONE '{session}'".encode())

    found = analytics(undone, agent, date(2026, 3, 10), date(2026, 3, 10))

    assert found[0] == 2


def test_other_moments_of_analytics_stay_moments(undone: Connection) -> None:
    agent = add_agent(undone, add_owner(undone, "Asia/Kathmandu"))
    for at in ("2026-03-10 11:59+00", "2026-03-10 12:00+00", "2026-03-10 12:59+00"):
        add_conversation(undone, agent, at)

    found = undone.execute(
        "SELECT total_conversations FROM get_agent_analytics(%s, %s, %s)",
        (agent, "2026-03-10 12:00+00", "2026-03-10 12:59+00"),
    ).fetchone()

    assert found == (1,)


def test_a_zone_that_changes_between_a_write_and_the_counting_moves_all_days(
    undone: Connection,
) -> None:
    owner = add_owner(undone, "Pacific/Kiritimati")
    agent = add_agent(undone, owner)
    scatter(undone, agent, datetime(2011, 12, 30, 10, tzinfo=UTC), Random(1))
    serve(undone)
    dates = set(stored_days(undone))
    add_conversation(undone, agent, "2026-03-10 12:00+00")

    undone.execute("UPDATE user_profiles SET time_zone = 'Pacific/Apia' WHERE id = %s", (owner,))
    serve(undone)

    assert_days_are_right(undone)
    assert (agent, date(2011, 12, 30)) in dates
    assert (agent, date(2011, 12, 30)) not in stored_days(undone)


def test_the_dashboard_and_recent_activity_agree_with_the_rows(undone: Connection) -> None:
    agent = add_agent(undone, add_owner(undone, "Asia/Kathmandu"))
    scatter(undone, agent, datetime.now(UTC), Random(2))
    other = add_agent(undone, add_owner(undone))
    undone.execute(
        "UPDATE conversations SET agent_id = %s WHERE visitor_id IN ('v1', 'v2')", (other,)
    )
    undone.execute("UPDATE conversations SET status = 'resolved' WHERE visitor_id = 'v3'")

    wrong = undone.execute("""
        SELECT s.agent_id FROM agent_dashboard_summary AS s
        WHERE (s.total_conversations, s.total_messages, s.total_leads, s.active_conversations_count)
            IS DISTINCT FROM (
            (SELECT count(*)::int FROM conversations AS c WHERE c.agent_id = s.agent_id),
            (SELECT count(*)::int FROM messages AS m WHERE m.agent_id = s.agent_id),
            (SELECT count(*)::int FROM leads AS l WHERE l.agent_id = s.agent_id),
            (SELECT count(*) FROM conversations AS c
             WHERE c.agent_id = s.agent_id AND c.status = 'active'))
    """).fetchall()
    listed = undone.execute(
        "SELECT agent_id, activity_type, count(*) FROM recent_activity GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    serve(undone)
    summed = undone.execute(
        "SELECT agent_id, 'conversation', sum(total_conversations) FROM daily_stats GROUP BY 1"
        " HAVING sum(total_conversations) > 0"
        " UNION ALL SELECT agent_id, 'lead', sum(total_leads) FROM daily_stats GROUP BY 1"
        " HAVING sum(total_leads) > 0 ORDER BY 1, 2"
    ).fetchall()

    assert wrong == []
    assert listed == summed
