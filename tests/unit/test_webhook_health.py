"""The health of an endpoint: when it is held back, how it comes back, when it is given up."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.webhooks import health
from pipelines.webhooks.health import Health, Hold, Result, after, hold_of

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAN_S = 3600.0


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def ended(second: float, *, ok: bool, took_s: float = 0.1, **how: bool) -> Result:
    return Result(at(second - took_s), at(second), ok, **how)


def failed(second: float, *, took_s: float = 0.1, **how: bool) -> Result:
    return ended(second, ok=False, took_s=took_s, **how)


def arrived(second: float, *, took_s: float = 0.1) -> Result:
    return ended(second, ok=True, took_s=took_s)


def follow(results: Iterable[Result], then: Health | None = None) -> Health:
    given = list(results)
    now = max(result.ended_at for result in given)
    return after(then or Health(), given, now=now, plan_s=PLAN_S)


def opened(times: int = 1) -> Health:
    """A circuit that opened at second 0 and so often, and whose time to open again has come."""
    found = follow(failed(0) for _ in range(100))
    for _ in range(times - 1):
        assert found.open_until is not None
        found = follow([failed((found.open_until - START).total_seconds() + 0.2)], found)
    return found


def open_s(found: Health, since: float) -> float:
    assert found.open_until is not None
    return (found.open_until - at(since)).total_seconds()


def test_nothing_is_known_at_first_and_nothing_held() -> None:
    assert hold_of(Health()) is None


def test_ninety_nine_failures_at_once_hold_nothing_and_one_more_opens_the_circuit() -> None:
    almost = follow(failed(0) for _ in range(99))

    last = follow([failed(0)], almost)

    assert hold_of(almost) is None
    assert hold_of(last) == Hold(1, at(5), "100 failures in a row")
    assert (last.is_open(at(4.9)), last.is_open(at(5))) == (True, False)


@pytest.mark.parametrize(
    ("failures", "apart_s", "opens"),
    [(20, 0.55, True), (20, 0.5, False), (19, 10, False), (2, 3600, False)],
)
def test_twenty_failures_over_ten_seconds_open_it_too(
    failures: int, apart_s: float, opens: bool
) -> None:
    found = follow(failed(number * apart_s) for number in range(failures))

    assert (found.open_until is not None) is opens


def test_a_success_ends_the_row_of_failures() -> None:
    found = follow([*(failed(n) for n in range(19)), arrived(19), *(failed(n) for n in (20, 40))])

    assert (found.consecutive_failures, found.failing_since, found.open_until) == (2, at(20), None)


def test_the_circuit_stays_open_for_twice_as_long_each_time_up_to_five_minutes() -> None:
    found = opened()
    waits = [open_s(found, 0)]

    for _ in range(8):
        assert found.open_until is not None
        second = (found.open_until - START).total_seconds() + 1
        found = follow([failed(second)], found)
        waits.append(open_s(found, second))

    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_half_open_circuit_lets_one_through_then_two_four_eight_and_all() -> None:
    found = opened(3)
    caps = [hold_of(found)]

    for second in range(100, 104):
        found = follow([arrived(second)], found)
        caps.append(hold_of(found))

    assert [hold and hold.cap for hold in caps] == [1, 2, 4, 8, None]
    assert caps[1] is not None
    assert "0 failures" not in caps[1].reason
    assert replace(found, succeeded_at=None) == Health()


def test_one_failure_in_the_ramp_opens_it_again_and_for_longer() -> None:
    found = follow([arrived(100), arrived(101)], opened())

    again = follow([failed(102)], found)

    assert (again.ramp, open_s(again, 102), again.is_open(at(103))) == (1, 10, True)


def test_after_it_closed_the_next_opening_is_short_again() -> None:
    well = follow([arrived(second) for second in range(100, 104)], opened(5))

    again = follow([failed(200) for _ in range(100)], well)

    assert open_s(again, 200) == 5


def test_what_was_in_flight_when_it_opened_does_not_lengthen_it() -> None:
    found = opened()

    later = follow([failed(second, took_s=second) for second in (3, 8, 15)], found)

    assert (later.open_until, later.opened_times, later.ramp) == (found.open_until, 1, 1)
    assert later.consecutive_failures == 103


def test_a_success_in_flight_when_it_opened_lets_more_through_at_once() -> None:
    found = follow([arrived(2, took_s=2.5)], opened())

    assert (found.is_open(at(2)), found.ramp) == (False, 2)


def test_a_late_failure_that_began_before_a_success_is_no_news() -> None:
    found = follow([failed(0), arrived(5)])

    later = follow([failed(15, took_s=14, timed_out=True, for_good=True)], found)

    assert (later.consecutive_failures, later.failing_since, later.failed_for_good) == (0, None, 0)


def test_results_count_in_the_order_they_ended_however_they_are_handed_in() -> None:
    results = [*(failed(n) for n in range(30)), arrived(30), *(failed(n) for n in range(31, 36))]
    expected = follow(results)

    for seed in range(20):
        assert follow(Random(seed).sample(results, len(results))) == expected


@pytest.mark.parametrize(
    "slow", [arrived(9, took_s=3), failed(9, took_s=9), failed(9, took_s=1, timed_out=True)]
)
def test_a_slow_answer_caps_the_endpoint_at_two(slow: Result) -> None:
    hold = hold_of(follow([slow]))

    assert hold is not None
    assert (hold.cap, hold.open_until, "3 s" in hold.reason) == (2, None, True)


def test_it_is_quick_again_after_four_quick_answers_in_a_row() -> None:
    slow = follow([arrived(4, took_s=3)])

    holds = []
    for second in range(5, 9):
        slow = follow([arrived(second)], slow)
        holds.append(hold_of(slow))

    assert [hold is None for hold in holds] == [False, False, False, True]
    assert hold_of(follow([arrived(20, took_s=4)], slow)) is not None


def test_a_slow_answer_counts_when_it_ends_not_when_it_began() -> None:
    results = [arrived(10, took_s=10), *(arrived(second) for second in range(1, 6))]

    assert follow(results).is_slow


def test_a_slow_one_in_the_ramp_gets_the_lower_cap() -> None:
    found = follow([arrived(second, took_s=3) for second in (100, 110)], opened())

    hold = hold_of(found)

    assert hold is not None
    assert (found.ramp, hold.cap) == (4, 2)


def lost(first: int, last: int, every_s: float) -> list[Result]:
    return [failed(number * every_s, for_good=True) for number in range(first, last)]


def test_an_endpoint_is_given_up_after_a_whole_plan_and_twenty_lost_deliveries() -> None:
    before = follow(lost(0, 21, PLAN_S / 20 - 1))

    found = follow([failed(PLAN_S, for_good=True)], before)

    assert before.disabled_reason is None
    assert found.disabled_reason == (
        "nothing was delivered for 1 hour, and 22 deliveries in a row failed for good"
    )


@pytest.mark.parametrize(
    "results",
    [
        [*lost(0, 19, 1), failed(PLAN_S)],
        [*lost(0, 100, 1)],
        [*lost(0, 30, 1), arrived(31), failed(PLAN_S), failed(PLAN_S * 2, for_good=True)],
        [failed(second) for second in range(0, 7200, 100)],
    ],
    ids=["19 lost", "too soon", "a success between", "none lost for good"],
)
def test_it_is_not_given_up_before_both(results: list[Result]) -> None:
    assert follow(results).disabled_reason is None


def test_a_hundred_failures_over_a_whole_plan_give_it_up_too() -> None:
    held_back = [failed(second) for second in range(0, 9900, 100)]

    before, found = follow(held_back), follow([*held_back, failed(9900)])

    assert before.disabled_reason is None
    assert found.disabled_reason == (
        "nothing was delivered for 2 hours, and 100 attempts in a row failed"
    )


@pytest.mark.parametrize(("second", "given_up"), [(0.99, False), (1.0, True)])
def test_the_shortest_plan_still_takes_a_second(second: float, given_up: bool) -> None:
    results = [failed(number / 40, for_good=True) for number in range(30)]

    found = after(Health(), [*results, failed(second)], now=at(second), plan_s=0.0)

    assert (found.disabled_reason is not None) is given_up


def test_one_answer_of_410_gives_it_up_also_when_it_comes_late() -> None:
    found = follow([failed(1, gone=True)])
    late = follow([failed(9, took_s=8, gone=True)], follow([arrived(5)]))

    assert "410" in (found.disabled_reason or "")
    assert "410" in (late.disabled_reason or "")


def test_what_gave_it_up_stays_the_reason() -> None:
    gone = follow([failed(0, gone=True)])

    found = follow(lost(0, 200, 60), gone)

    assert found.disabled_reason == gone.disabled_reason


results_of_a_day = st.lists(
    st.builds(
        lambda second, ok, took_s, for_good: ended(
            second, ok=ok, took_s=took_s, for_good=for_good and not ok
        ),
        st.integers(0, 86_400),
        st.booleans(),
        st.sampled_from([0.1, 2.9, 3.0, 15.0]),
        st.booleans(),
    ),
    max_size=40,
)


@given(results_of_a_day)
def test_whatever_happens_the_figures_stay_within_their_bounds(results: list[Result]) -> None:
    found = Health()
    for result in results:
        found = after(found, [result], now=result.ended_at, plan_s=PLAN_S)
        hold = hold_of(found)
        assert found.ramp in ((0,) if found.open_until is None else (1, 2, 4, 8))
        assert (found.failing_since is None) == (found.consecutive_failures == 0)
        assert found.failed_for_good <= found.consecutive_failures
        assert hold is None or 1 <= hold.cap <= health.RAMP_LAST


@given(results_of_a_day)
def test_five_quick_successes_bring_any_endpoint_back(results: list[Result]) -> None:
    found = after(Health(), results, now=at(90_000), plan_s=PLAN_S * 1000)

    found = follow([arrived(90_000 + second) for second in range(5)], found)

    assert hold_of(found) is None
