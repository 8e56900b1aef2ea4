"""Which sources are called slow, stuck, failing or stale, and in which order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from db.watched_sources import Failing, Stale, Working
from workers.dashboard.source_trouble import SLOW_S, judge, tell_slow

NOW = datetime(2026, 11, 23, 14, 40, tzinfo=UTC)
ID = UUID(int=7)
WORKING = Working(
    ID, "Help", "url", ID, "ada@example.com", None, 5, "running", 10.0, 5, 100.0, 0, Decimal(0)
)


@pytest.mark.parametrize(
    ("took_s", "usual_s", "usual_runs", "is_slow"),
    [
        (199, 100, 5, False),
        (201, 100, 5, True),
        # A few seconds more than a few seconds are nothing.
        (59, 2, 5, False),
        (61, 2, 5, True),
        # Too few runs tell nothing.
        (201, 100, 2, False),
        (SLOW_S + 1, None, 0, True),
        (SLOW_S + 1, 900, 9, True),
        (SLOW_S - 1, 900, 9, False),
    ],
)
def test_slow_is_over_twice_the_usual_or_over_the_limit(
    took_s: float, usual_s: float | None, usual_runs: int, is_slow: bool
) -> None:
    working = replace(WORKING, took_s=took_s, usual_s=usual_s, usual_runs=usual_runs)

    found = judge([], [working], [], now=NOW)

    assert [each.level for each in found] == ["slow"] * is_slow


def test_a_source_without_a_job_is_stuck_after_a_minute() -> None:
    lost = replace(WORKING, job_id=None, job_state=None, took_s=61)
    between = replace(lost, took_s=59)

    assert [each.level for each in judge([], [lost, between], [], now=NOW)] == ["stuck"]


def test_what_fails_comes_first_then_the_stuck_the_slowest_and_the_stale() -> None:
    failing = Failing(
        ID, "A", "url", "failed", ID, None, "gone", 6, NOW - timedelta(hours=9), None, 0, Decimal(0)
    )
    lost = replace(WORKING, job_id=None, took_s=100)
    slow, slower = replace(WORKING, took_s=300), replace(WORKING, took_s=900)
    stale = Stale(ID, "B", "api", ID, None, NOW - timedelta(hours=26), "daily", None)

    found = judge([failing], [slow, lost, slower], [stale], now=NOW)

    assert [(each.level, each.for_s) for each in found] == [
        ("failing", 9 * 3_600),
        ("stuck", 100),
        ("slow", 900),
        ("slow", 300),
        ("stale", 26 * 3_600),
    ]
    assert found[0].why == "6 refreshes in a row failed. gone"


def test_why_it_is_slow_says_how_far_it_is() -> None:
    told = tell_slow(
        replace(WORKING, took_s=2_460, usual_s=540, progress={"done": 312, "total": 1212})
    )

    assert told == "41 min for one run, usual 9 min; 312 of 1,212 done"
