"""Schedules in the hands of operators: edited times on a real Postgres."""

from dataclasses import replace
from datetime import timedelta

import pytest

from db import schedules
from db.pool import Connection, connect
from schedules import operating
from schedules.clock import Clock
from tests.integration.test_clock import (
    HOURLY,
    announce_now,
    known_for,
    look,
    this_hour,
    ticks,
)
from workers.jobs import enqueue


def changed(conn: Connection, sql: str = "cron, cron_override") -> tuple[object, ...]:
    row = conn.execute(f"SELECT {sql} FROM worker.schedules WHERE name = 'hourly'".encode())
    (found,) = row.fetchall()
    return found


@pytest.fixture
def hourly(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Operators work on a timetable of one schedule."""
    monkeypatch.setattr(operating, "TIMETABLE", (HOURLY,))
    return conn


def test_edited_times_survive_restarts_and_deployments(hourly: Connection) -> None:
    known_for(hourly, timedelta(hours=2))
    operating.edit(hourly, "hourly", " 30  2 * * * ")

    announce_now(hourly, [HOURLY])
    announce_now(hourly, [replace(HOURLY, cron="5 * * * *")])

    (entry,) = operating.list_entries(hourly)
    assert changed(hourly) == ("5 * * * *", "30 2 * * *")
    assert (entry.cron, entry.cron_default) == ("30 2 * * *", "0 * * * *")
    assert entry.next is not None
    assert (entry.next.hour, entry.next.minute) == (2, 30)


def test_a_scheduler_that_runs_takes_edited_times(hourly: Connection, database_url: str) -> None:
    begun = Clock((HOURLY,))
    now = this_hour(hourly) + timedelta(minutes=20)
    with connect(database_url) as conn:
        begun.look(conn, now=now)
        operating.edit(hourly, "hourly", "*/5 * * * *", now=now)

        begun.look(conn, now=now + timedelta(minutes=5))
        operating.reset(hourly, "hourly", now=now + timedelta(minutes=6))
        begun.look(conn, now=now + timedelta(minutes=10))

    assert [fire_at for fire_at, _, _ in ticks(hourly)] == [now + timedelta(minutes=5)]
    assert changed(hourly, "next_at") == (this_hour(hourly) + timedelta(hours=1),)


def test_edited_times_owe_nothing_of_the_past(hourly: Connection, database_url: str) -> None:
    known_for(hourly, timedelta(hours=2))

    operating.edit(hourly, "hourly", "*/5 * * * *")
    look(database_url)

    assert ticks(hourly) == []
    assert schedules.list_late(hourly) == []


def test_the_same_times_again_owe_what_they_owed(hourly: Connection, database_url: str) -> None:
    known_for(hourly, timedelta(hours=2))

    operating.edit(hourly, "hourly", HOURLY.cron)
    look(database_url)

    assert len(ticks(hourly)) == 1


def test_nonsense_is_refused_and_changes_nothing(hourly: Connection) -> None:
    known_for(hourly, timedelta(hours=2))

    for cron in ("0 0 30 feb *", "every 0 s", "0 9 * * 1", "0 0 0 * * *", ""):
        with pytest.raises(ValueError, match="schedule"):
            operating.edit(hourly, "hourly", cron)

    assert changed(hourly) == (HOURLY.cron, None)


def test_times_that_somebody_wrote_past_the_check_stop_nothing(
    hourly: Connection, database_url: str
) -> None:
    known_for(hourly, timedelta(hours=2))
    hourly.execute("UPDATE worker.schedules SET cron_override = 'now and then'")

    look(database_url)

    (entry,) = operating.list_entries(hourly)
    assert (len(ticks(hourly)), entry.cron) == (1, HOURLY.cron)


def test_lateness_is_the_same_in_sql_and_for_operators(hourly: Connection) -> None:
    known_for(hourly, timedelta(0))
    due_at = this_hour(hourly) - timedelta(hours=3)
    hourly.execute(
        "UPDATE worker.schedules SET (begins_at, next_at) = (%s - interval '1 hour', %s)",
        (due_at, due_at),
    )

    (late,) = schedules.list_late(hourly)
    (entry,) = operating.list_entries(hourly)

    assert late.name == "hourly"
    assert abs(late.late_s - entry.late_s) < 10
    assert 3 * 3600 <= entry.late_s < 4 * 3600 + 10


def test_a_job_that_waits_for_its_spread_runs_now_when_its_schedule_is_run_by_hand(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = replace(HOURLY, unique_key="one", jitter_s=600.0)
    monkeypatch.setattr(operating, "TIMETABLE", (spread,))
    announce_now(conn, [spread])
    later = schedules.read_clock(conn) + timedelta(minutes=9)
    waiting = enqueue(conn, spread.payload, unique_key="one", run_at=later)

    fired = operating.fire_by_hand(conn, "hourly")

    found = conn.execute("SELECT id, state, run_at <= now() FROM worker.jobs").fetchall()
    assert found == [(waiting, "available", True)]
    assert fired == waiting
