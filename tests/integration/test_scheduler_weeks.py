"""Schedulers killed at random for simulated weeks: one row a tick, and policies kept."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from hypothesis import settings

from db.pool import Connection
from schedules import operating
from schedules.timetable import TIMETABLE, Schedule
from tests.simulated_weeks import START, World, naive_ticks
from workers.jobs import Probe

# Shapes that today's timetable has not: each tick made up, and jobs that are one a tick.
MORE = (
    Schedule("each", Probe(), "*/15 * * * *", missed="all", catch_up_s=3 * 3600),
    Schedule("last", Probe(), "20 */2 * * *", missed="once", catch_up_s=5 * 3600),
    Schedule("none", Probe(), "every 90 s"),
)
# `make weeks`: half an hour, and months of its schedulers' time.
STRESS = settings.get_current_profile_name() == "stress"
STEPS = 3_000 if STRESS else 60
SEEDS = range(4) if STRESS else [9]


@contextmanager
def world(
    url: str, conn: Connection, monkeypatch: pytest.MonkeyPatch, *, seed: int, clocks: int
) -> Iterator[World]:
    timetable = (*TIMETABLE, *MORE)
    monkeypatch.setattr(operating, "TIMETABLE", timetable)
    logging.getLogger("schedules").setLevel(logging.ERROR)
    opened = World(url, conn, timetable, seed=seed, clocks=clocks)
    yield opened
    opened.close()
    logging.getLogger("schedules").setLevel(logging.NOTSET)


def live(world: World, *, steps: int, clocks: int) -> None:
    """Mostly each minute is looked at in time; now and then, everything that can happen does."""
    luck = world.luck
    ahead = timedelta()
    for _ in range(steps):
        chance = luck.random()
        if chance < 0.74:
            world.go_on(timedelta(seconds=luck.choice([1, 7, 20, 30, 55, 60])))
        elif chance < 0.85:
            world.go_on(timedelta(minutes=luck.randrange(1, 90)))
        elif chance < 0.97:
            world.go_on(timedelta(hours=luck.randrange(1, 60)))
        elif ahead:
            world.go_on(-ahead)
            ahead = timedelta()
        else:
            ahead = timedelta(hours=luck.randrange(1, 20))
            world.go_on(ahead)
        match luck.choices(["look", "together", "kill", "pause", "edit"], [70, 8, 14, 5, 3])[0]:
            case "look":
                world.look(luck.randrange(clocks))
            case "together":
                world.look_together()
            case "kill":
                world.kill(luck.randrange(clocks))
            case "pause":
                world.pause_or_resume()
            case "edit":
                world.edit_or_reset()


@pytest.mark.parametrize("clocks", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_each_look_writes_what_a_naive_list_of_ticks_says(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int, clocks: int
) -> None:
    with world(database_url, conn, monkeypatch, seed=seed, clocks=clocks) as lived:
        live(lived, steps=STEPS, clocks=clocks)

        assert lived.now - START > timedelta(days=6)
        assert lived.kills >= STEPS // 30
        assert_each_fired_tick_has_its_job(conn)


def assert_each_fired_tick_has_its_job(conn: Connection) -> None:
    rows = conn.execute(
        "SELECT skipped, job_id FROM worker.schedule_ticks"
        " WHERE schedule IN ('each', 'last', 'none')"
    ).fetchall()
    jobs = [id for (id,) in conn.execute("SELECT id FROM worker.jobs WHERE kind = 'probe'")]
    assert sorted(job_id for skipped, job_id in rows if not skipped) == sorted(jobs)
    assert {job_id for skipped, job_id in rows if skipped} <= {None}


def test_weeks_without_pauses_leave_no_tick_without_its_one_row(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world(database_url, conn, monkeypatch, seed=99, clocks=2) as lived:
        for _ in range(STEPS):
            lived.go_on(timedelta(minutes=lived.luck.choice([1, 1, 2, 30, 900])))
            if lived.luck.random() < 0.3:
                lived.kill(lived.luck.randrange(2))
            else:
                lived.look(lived.luck.randrange(2))
        lived.go_on(timedelta(minutes=1))
        lived.look(0)

        for schedule in (*TIMETABLE, *MORE):
            found = rows_of(conn, schedule.name)
            assert found == Counter(naive_ticks(schedule.cron, after=START, until=lived.now))


def rows_of(conn: Connection, name: str) -> Counter[datetime]:
    rows = conn.execute("SELECT fire_at FROM worker.schedule_ticks WHERE schedule = %s", (name,))
    return Counter(fire_at for (fire_at,) in rows)
