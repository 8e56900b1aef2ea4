"""Waiting for busy servers: as long as they ask, not longer than a reading may."""

from dataclasses import dataclass, field
from functools import partial

import pytest

from pipelines.errors import Snooze, Transient
from pipelines.gateways.patience import TRIES_MAX, BusyError, Patience


@dataclass
class Clock:
    """Sleeping moves it."""

    time_s: float = 0.0
    naps: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.time_s += seconds


def patience(clock: Clock, rate_per_s: float | None = None, burst: int = 1) -> Patience:
    return Patience(lambda: None, rate_per_s, burst, clock.now, clock.sleep)


def busy(times: int, wait_s: float | None) -> "list[BusyError | str]":
    return [*(BusyError("busy", retry_after_s=wait_s) for _ in range(times)), "done"]


def ask(answers: "list[BusyError | str]") -> str:
    found = answers.pop(0)
    if isinstance(found, BusyError):
        raise found
    return found


def test_the_wait_that_is_asked_for_is_waited() -> None:
    clock, answers = Clock(), busy(2, 7)

    assert patience(clock).call(lambda: ask(answers)) == "done"
    assert clock.time_s == pytest.approx(14)


def test_without_a_wait_each_is_twice_the_last() -> None:
    clock, answers = Clock(), busy(3, None)

    patience(clock).call(lambda: ask(answers))

    assert clock.time_s == pytest.approx(1 + 2 + 4)


@pytest.mark.parametrize(("times", "wait_s"), [(TRIES_MAX, 1.0), (1, 61.0), (1, 86_400.0)])
def test_what_takes_too_long_is_left_to_the_queue(times: int, wait_s: float) -> None:
    answers = busy(times, wait_s)

    with pytest.raises(BusyError) as raised:
        patience(Clock()).call(lambda: ask(answers))

    assert raised.value.retry_after_s == wait_s


def test_all_waits_of_a_reading_have_a_limit() -> None:
    clock = Clock()
    waiting = patience(clock)
    for _ in range(6):
        answers = busy(1, 50)
        waiting.call(partial(ask, answers))

    with pytest.raises(BusyError):
        waiting.call(lambda: ask(busy(1, 50)))

    assert clock.time_s == pytest.approx(300)


def test_another_failure_is_not_asked_twice() -> None:
    clock = Clock()

    def fail() -> None:
        raise Transient("the line was cut")

    with pytest.raises(Transient, match="cut"):
        patience(clock).call(fail)

    assert clock.naps == []


def test_a_turn_that_comes_late_is_waited_for_once_something_was_read() -> None:
    clock = Clock()
    waiting = patience(clock)
    turns: list[Exception] = [Snooze(20) for _ in range(6)]

    def take_turn() -> str:
        if turns:
            raise turns.pop()
        return "done"

    with pytest.raises(Snooze):
        waiting.call(take_turn)
    waiting.call(lambda: "the first page")

    assert waiting.call(take_turn) == "done"
    assert clock.time_s == pytest.approx(100)


def test_calls_are_spread_after_the_first_burst() -> None:
    clock = Clock()
    paced = patience(clock, rate_per_s=3, burst=10)

    for _ in range(10):
        paced.call(lambda: None)
    after_burst = clock.time_s
    for _ in range(30):
        paced.call(lambda: None)

    assert after_burst == 0
    assert clock.time_s == pytest.approx(10)


def test_who_was_asked_to_stop_stops_within_a_second() -> None:
    clock = Clock()

    def check() -> None:
        if clock.time_s >= 3:
            raise KeyboardInterrupt

    waiting = Patience(check, None, 1, clock.now, clock.sleep)

    with pytest.raises(KeyboardInterrupt):
        waiting.call(lambda: ask(busy(1, 50)))

    assert clock.time_s <= 4
