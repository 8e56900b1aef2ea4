"""What the nightly recount finds, what it must not find, and what becomes of it."""

import logging
from uuid import UUID

import pytest

from db import stats_differences
from db.pool import Connection
from pipelines import reconcile_daily_stats
from pipelines.reconcile_daily_stats import run
from tests.integration.stats_world import (
    add_agent,
    add_conversation,
    add_message,
    add_owner,
    assert_days_are_right,
    held,
    serve,
)
from workers.cli import stats

BEGIN = UUID(int=2**127)


@pytest.fixture
def agent(conn: Connection) -> UUID:
    """With two days on which all is right."""
    agent = add_agent(conn, add_owner(conn, "Asia/Kathmandu"))
    for day in ("2026-03-10", "2026-03-11"):
        conversation = add_conversation(conn, agent, f"{day} 12:00+00", visitor_id="v")
        add_message(conn, conversation, f"{day} 20:00+00", response_time_ms=3)
    serve(conn)
    return agent


def test_a_wrong_day_is_recorded_said_aloud_and_repaired(
    conn: Connection,
    database_url: str,
    agent: UUID,
    caplog: pytest.LogCaptureFixture,
) -> None:
    conn.execute("UPDATE daily_stats SET total_messages = 77 WHERE date = '2026-03-11'")

    with held(conn, database_url, "reconcile_daily_stats") as db, caplog.at_level(logging.ERROR):
        result = run(db, begin=BEGIN)

    assert (result["agents"], result["differences"], result["complete"]) == (1, 1, True)
    assert "77" in caplog.text
    assert stats.check(conn)[1] is False
    serve(conn)
    assert_days_are_right(conn)
    rows = conn.execute(
        "SELECT agent_id, date::text, stored ->> 'total_messages', expected ->> 'total_messages',"
        " repaired_at IS NOT NULL FROM worker.stats_differences"
    ).fetchall()
    assert rows == [(agent, "2026-03-11", "77", "1", True)]
    assert stats.check(conn)[1] is True


def test_a_second_night_finds_nothing(conn: Connection, database_url: str, agent: UUID) -> None:
    conn.execute("DELETE FROM daily_stats WHERE date = '2026-03-10'")
    conn.execute("INSERT INTO daily_stats (agent_id, date) VALUES (%s, '2030-01-01')", (agent,))

    with held(conn, database_url, "reconcile_daily_stats") as db:
        first = run(db, begin=BEGIN)
        serve(conn)
        second = run(db, begin=BEGIN)

    assert (first["differences"], second["differences"]) == (2, 0)
    assert_days_are_right(conn)


def test_a_night_that_is_cut_short_is_gone_on_with(
    conn: Connection, database_url: str, agent: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile_daily_stats, "BATCH_AGENTS", 1)
    add_agent(conn, add_owner(conn))
    conn.execute("UPDATE daily_stats SET total_leads = 5")

    with held(conn, database_url, "reconcile_daily_stats") as db:
        cut = run(db, begin=BEGIN, duration_s_max=0.0)
        run(db, begin=BEGIN)

    assert (cut["agents"], cut["complete"]) == (1, False)
    serve(conn)
    assert_days_are_right(conn)


def test_days_that_are_only_late_are_no_differences(
    conn: Connection, database_url: str, agent: UUID
) -> None:
    add_conversation(conn, agent, "2025-01-01 12:00+00", visitor_id="v")
    conn.execute("UPDATE user_profiles SET time_zone = 'America/Havana'")
    add_conversation(conn, add_agent(conn, add_owner(conn)), "2026-03-10 12:00+00")

    with held(conn, database_url, "reconcile_daily_stats") as db:
        result = run(db, begin=BEGIN)

    assert (result["agents"], result["differences"]) == (2, 0)
    assert stats_differences.count_differences(conn, days=1).found == 0


def test_a_message_that_names_a_wrong_agent_is_found_and_mended(
    conn: Connection, database_url: str, agent: UUID
) -> None:
    other = add_agent(conn, add_owner(conn))
    conn.execute("ALTER TABLE messages DISABLE TRIGGER USER")
    conn.execute("UPDATE messages SET agent_id = %s", (other,))
    conn.execute("ALTER TABLE messages ENABLE TRIGGER USER")
    conn.execute("UPDATE daily_stats SET total_messages = 0")

    with held(conn, database_url, "reconcile_daily_stats") as db:
        result = run(db, begin=BEGIN)
    serve(conn)

    assert result["differences"] > 0
    assert conn.execute("SELECT DISTINCT agent_id FROM messages").fetchall() == [(agent,)]
    assert_days_are_right(conn)
