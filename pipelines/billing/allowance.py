"""How many messages a period includes when the plan changed within it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.billing.periods import Period

TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Plan:
    tier: str
    message_limit: int


@dataclass(frozen=True, slots=True)
class Change:
    """`before` held until `at`, and no longer."""

    at: datetime
    before: Plan


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a period in which one plan held."""

    start_at: datetime
    end_at: datetime
    plan: Plan

    @property
    def ticks(self) -> int:
        return (self.end_at - self.start_at) // TICK


def segments(period: Period, changes: Iterable[Change], *, today: Plan) -> list[Segment]:
    """The parts of a period, oldest first, without a gap.

    `changes` come oldest first, later ones than the period's included: what held before such a
    change held at the period's end. `today` is the plan after the last of them.
    """
    parts: list[Segment] = []
    since = period.start_at
    for change in changes:
        # In UTC: moments of one zone are subtracted by their wall clocks.
        until = min(change.at.astimezone(UTC), period.end_at)
        if until > since:
            parts.append(Segment(since, until, change.before))
            since = until
    if since < period.end_at:
        parts.append(Segment(since, period.end_at, today))
    return parts


def allowance(parts: list[Segment]) -> int:
    """The limits, weighted by how long each held; a broken message is rounded up."""
    whole = sum(part.ticks for part in parts)
    weighted = sum(part.ticks * part.plan.message_limit for part in parts)
    return -(-weighted // whole)
