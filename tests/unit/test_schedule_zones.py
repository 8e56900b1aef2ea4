"""Clocks that go forward and back, in every zone, move no tick: all of it is in UTC."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from db.schedules import State, in_utc
from schedules.times import next_tick, settled_until, ticks, trigger_of

HOUR = timedelta(hours=1)
# Half an hour, midnight, a whole day left out, and no summer time at all are among them.
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Antarctica/Troll",
]
CRONS = ["* * * * *", "30 2 * * *", "0 * * * *", "*/20 1-3 * * sun", "every 900 s", "0 0 1 * *"]


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest) -> Iterator[ZoneInfo]:
    """The zone of this machine meanwhile."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield ZoneInfo(request.param)
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@cache
def changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The hours of that year before which the zone's distance from UTC changes."""
    start = datetime(year, 1, 1, tzinfo=UTC)
    hours = [start + number * HOUR for number in range(366 * 24)]
    return [
        later
        for earlier, later in pairwise(hours)
        if earlier.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset()
    ]


def naive(cron: str, *, after: datetime, until: datetime) -> list[datetime]:
    """Every minute that is a time of these few shapes, one by one, without the parser."""
    found = []
    at = after.replace(second=0, microsecond=0)
    while (at := at + timedelta(minutes=1)) <= until:
        minute, hour, day, weekday = at.minute, at.hour, at.day, at.isoweekday()
        fires = {
            "* * * * *": True,
            "30 2 * * *": (hour, minute) == (2, 30),
            "0 * * * *": minute == 0,
            "*/20 1-3 * * sun": minute % 20 == 0 and 1 <= hour <= 3 and weekday == 7,
            "every 900 s": minute % 15 == 0,
            "0 0 1 * *": (day, hour, minute) == (1, 0, 0),
        }[cron]
        if fires:
            found.append(at)
    return found


@pytest.mark.parametrize("cron", CRONS)
def test_over_a_change_of_clocks_no_tick_doubles_or_is_left_out(zone: ZoneInfo, cron: str) -> None:
    for change in changes(zone, 2011) + changes(zone, 2026):
        start, end = change - 8 * HOUR, change + 8 * HOUR

        found = ticks(trigger_of(cron), after=start, until=end)

        assert found == naive(cron, after=start, until=end)


def test_times_that_come_in_a_zone_mean_the_same(zone: ZoneInfo) -> None:
    """Postgres answers in its session's zone."""
    minutes, hours = trigger_of("* * * * *"), trigger_of("0 * * * *")
    for change in changes(zone, 2026):
        for minute in range(-90, 91, 15):
            at = change + timedelta(minutes=minute)

            local = at.astimezone(zone)

            assert next_tick(minutes, local) == at + timedelta(minutes=1)
            assert next_tick(hours, local) == next_tick(hours, at)


def test_what_was_settled_last_is_found_in_the_hour_that_comes_twice(zone: ZoneInfo) -> None:
    """Python compares two times of one zone by the wall clock: states are made UTC first."""
    for change in changes(zone, 2026):
        began, settled = change - HOUR / 4, change + HOUR / 3

        state = State(
            "s", *map(in_utc, (local(began, zone), None, None, None, local(settled, zone), None))
        )

        assert settled_until(state) == settled


def local(at: datetime, zone: ZoneInfo) -> datetime:
    """As Postgres answers in a session of that zone."""
    return at.astimezone(zone)
