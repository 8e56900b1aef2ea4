"""Percentiles from buckets: as exact as the buckets are, and never better."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from db.history import Bucket
from workers.dashboard.words import NOTHING, duration
from workers.metrics import Histogram

SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds; `is_over` where the value lies beyond the last bound and nobody knows how far."""

    seconds: float
    is_over: bool = False

    @property
    def text(self) -> str:
        return f"over {duration(self.seconds)}" if self.is_over else duration(self.seconds)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of what took time in a window; None where nothing did."""

    p50: Estimate | None
    p95: Estimate | None
    p99: Estimate | None

    @property
    def texts(self) -> tuple[str, str, str]:
        return say(self.p50), say(self.p95), say(self.p99)


NONE = Percentiles(None, None, None)


def say(estimate: Estimate | None) -> str:
    return NOTHING if estimate is None else estimate.text


def of_kinds(
    buckets: Iterable[Bucket], histogram: Histogram, queue_of: Mapping[str, str]
) -> dict[str, Percentiles]:
    """By queue, from the buckets of its kinds; of kinds that nobody knows any more, none."""
    counts: dict[str, dict[str, float]] = {}
    for bucket in buckets:
        queue = queue_of.get(bucket.kind)
        if bucket.name == histogram.bucket and queue is not None:
            own = counts.setdefault(queue, {})
            own[bucket.bound] = own.get(bucket.bound, 0.0) + bucket.jobs
    return {queue: estimate_all(own, histogram.bounds) for queue, own in counts.items()}


def estimate_all(counts: Mapping[str, float], bounds: tuple[float, ...]) -> Percentiles:
    return Percentiles(*(estimate(counts, bounds, share) for share in SHARES))


def estimate(
    counts: Mapping[str, float], bounds: tuple[float, ...], share: float
) -> Estimate | None:
    """The value that `share` of all are not above; evenly spread within its bucket.

    `counts` are by bound as metrics name it, each bucket by itself.
    """
    total = sum(counts.values())
    if total <= 0:
        return None
    rank, below, lower = share * total, 0.0, 0.0
    for bound in bounds:
        number = counts.get(str(bound), 0.0)
        if number and below + number >= rank:
            return Estimate(lower + (bound - lower) * max(0.0, rank - below) / number)
        below, lower = below + number, bound
    return Estimate(bounds[-1], is_over=True)
