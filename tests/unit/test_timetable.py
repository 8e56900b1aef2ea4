"""When schedules fire: nominal times, what is due, what was missed."""

from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger

from db.schedules import State
from schedules import times
from schedules.times import (
    Policy,
    Settlement,
    Trigger,
    last_ticks,
    late_s,
    next_tick,
    settle,
    ticks,
    trigger_of,
)
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
MINUTELY = trigger_of("* * * * *")
DAY_S = 86_400
SKIP, ONCE, ALL = Policy("skip", DAY_S), Policy("once", DAY_S), Policy("all", DAY_S)


def state(
    *,
    begins_at: datetime = NOON - 30 * DAY,
    settled_at: datetime | None = None,
    paused_at: datetime | None = None,
) -> State:
    return State(
        name="s",
        begins_at=begins_at,
        paused_at=paused_at,
        cron_override=None,
        next_at=None,
        settled_at=settled_at,
        last_at=settled_at,
    )


def done(due: Settlement) -> tuple[int, list[datetime], list[datetime]]:
    """How many were skipped, what was made up, what fired on time."""
    return len(due.skipped), due.made_up, due.fired


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
        ("0 0 9 * * *", "five fields"),
        ("0 0 30 feb *", "no such day"),
        ("every 1.5 s", "five fields"),
        ("every \u0663 s", "ASCII"),
        ("*/0 * * * *", "Increment"),
        ("5-1 * * * *", "range"),
        ("0 0 * * mon#2", "weekday as mon"),
        ("0 3 * * mon;drop", "no name such as mon"),
        ("0 3 * * mon-fri/2", "no name such as mon"),
        ("0 3 1 jan/3 *", "no name such as mon"),
        ("0 3 lasting * *", "no name such as mon"),
        # Others count from Sunday.
        ("0 3 * * */2", "name the weekdays"),
        ("1," * 200 + "1 * * * *", "200 characters"),
        ("", "five fields"),
    ],
)
def test_what_would_be_misunderstood_is_refused(cron: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        trigger_of(cron)


def test_a_day_that_never_comes_is_told_without_searching_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(CronTrigger, "get_next_fire_time", lambda *given: asked.append(given))

    with pytest.raises(ValueError, match="no such day"):
        trigger_of("0 0 31 2,4,6,9,11 *")

    assert asked == []


def test_a_schedule_that_makes_up_each_tick_lets_none_coincide() -> None:
    """A unique key would make one job of them all."""
    assert [s.name for s in TIMETABLE if s.missed == "all" and s.unique_key] == []


def test_what_is_made_up_has_a_window_and_nothing_else_has() -> None:
    assert {s.name for s in TIMETABLE if (s.catch_up_s > 0) != (s.missed != "skip")} == set()


@pytest.mark.parametrize("policy", [SKIP, ONCE, ALL])
def test_a_tick_that_is_a_little_late_was_not_missed(policy: Policy) -> None:
    due = settle(HOURLY, state(settled_at=NOON - HOUR), policy, now=NOON + 9 * SECOND)

    assert done(due) == (0, [], [NOON])


def test_a_tick_is_due_at_its_very_time_and_not_again() -> None:
    due = settle(HOURLY, state(settled_at=NOON - HOUR), SKIP, now=NOON)
    again = settle(HOURLY, state(settled_at=NOON), SKIP, now=NOON + SECOND)

    assert (done(due), done(again)) == ((0, [], [NOON]), (0, [], []))


def test_a_new_schedule_owes_nothing_of_the_past() -> None:
    known = state(begins_at=NOON + MINUTE)

    assert done(settle(HOURLY, known, ALL, now=NOON + 2 * MINUTE)) == (0, [], [])
    assert done(settle(HOURLY, known, ALL, now=NOON + HOUR)) == (0, [], [NOON + HOUR])


@pytest.mark.parametrize(
    ("policy", "skipped", "made_up"),
    [
        (SKIP, 5, []),
        (ONCE, 4, [NOON]),
        (ALL, 0, [NOON - hours * HOUR for hours in (4, 3, 2, 1, 0)]),
        (Policy("all", 2 * 3600), 3, [NOON - HOUR, NOON]),
        (Policy("once", 60), 5, []),
        (Policy("all", 0), 5, []),
    ],
)
def test_what_was_missed_follows_the_policy(
    policy: Policy, skipped: int, made_up: list[datetime]
) -> None:
    known = state(settled_at=NOON - 5 * HOUR)

    due = settle(HOURLY, known, policy, now=NOON + 2 * MINUTE)

    assert done(due) == (skipped, made_up, [])
    assert due.next_at == NOON + HOUR


def test_the_window_holds_its_very_end() -> None:
    known = state(settled_at=NOON - HOUR)

    made_up = settle(HOURLY, known, Policy("once", 60), now=NOON + MINUTE)
    over = settle(HOURLY, known, Policy("once", 60), now=NOON + MINUTE + SECOND)

    assert (done(made_up), done(over)) == ((0, [NOON], []), (1, [], []))


def test_once_makes_nothing_up_when_the_next_one_has_come() -> None:
    known = state(settled_at=NOON - 5 * HOUR)

    assert done(settle(HOURLY, known, ONCE, now=NOON)) == (4, [], [NOON])
    assert done(settle(HOURLY, known, SKIP, now=NOON)) == (4, [], [NOON])
    assert len(settle(HOURLY, known, ALL, now=NOON).made_up) == 4


def test_all_is_bounded_and_skips_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "MADE_UP_TICKS_MAX", 3)

    due = settle(MINUTELY, state(settled_at=NOON - HOUR), ALL, now=NOON + 30 * SECOND)

    assert done(due) == (57, [NOON - 2 * MINUTE, NOON - MINUTE, NOON], [])


