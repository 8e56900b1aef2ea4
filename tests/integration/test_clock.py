"""Ticks on a real Postgres: each once, whoever looks, and whatever the clock does."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
import pytest

from db import jobs, schedules
from db.jobs import Job
from db.pool import Connection, connect
from db.schedules import State
from schedules import clock, operating
from schedules.clock import Alarms, Clock, announce, fire
from schedules.times import trigger_of
from schedules.timetable import TIMETABLE, Schedule
from workers.jobs import Probe, Prune, enqueue

DAY_S = 86_400
HOURLY = Schedule("hourly", Probe(sleep_ms=1), cron="0 * * * *", missed="once", catch_up_s=DAY_S)
Tick = tuple[datetime, bool, int | None]


def ticks(conn: Connection, name: str = "hourly") -> list[Tick]:
    """Those that were fired."""
    return conn.execute(
        "SELECT fire_at, by_hand, job_id FROM worker.schedule_ticks"
        " WHERE schedule = %s AND NOT skipped ORDER BY fire_at",
        (name,),
    ).fetchall()


def known_for(conn: Connection, age: timedelta, *timetable: Schedule) -> None:
    """The timetable became known that long ago."""
    announce_now(conn, timetable or (HOURLY,))
    conn.execute(
        "UPDATE worker.schedules SET (begins_at, next_at) = (now() - %s, now() - %s)", (age, age)
    )


def announce_now(conn: Connection, timetable: Sequence[Schedule]) -> None:
    announce(conn, timetable, now=schedules.read_clock(conn))


def states(conn: Connection) -> dict[str, State]:
    return schedules.list_states(conn, now=schedules.read_clock(conn))


def stop(conn: Connection) -> None:
    schedules.pause(conn, "hourly", now=schedules.read_clock(conn))


def go_on(conn: Connection) -> None:
    schedules.resume(conn, "hourly", now=schedules.read_clock(conn), next_at=None)


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


def test_a_tick_that_cannot_enqueue_is_late_and_holds_up_no_other(
    conn: Connection, database_url: str
) -> None:
    other = replace(HOURLY, name="other", payload=Prune())
    known_for(conn, timedelta(hours=2), HOURLY, other)
    conn.execute("DELETE FROM worker.kinds WHERE kind = 'probe'")

    look(database_url, HOURLY, other)

    assert (ticks(conn), len(ticks(conn, "other"))) == ([], 1)
    assert [late.name for late in schedules.list_late(conn)] == ["hourly"]


def test_a_row_that_somebody_holds_holds_up_no_other_schedule(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "LOCK_MS_MAX", 100)
    other = replace(HOURLY, name="other", payload=Prune())
    known_for(conn, timedelta(hours=2), HOURLY, other)

    with connect(database_url) as holder, connect(database_url) as scheduler:
        holder.execute("SELECT FROM worker.schedules WHERE name = 'hourly' FOR UPDATE")
        Beginning((replace(HOURLY, cron="30 * * * *"), other)).run(scheduler, threading.Event())
    held = (ticks(conn), len(ticks(conn, "other")))
    look(database_url, HOURLY, other)

    assert held == ([], 1)
    assert len(ticks(conn)) == 1


class Beginning(Clock):
    """Ends after its first look."""

    def run(self, conn: Connection, stopped: threading.Event) -> None:
        self._ending = stopped
        super().run(conn, stopped)

    def look(self, conn: Connection, *, now: datetime | None = None) -> None:
        super().look(conn, now=now)
        self._ending.set()


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
    stop(conn)

    look(database_url)

    assert ticks(conn) == []


def test_pausing_stops_a_tick_that_is_about_to_fire(conn: Connection) -> None:
    known_for(conn, timedelta(hours=2))
    stop(conn)

    assert fire(conn, HOURLY, fire_at=this_hour(conn), now=schedules.read_clock(conn)) is None


def test_a_resumed_schedule_skips_what_it_missed(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))
    stop(conn)
    go_on(conn)

    look(database_url)

    assert ticks(conn) == []


def test_a_second_resume_changes_nothing(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))

    go_on(conn)
    look(database_url)

    assert len(ticks(conn)) == 1


def test_a_clock_that_was_ahead_and_went_back_goes_on(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))
    with connect(database_url) as ahead:
        fire(
            ahead,
            HOURLY,
            fire_at=this_hour(conn) + timedelta(hours=9),
            now=schedules.read_clock(ahead),
        )

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

    state = states(conn)["hourly"]
    assert state.begins_at <= schedules.read_clock(conn)


def test_other_times_begin_anew(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(days=3))
    changed = Schedule("hourly", Probe(), cron="*/5 * * * *")

    announce_now(conn, [changed])
    look(database_url, changed)

    assert states(conn)["hourly"].begins_at >= this_hour(conn) - timedelta(hours=1)
    assert ticks(conn) == []


def test_a_restart_with_the_same_times_goes_on(conn: Connection) -> None:
    known_for(conn, timedelta(days=3))
    before = states(conn)["hourly"]

    announce_now(conn, [HOURLY])

    assert states(conn)["hourly"] == before


def test_a_schedule_that_left_the_code_is_marked(conn: Connection) -> None:
    other = Schedule("other", Probe(), cron="0 0 * * *")
    announce_now(conn, [HOURLY, other])

    announce_now(conn, [other])

    retired = conn.execute("SELECT name FROM worker.schedules WHERE retired_at IS NOT NULL")
    assert retired.fetchall() == [("hourly",)]


def test_rows_that_somebody_deleted_are_written_again(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))
    conn.execute("DELETE FROM worker.schedules")

    look(database_url)

    assert list(states(conn)) == ["hourly"]


def test_slow_work_with_a_unique_key_does_not_pile_up(conn: Connection, database_url: str) -> None:
    unique = replace(HOURLY, payload=Prune(), unique_key="prune")
    known_for(conn, timedelta(hours=2), unique)
    with connect(database_url) as other:
        fire(
            other,
            unique,
            fire_at=this_hour(conn) - timedelta(hours=1),
            now=schedules.read_clock(other),
        )

    look(database_url, unique)

    assert [job_id for _, _, job_id in ticks(conn)] == [one_job(conn).id] * 2


def test_jitter_spreads_the_jobs_and_not_the_ticks(conn: Connection) -> None:
    spread = replace(HOURLY, jitter_s=600)
    announce_now(conn, [spread])
    fire_at = this_hour(conn) + timedelta(hours=3)

    fire(conn, spread, fire_at=fire_at, now=schedules.read_clock(conn))

    assert ticks(conn)[0][0] == fire_at
    assert fire_at < one_job(conn).run_at < fire_at + timedelta(seconds=600)


def test_a_run_by_hand_leaves_the_timetable_as_it_is(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operating, "TIMETABLE", (HOURLY,))
    known_for(conn, timedelta(hours=2))

    with connect(database_url) as operator:
        operating.fire_by_hand(operator, "hourly")
    look(database_url)

    assert sorted(by_hand for _, by_hand, _ in ticks(conn)) == [False, True]
    assert len(jobs.list_jobs(conn)) == 2


@pytest.fixture
def hourly(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Operators work on a timetable of one schedule."""
    monkeypatch.setattr(operating, "TIMETABLE", (HOURLY,))
    return conn


