"""How many messages are included when plans change within a period."""

from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import ceil
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.billing.allowance import Change, Plan, allowance, segments
from pipelines.billing.periods import Period

JANUARY = Period(date(2025, 1, 1), date(2025, 2, 1))
FREE, STARTER, PRO = Plan("free", 1_000), Plan("starter", 5_000), Plan("professional", 10_000)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
JANUARY_S = 31 * 86_400


def included(*changes: Change, today: Plan) -> int:
    return allowance(segments(JANUARY, changes, today=today))


def naive(changes: list[Change], today: Plan) -> int:
    """Each microsecond's limit, by runs between moments that matter."""
    moments = sorted(
        {JANUARY.start_at, JANUARY.end_at}
        | {c.at for c in changes if JANUARY.start_at < c.at < JANUARY.end_at}
    )
    total = Fraction(0)
    for since, until in pairwise(moments):
        held = next((c.before for c in changes if c.at > since), today)
        share = Fraction((until - since) // timedelta(microseconds=1), JANUARY_S * 1_000_000)
        total += share * held.message_limit
    return ceil(total)


def test_a_plan_that_held_throughout_includes_its_limit() -> None:
    assert included(today=FREE) == 1_000


@pytest.mark.parametrize(
    ("changes", "today", "expected"),
    [
        # Raised for the last 21 of 31 days: 1,000 * 10/31 + 10,000 * 21/31 = 7096.77
        ([(JANUARY.start_at + 10 * DAY, FREE)], PRO, 7_097),
        # Lowered for them: 3903.22
        ([(JANUARY.start_at + 10 * DAY, PRO)], FREE, 3_904),
        # There and back: 1,000 * 21/31 + 10,000 * 10/31 = 3903.22
        ([(JANUARY.start_at + DAY, FREE), (JANUARY.start_at + 11 * DAY, PRO)], FREE, 3_904),
        # At the boundaries: what holds from the end on is not January's.
        ([(JANUARY.start_at, FREE)], PRO, 10_000),
        ([(JANUARY.end_at, FREE)], PRO, 1_000),
        ([(JANUARY.end_at + DAY, FREE)], PRO, 1_000),
        ([(JANUARY.start_at - DAY, FREE)], PRO, 10_000),
        # One second of a plan is less than a message of difference, rounded up.
        ([(JANUARY.start_at + SECOND, FREE)], PRO, 10_000),
        ([(JANUARY.end_at - SECOND, FREE)], PRO, 1_001),
        ([(JANUARY.end_at - SECOND, PRO)], FREE, 10_000),
        # Two at one moment: the plan between them never held.
        ([(JANUARY.start_at + DAY, FREE), (JANUARY.start_at + DAY, STARTER)], PRO, 9_710),
    ],
)
def test_limits_are_weighted_by_the_time_they_held(
    changes: list[tuple[datetime, Plan]], today: Plan, expected: int
) -> None:
    assert included(*(Change(at, before) for at, before in changes), today=today) == expected


@given(
    st.lists(
        st.tuples(
            st.timedeltas(-7 * DAY, 38 * DAY),
            st.integers(0, 2**31 - 1),
        ),
        max_size=8,
    ),
    st.integers(0, 2**31 - 1),
)
@settings(max_examples=150)
def test_any_changes_agree_with_fractions_to_the_last_message(
    drawn: list[tuple[timedelta, int]], limit: int
) -> None:
    changes = [
        Change(JANUARY.start_at + after, Plan("free", each)) for after, each in sorted(drawn)
    ]
    today = Plan("free", limit)

    parts = segments(JANUARY, changes, today=today)

    assert allowance(parts) == naive(changes, today)
    assert sum(part.ticks for part in parts) == JANUARY_S * 1_000_000
    assert parts[-1].end_at == JANUARY.end_at


def test_a_month_whose_clocks_change_elsewhere_is_weighted_in_utc() -> None:
    march = Period(date(2025, 3, 1), date(2025, 4, 1))
    berlin = ZoneInfo("Europe/Berlin")
    at = (march.start_at + 30.5 * DAY).astimezone(berlin)

    parts = segments(march, [Change(at, Plan("free", 0))], today=Plan("free", 31_000))

    assert allowance(parts) == 500
