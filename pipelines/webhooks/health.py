"""How a webhook's receiver is doing, and what follows: a circuit breaker with a ramp, a low cap
for slow ones, and when to give an endpoint up. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

# Opens after so many failures in a row, or after fewer that took a while.
FAILURES_MAX = 100
LASTING_FAILURES_MAX = 20
LASTING_S = 10.0

OPEN_FIRST_S = 5.0
OPEN_S_MAX = 300.0
# In flight at a time in a half-open circuit, doubled by each success; past the last it is closed.
RAMP_FIRST = 1
RAMP_LAST = 8

SLOW_S = 3.0
SLOW_CAP = 2
QUICK_AGAIN_AFTER = 4

# Given up when nothing arrived for as long as one delivery is tried, and so many were lost, or
# FAILURES_MAX attempts failed.
FAILED_FOR_GOOD_MAX = 20
PLAN_S_MIN = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """How one attempt ended. `for_good`: its delivery will not be tried again."""

    started_at: datetime
    ended_at: datetime
    succeeded: bool
    for_good: bool = False
    gone: bool = False
    timed_out: bool = False

    @property
    def is_slow(self) -> bool:
        return self.timed_out or (self.ended_at - self.started_at).total_seconds() >= SLOW_S


@dataclass(frozen=True, slots=True)
class Health:
    """A row of worker.endpoints; as it is made here, of an endpoint nothing is known of."""

    consecutive_failures: int = 0
    failing_since: datetime | None = None
    failed_for_good: int = 0
    opened_times: int = 0
    open_until: datetime | None = None
    ramp: int = 0
    quick_needed: int = 0
    succeeded_at: datetime | None = None
    disabled_reason: str | None = None

    def is_open(self, now: datetime) -> bool:
        return self.open_until is not None and now < self.open_until

    @property
    def is_slow(self) -> bool:
        return self.quick_needed > 0


@dataclass(frozen=True, slots=True)
class Hold:
    """At most `cap` of its deliveries in flight; none before `open_until`."""

    cap: int
    open_until: datetime | None
    reason: str


def after(health: Health, results: Iterable[Result], *, now: datetime, plan_s: float) -> Health:
    """The health after these attempts, given in any order.

    `plan_s` is how long one delivery is tried: the sum of the retry schedule.
    """
    for result in sorted(results, key=lambda each: each.ended_at):
        health = note_pace(health, result)
        health = note_success(health, result) if result.succeeded else note_failure(health, result)
    return judge(health, now=now, plan_s=plan_s)


def hold_of(health: Health) -> Hold | None:
    """What keeps its deliveries back, if anything does."""
    if health.open_until is not None:
        cap = min(health.ramp, SLOW_CAP) if health.is_slow else health.ramp
        failures = health.consecutive_failures
        reason = f"{failures} failures in a row" if failures else "it has just begun to answer"
        return Hold(cap, health.open_until, reason)
    if health.is_slow:
        return Hold(SLOW_CAP, None, f"its answers take {SLOW_S:g} s and more")
    return None


def note_pace(health: Health, result: Result) -> Health:
    if result.is_slow:
        return replace(health, quick_needed=QUICK_AGAIN_AFTER)
    return replace(health, quick_needed=max(0, health.quick_needed - 1))


def note_success(health: Health, result: Result) -> Health:
    well = replace(
        health,
        consecutive_failures=0,
        failing_since=None,
        failed_for_good=0,
        succeeded_at=result.ended_at,
    )
    if health.open_until is None:
        return well
    if health.ramp >= RAMP_LAST:
        return replace(well, opened_times=0, open_until=None, ramp=0)
    return replace(well, open_until=min(health.open_until, result.ended_at), ramp=health.ramp * 2)


def note_failure(health: Health, result: Result) -> Health:
    if result.gone:
        health = replace(
            health, disabled_reason="the receiver answered 410 Gone: it wants no more events"
        )
    if health.succeeded_at is not None and result.started_at < health.succeeded_at:
        return health
    failing = replace(
        health,
        consecutive_failures=health.consecutive_failures + 1,
        failing_since=health.failing_since or result.ended_at,
        failed_for_good=health.failed_for_good + result.for_good,
    )
    return open_circuit(failing, result) if trips(failing, result) else failing


def trips(health: Health, result: Result) -> bool:
    """What was in flight already when the circuit opened says nothing new."""
    if health.open_until is not None:
        return result.started_at >= health.open_until
    if health.consecutive_failures >= FAILURES_MAX:
        return True
    assert health.failing_since is not None
    lasted_s = (result.ended_at - health.failing_since).total_seconds()
    return health.consecutive_failures >= LASTING_FAILURES_MAX and lasted_s >= LASTING_S


def open_circuit(health: Health, result: Result) -> Health:
    """Open for twice as long as the last time."""
    open_s = min(OPEN_S_MAX, OPEN_FIRST_S * 2 ** min(health.opened_times, 16))
    return replace(
        health,
        opened_times=health.opened_times + 1,
        open_until=result.ended_at + timedelta(seconds=open_s),
        ramp=RAMP_FIRST,
    )


def judge(health: Health, *, now: datetime, plan_s: float) -> Health:
    """Give the endpoint up where it is time to."""
    if health.disabled_reason is not None or health.failing_since is None:
        return health
    failing_s = (now - health.failing_since).total_seconds()
    if failing_s < max(PLAN_S_MIN, plan_s):
        return health
    if health.failed_for_good >= FAILED_FOR_GOOD_MAX:
        what = f"{health.failed_for_good} deliveries in a row failed for good"
    elif health.consecutive_failures >= FAILURES_MAX:
        # An open circuit lets so few through that a long queue's plans would take weeks.
        what = f"{health.consecutive_failures} attempts in a row failed"
    else:
        return health
    return replace(
        health, disabled_reason=f"nothing was delivered for {in_words(failing_s)}, and {what}"
    )


def in_words(seconds: float) -> str:
    """Rounded down to its largest unit: `3 days`."""
    for name, unit_s in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= unit_s:
            count = int(seconds // unit_s)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds:.0f} s"
