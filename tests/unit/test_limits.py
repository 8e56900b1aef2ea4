"""Time limits: they strike the job that ran too long, and never the one after it."""

import threading
import time

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import TimeLimitExceeded

from workers import limits as time_limits
from workers.limits import TimeLimits, interrupt


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, "LOOK_EVERY_S", 0.01)


def prepared(limit_ms: int) -> tuple[TimeLimits, StubBroker, MessageProxy]:
    limits = TimeLimits()
    broker = StubBroker(middleware=[limits])
    actor = dramatiq.actor(broker=broker, time_limit=limit_ms)(lambda: None)
    limits.after_process_boot(broker)
    return limits, broker, MessageProxy(actor.message())


def spin(for_s: float) -> float:
    """Run Python code for so long; how long it was."""
    began_at = time.monotonic()
    while time.monotonic() < began_at + for_s:
        time.sleep(0.005)
    return time.monotonic() - began_at


def test_a_job_past_its_limit_is_interrupted() -> None:
    limits, broker, message = prepared(limit_ms=10)

    limits.before_process_message(broker, message)
    with pytest.raises(TimeLimitExceeded):
        spin(20)


def test_a_job_that_ended_in_time_is_left_alone() -> None:
    limits, broker, message = prepared(limit_ms=30)

    limits.before_process_message(broker, message)
    limits.after_process_message(broker, message)
    survived_s = spin(0.1)

    assert survived_s >= 0.1


def test_an_exception_on_its_way_is_waited_for() -> None:
    """The job ends just when its deadline was taken away: the exception must not hit the next."""
    limits, broker, message = prepared(limit_ms=600_000)
    limits.before_process_message(broker, message)
    limits._deadlines.clear()

    threading.Timer(0.05, interrupt, [threading.get_ident()]).start()
    with pytest.raises(TimeLimitExceeded):
        limits.after_process_message(broker, message)
    survived_s = spin(0.1)

    assert survived_s >= 0.1