def test_alarms_ring_at_edited_times() -> None:
    alarm = threading.Event()
    alarms = Alarms(alarm)
    alarms.start()
    alarms.follow("hourly", trigger_of("0 0 1 1 *"))

    alarms.follow("hourly", trigger_of("every 1 s"))

    assert alarm.wait(20)
    alarms.stop()


def test_a_look_leaves_nothing_late_whatever_the_policy(
    hourly: Connection, database_url: str
) -> None:
    skipping = replace(HOURLY, missed="skip", catch_up_s=0)
    known_for(hourly, timedelta(hours=5), skipping)

    before = [late.name for late in schedules.list_late(hourly)]
    look(database_url, skipping)

    (entry,) = operating.list_entries(hourly, [skipping])
    assert (before, schedules.list_late(hourly)) == (["hourly"], [])
    assert entry.late_s == 0
    assert (entry.missed_1d, entry.made_up_1d) in ((5, 0), (4, 0))


def test_each_missed_tick_is_made_up_oldest_first(conn: Connection, database_url: str) -> None:
    each = replace(HOURLY, missed="all", catch_up_s=3 * 3600)
    known_for(conn, timedelta(hours=5), each)
    now = this_hour(conn) + timedelta(minutes=30)

    with connect(database_url) as scheduler:
        Clock((each,)).look(scheduler, now=now)

    found = ticks(conn)
    assert [fire_at for fire_at, _, _ in found] == [
        this_hour(conn) - timedelta(hours=hours) for hours in (2, 1, 0)
    ]
    assert [job_id for _, _, job_id in found] == sorted(job.id for job in jobs.list_jobs(conn))


def test_what_was_skipped_while_the_clock_was_ahead_fires_when_it_comes(
    conn: Connection, database_url: str
) -> None:
    known_for(conn, timedelta(0))
    now = this_hour(conn) + timedelta(minutes=90)
    with connect(database_url) as scheduler:
        one = Clock((HOURLY,))
        one.look(scheduler, now=now + timedelta(days=30))
        one.look(scheduler, now=now)

        one.look(scheduler, now=now + timedelta(minutes=30))

    assert this_hour(conn) + timedelta(hours=2) in [fire_at for fire_at, _, _ in ticks(conn)]


def test_the_list_shows_schedules_no_scheduler_has_seen(conn: Connection) -> None:
    entries = operating.list_entries(conn)

    assert [entry.name for entry in entries] == [schedule.name for schedule in TIMETABLE]
    assert all(entry.next is not None and entry.last is None for entry in entries)


def test_the_list_shows_the_last_and_the_next_time(conn: Connection, database_url: str) -> None:
    known_for(conn, timedelta(hours=2))
    look(database_url)

    (entry,) = operating.list_entries(conn, [HOURLY])

    assert (entry.last, entry.next) == (this_hour(conn), this_hour(conn) + timedelta(hours=1))
