"""When schedules fire: nominal times, what is due, what was missed."""

from datetime import UTC, datetime, timedelta

import pytest

from db.schedules import State
from schedules.times import due_ticks, last_tick, next_tick, ticks, trigger_of
from schedules.timetable import TIMETABLE, Schedule
from workers.jobs import KINDS, kind_of

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
HOURLY = trigger_of("0 * * * *")


def state(
    *,
    begins_at: datetime = NOON - 30 * DAY,
    fired_at: datetime | None = None,
    paused_at: datetime | None = None,
) -> State:
    return State("s", begins_at, paused_at, fired_at, fired_at)


@pytest.mark.parametrize("schedule", TIMETABLE, ids=lambda schedule: schedule.name)
def test_every_row_of_the_timetable_can_be_fired(schedule: Schedule) -> None:
    assert next_tick(trigger_of(schedule.cron), NOON) is not None
    assert kind_of(schedule.payload).name in KINDS


def test_names_in_the_timetable_are_unique() -> None:
    names = [schedule.name for schedule in TIMETABLE]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("cron", "wait"),
    [
        ("* * * * *", MINUTE),
        ("30 * * * *", 30 * MINUTE),
        ("0 */6 * * *", 6 * HOUR),
        ("0 0 * * *", 12 * HOUR),
        ("0 12 * * tue", DAY),
        ("0 12 * * mon-fri", DAY),
        ("0 12 * * mon", 7 * DAY),
        ("0 0 1 * *", 29.5 * DAY),
        ("every 30 s", 30 * SECOND),
        ("every 86400 s", 12 * HOUR),
    ],
)
def test_the_next_time_is_after_this_one(cron: str, wait: timedelta) -> None:
    assert next_tick(trigger_of(cron), NOON) == NOON + wait


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("* * * *", "five fields"),
        ("every 0 s", "five fields"),
        ("0 9 * * 1", "weekday as mon"),
        ("0 9 1 * mon", "a day or a weekday"),
        ("61 * * * *", "61"),
    ],
)
def test_what_would_be_misunderstood_is_refused(cron: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        trigger_of(cron)


def test_summer_time_moves_no_tick() -> None:
    night = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)  # clocks go forward in Europe

    assert len(ticks(HOURLY, after=night, until=night + DAY)) == 24


def test_a_tick_is_due_at_its_very_time_and_not_again() -> None:
    due = due_ticks(HOURLY, state(fired_at=NOON - HOUR), looked_at=NOON - SECOND, now=NOON)
    again = due_ticks(HOURLY, state(fired_at=NOON), looked_at=NOON, now=NOON + SECOND)

    assert (due, again) == ([NOON], [])


def test_a_tick_has_the_time_of_the_timetable_not_of_the_look() -> None:
    due = due_ticks(HOURLY, state(), looked_at=NOON - SECOND, now=NOON + 0.7 * SECOND)

    assert due == [NOON]


def test_a_new_schedule_owes_nothing_of_the_past() -> None:
    known = state(begins_at=NOON + MINUTE)

    assert due_ticks(HOURLY, known, looked_at=None, now=NOON + 2 * MINUTE) == []
    assert due_ticks(HOURLY, known, looked_at=None, now=NOON + HOUR) == [NOON + HOUR]


def test_what_was_missed_while_away_fires_once_for_the_last_time() -> None:
    due = due_ticks(HOURLY, state(fired_at=NOON - 5 * DAY), looked_at=None, now=NOON + MINUTE)

    assert due == [NOON]


def test_a_clock_that_jumps_ahead_fires_once() -> None:
    seconds = trigger_of("every 1 s")

    due = due_ticks(seconds, state(fired_at=NOON), looked_at=NOON, now=NOON + HOUR)

    assert due == [NOON + HOUR]


def test_a_short_stall_loses_no_tick() -> None:
    seconds = trigger_of("every 1 s")

    due = due_ticks(seconds, state(fired_at=NOON), looked_at=NOON, now=NOON + 3.5 * SECOND)

    assert due == [NOON + SECOND, NOON + 2 * SECOND, NOON + 3 * SECOND]


def test_a_clock_that_goes_back_fires_what_it_has_not() -> None:
    """`fired_at` is the last one up to now: what lies ahead was fired too early."""
    minutes = trigger_of("* * * * *")
    known = state(fired_at=NOON - 2 * MINUTE)

    due = due_ticks(minutes, known, looked_at=NOON + DAY, now=NOON)

    assert due == [NOON]


def test_a_paused_schedule_is_never_due() -> None:
    paused = state(fired_at=NOON - DAY, paused_at=NOON - HOUR)

    assert due_ticks(HOURLY, paused, looked_at=None, now=NOON) == []


def test_a_resumed_schedule_skips_what_it_missed() -> None:
    resumed = state(fired_at=NOON - DAY, begins_at=NOON + MINUTE)

    assert due_ticks(HOURLY, resumed, looked_at=None, now=NOON + 2 * MINUTE) == []


@pytest.mark.parametrize("cron", ["every 1 s", "* 3 * * *", "0 0 1 1 *", "0 0 29 feb *"])
def test_the_last_of_years_is_found_without_counting_them(cron: str) -> None:
    trigger = trigger_of(cron)

    (found,) = last_tick(trigger, after=NOON - 4000 * DAY, until=NOON)

    following = next_tick(trigger, found)
    assert found <= NOON
    assert following is not None
    assert following > NOON
