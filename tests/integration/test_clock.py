"""Ticks on a real Postgres: each once, whoever looks, and whatever the clock does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
import pytest

from db import jobs, schedules
from db.jobs import Job
from db.pool import Connection, connect
from schedules import clock
from schedules.clock import Clock, announce, fire
from schedules.timetable import TIMETABLE, Schedule
from workers.jobs import Probe, Prune, enqueue

HOURLY = Schedule("hourly", Probe(sleep_ms=1), cron="0 * * * *")
Tick = tuple[datetime, bool, int | None]


def ticks(conn: Connection, name: str = "hourly") -> list[Tick]:
    return conn.execute(
        "SELECT fire_at, by_hand, job_id FROM worker.schedule_ticks WHERE schedule = %s"
        " ORDER BY fire_at",
        (name,),
    ).fetchall()


def known_for(conn: Connection, age: timedelta, *timetable: Schedule) -> None:
    """The timetable became known that long ago."""
    announce(conn, timetable or (HOURLY,))
    conn.execute("UPDATE worker.schedules SET begins_at = now() - %s", (age,))


def look(url: str, *timetable: Schedule) -> None:
    """The first look of a scheduler that has just begun."""
    with connect(url) as conn:
        Clock(timetable or (HOURLY,)).look(conn)


def this_hour(conn: Connection) -> datetime:
    return schedules.read_clock(conn).astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def one_job(conn: Connection) -> Job:
    (job,) = jobs.list_jobs(conn)
    return job


def together(*calls: Callable[[], object]) -> None:
    """Run all of them at the same moment, and wait."""
    ready = threading.Barrier(len(calls))
    threads = [threading.Thread(target=lambda call=call: (ready.wait(), call())) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Frozen(Exception):
    """The end of a scheduler that stood still inside a tick."""


@contextmanager
def thread(call: Callable[[], object]) -> Iterator[None]:
    """The call in a thread of its own, until it ends; what it raises does not matter."""

    def quietly() -> None:
        with suppress(Frozen, psycopg.Error):
            call()

    running = threading.Thread(target=quietly)
    running.start()
    yield
    running.join()


def test_a_new_schedule_fires_nothing_of_the_past(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(0))

    look(database_url)

    assert ticks(conn) == []


def test_hours_away_fire_once_for_the_last_hour(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=30))

    look(database_url)

    job = one_job(conn)
    assert ticks(conn) == [(this_hour(conn), False, job.id)]
    assert (job.kind, job.args, job.state) == ("probe", {"sleep_ms": 1}, "available")


def test_schedulers_that_look_at_once_enqueue_one_job(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))

    together(*[partial(look, database_url) for _ in range(6)])

    assert len(ticks(conn)) == len(jobs.list_jobs(conn)) == 1


def test_a_restarted_scheduler_fires_nothing_again(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))
    look(database_url)

    look(database_url)

    assert len(jobs.list_jobs(conn)) == 1


def test_a_tick_that_cannot_enqueue_is_not_fired(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))
    conn.execute("DELETE FROM worker.kinds WHERE kind = 'probe'")

    with pytest.raises(psycopg.errors.InvalidParameterValue):
        look(database_url)

    assert ticks(conn) == []


def test_a_frozen_scheduler_holds_up_no_other(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "IDLE_MS_MAX", 300)
    known_for(conn, timedelta(hours=2))
    frozen, thawed = threading.Event(), threading.Event()

    def freeze(*_: object, **__: object) -> int:
        monkeypatch.setattr(clock, "enqueue", enqueue)
        frozen.set()
        thawed.wait()
        raise Frozen

    monkeypatch.setattr(clock, "enqueue", freeze)
    with thread(partial(look, database_url)):
        frozen.wait()
        look(database_url)
        thawed.set()

    assert len(ticks(conn)) == len(jobs.list_jobs(conn)) == 1


def test_a_paused_schedule_fires_nothing(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))
    schedules.pause(conn, "hourly")

    look(database_url)

    assert ticks(conn) == []


def test_pausing_stops_a_tick_that_is_about_to_fire(conn: Connection) -> None:
    known_for(conn, timedelta(hours=2))
    schedules.pause(conn, "hourly")

    assert fire(conn, HOURLY, fire_at=this_hour(conn)) is None


def test_a_resumed_schedule_skips_what_it_missed(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))
    schedules.pause(conn, "hourly")
    schedules.resume(conn, "hourly")

    look(database_url)

    assert ticks(conn) == []


def test_a_second_resume_changes_nothing(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))

    schedules.resume(conn, "hourly")
    look(database_url)

    assert len(ticks(conn)) == 1


def test_a_clock_that_was_ahead_and_went_back_goes_on(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))
    with connect(database_url) as ahead:
        fire(ahead, HOURLY, fire_at=this_hour(conn) + timedelta(hours=9))

    look(database_url)

    assert [fire_at for fire_at, _, _ in ticks(conn)] == [
        this_hour(conn),
        this_hour(conn) + timedelta(hours=9),
    ]


def test_what_became_known_while_the_clock_was_ahead_begins_now(
    conn: Connection, database_url: str
) -> None:
    known_for(conn, timedelta(days=-400))

    look(database_url)

    state = schedules.list_states(conn)["hourly"]
    assert state.begins_at <= schedules.read_clock(conn)


def test_other_times_begin_anew(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(days=3))
    changed = Schedule("hourly", Probe(), cron="*/5 * * * *")

    announce(conn, [changed])
    look(database_url, changed)

    assert schedules.list_states(conn)["hourly"].begins_at >= this_hour(conn) - timedelta(hours=1)
    assert ticks(conn) == []


def test_a_restart_with_the_same_times_goes_on(conn: Connection) -> None:
    known_for(conn, timedelta(days=3))
    before = schedules.list_states(conn)["hourly"]

    announce(conn, [HOURLY])

    assert schedules.list_states(conn)["hourly"] == before


def test_a_schedule_that_left_the_code_is_marked(conn: Connection) -> None:
    other = Schedule("other", Probe(), cron="0 0 * * *")
    announce(conn, [HOURLY, other])

    announce(conn, [other])

    retired = conn.execute("SELECT name FROM worker.schedules WHERE retired_at IS NOT NULL")
    assert retired.fetchall() == [("hourly",)]


def test_rows_that_somebody_deleted_are_written_again(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))
    conn.execute("DELETE FROM worker.schedules")

    look(database_url)

    assert list(schedules.list_states(conn)) == ["hourly"]


def test_slow_work_with_a_unique_key_does_not_pile_up(conn: Connection, database_url: str) -> None:
    unique = Schedule("hourly", Prune(), cron="0 * * * *", unique_key="prune")
    known_for(conn, timedelta(hours=2), unique)
    with connect(database_url) as other:
        fire(other, unique, fire_at=this_hour(conn) - timedelta(hours=1))

    look(database_url, unique)

    assert [job_id for _, _, job_id in ticks(conn)] == [one_job(conn).id] * 2


def test_jitter_spreads_the_jobs_and_not_the_ticks(conn: Connection) -> None:
    spread = Schedule("hourly", Probe(), cron="0 * * * *", jitter_s=600)
    announce(conn, [spread])
    fire_at = this_hour(conn) + timedelta(hours=3)

    fire(conn, spread, fire_at=fire_at)

    assert ticks(conn)[0][0] == fire_at
    assert fire_at < one_job(conn).run_at < fire_at + timedelta(seconds=600)


def test_a_run_by_hand_leaves_the_timetable_as_it_is(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "TIMETABLE", (HOURLY,))
    known_for(conn, timedelta(hours=2))

    with connect(database_url) as operator:
        clock.fire_by_hand(operator, "hourly")
    look(database_url)

    assert sorted(by_hand for _, by_hand, _ in ticks(conn)) == [False, True]
    assert len(jobs.list_jobs(conn)) == 2


def test_the_list_shows_schedules_no_scheduler_has_seen(conn: Connection) -> None:
    entries = clock.list_entries(conn)

    assert [entry.name for entry in entries] == [schedule.name for schedule in TIMETABLE]
    assert all(entry.next is not None and entry.last is None for entry in entries)


def test_the_list_shows_the_last_and_the_next_time(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))
    look(database_url)

    (entry,) = clock.list_entries(conn, [HOURLY])

    assert (entry.last, entry.next) == (this_hour(conn), this_hour(conn) + timedelta(hours=1))