def test_only_so_many_are_noted_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "NOTED_TICKS_MAX", 60)
    now = NOON + 30 * SECOND

    many = settle(MINUTELY, state(settled_at=NOON - 2 * HOUR), SKIP, now=now)
    all_of_them = settle(MINUTELY, state(settled_at=NOON - HOUR), SKIP, now=now)

    assert (len(many.skipped), many.skipped[-1], many.forgot) == (60, NOON, True)
    assert (len(all_of_them.skipped), all_of_them.forgot) == (60, False)


def test_a_short_stall_loses_no_tick() -> None:
    seconds = trigger_of("every 1 s")

    due = settle(seconds, state(settled_at=NOON), SKIP, now=NOON + 3.5 * SECOND)

    assert due.fired == [NOON + SECOND, NOON + 2 * SECOND, NOON + 3 * SECOND]


def test_late_is_since_the_oldest_open_tick_and_never_by_a_pause() -> None:
    known = state(settled_at=NOON - 3 * HOUR)

    assert late_s(HOURLY, known, now=NOON) == 2 * 3600
    assert late_s(HOURLY, state(settled_at=NOON), now=NOON + MINUTE) == 0
    assert late_s(HOURLY, state(begins_at=NOON), now=NOON + MINUTE) == 0
    assert late_s(HOURLY, state(paused_at=NOON - HOUR), now=NOON) == 0


def test_many_ticks_of_half_a_century_are_found_by_looking_at_few_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daily = trigger_of("41 2 * * *")
    looked_at = 0

    def counted(trigger: Trigger, after: datetime) -> datetime | None:
        nonlocal looked_at
        looked_at += 1
        return next_tick(trigger, after)

    monkeypatch.setattr(times, "next_tick", counted)

    found = last_ticks(daily, after=NOON - 18_000 * DAY, until=NOON, most=400)

    assert (len(found), found[-1]) == (400, NOON - 9 * HOUR - 19 * MINUTE)
    assert found[0] == found[-1] - 399 * DAY
    assert looked_at < 2_000


@pytest.mark.parametrize("cron", ["every 1 s", "* 3 * * *", "0 0 1 1 *", "0 0 29 feb *"])
def test_the_last_of_years_is_found_without_counting_them(cron: str) -> None:
    trigger = trigger_of(cron)

    (found,) = last_ticks(trigger, after=NOON - 4000 * DAY, until=NOON, most=1)

    following = next_tick(trigger, found)
    assert found <= NOON
    assert following is not None
    assert following > NOON


def test_the_last_ones_are_the_same_however_far_they_are_looked_for() -> None:
    found = last_ticks(HOURLY, after=NOON - 40 * DAY, until=NOON, most=900)

    assert found == ticks(HOURLY, after=NOON - 40 * DAY, until=NOON)[-900:]
