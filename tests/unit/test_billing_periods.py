"""Which days a period holds, and which period follows."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.billing.periods import Period, following, next_start

DAYS = st.dates(date(1999, 1, 1), date(2100, 1, 1))


@pytest.mark.parametrize(
    ("anchor_day", "day", "expected"),
    [
        (31, date(2025, 1, 31), date(2025, 2, 28)),
        (31, date(2025, 2, 28), date(2025, 3, 31)),
        (31, date(2024, 1, 31), date(2024, 2, 29)),
        (30, date(2025, 1, 30), date(2025, 2, 28)),
        (29, date(2025, 2, 28), date(2025, 3, 29)),
        (15, date(2025, 1, 3), date(2025, 1, 15)),
        (1, date(2025, 12, 1), date(2026, 1, 1)),
        (31, date(2025, 12, 31), date(2026, 1, 31)),
    ],
)
def test_the_next_period_begins_at_the_anchor_or_at_a_short_months_end(
    anchor_day: int, day: date, expected: date
) -> None:
    assert next_start(anchor_day, day) == expected


@given(st.integers(1, 31), DAYS)
@settings(max_examples=200)
def test_the_next_start_is_the_first_later_day_that_is_the_anchors(
    anchor_day: int, day: date
) -> None:
    later = (day + timedelta(days=n) for n in range(1, 63))

    naive = next(
        each
        for each in later
        if each.day == anchor_day
        or (each.day < anchor_day and (each + timedelta(days=1)).month != each.month)
    )

    assert next_start(anchor_day, day) == naive


@given(st.integers(1, 31), DAYS, st.integers(1, 900))
@settings(max_examples=100)
def test_missed_periods_lie_end_to_end_until_the_known_one(
    anchor_day: int, first: date, days: int
) -> None:
    known_start = first + timedelta(days=days)
    periods = [Period(first - timedelta(days=1), first)]

    while missed := following(periods[-1], anchor_day=anchor_day, known_start=known_start):
        periods.append(missed)

    assert [each.start for each in periods[1:]] == [each.end for each in periods[:-1]]
    assert periods[-1].end == known_start
    assert all(1 <= (each.end - each.start).days <= 31 for each in periods)


def test_nothing_lies_between_periods_that_touch() -> None:
    january = Period(date(2025, 1, 1), date(2025, 2, 1))

    assert following(january, anchor_day=1, known_start=date(2025, 2, 1)) is None
    assert following(january, anchor_day=1, known_start=date(2025, 1, 20)) is None


def test_a_period_lasts_from_midnight_to_midnight_in_utc() -> None:
    period = Period(date(2025, 2, 28), date(2025, 3, 31))

    assert period.start_at == datetime(2025, 2, 28, tzinfo=UTC)
    assert period.end_at == datetime(2025, 3, 31, tzinfo=UTC)
