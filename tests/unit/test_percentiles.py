"""Percentiles from buckets are as near to the true ones as buckets allow, and say where not."""

import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.history import Bucket
from workers.dashboard.percentiles import estimate, of_kinds
from workers.metrics import DISPATCH_LAG, DURATION

BOUNDS = DURATION.bounds
NAMES = [*map(str, BOUNDS), "+Inf"]
TIMES = st.lists(st.floats(0, 10_000), min_size=1, max_size=200)


def counted(values: list[float]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for value in values:
        name = NAMES[bisect_left(BOUNDS, value)]
        counts[name] = counts.get(name, 0) + 1
    return counts


def edges(value: float) -> tuple[float, float]:
    """Of the bucket that a value is counted in."""
    place = bisect_left(BOUNDS, value)
    return (BOUNDS[place - 1] if place else 0.0), (
        BOUNDS[place] if place < len(BOUNDS) else math.inf
    )


@given(TIMES, st.sampled_from([0.5, 0.95, 0.99]))
def test_an_estimate_lies_in_the_bucket_of_the_true_value(
    values: list[float], share: float
) -> None:
    true = sorted(values)[math.ceil(share * len(values)) - 1]
    low, high = edges(true)

    found = estimate(counted(values), BOUNDS, share)

    assert found is not None
    assert low <= found.seconds <= min(high, BOUNDS[-1])
    assert found.is_over == (high == math.inf)


def test_values_that_lie_evenly_are_found_where_they_are() -> None:
    values = [0.1 + 0.15 * n / 1000 for n in range(1, 1001)]

    found = estimate(counted(values), BOUNDS, 0.95)

    assert found is not None
    assert found.seconds == pytest.approx(sorted(values)[949], rel=0.001)


def test_what_lies_beyond_the_last_bound_is_said_to() -> None:
    found = estimate({"+Inf": 3, "0.1": 1}, BOUNDS, 0.5)

    assert found is not None
    assert found.text == "over 1 d"


@pytest.mark.parametrize("seconds", [0.0012, 0.08, 1.51, 12.3, 47.0, 700.0, 3_599.0])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_an_estimate_is_off_by_a_third_at_most(seconds: float, share: float) -> None:
    found = estimate(counted([seconds]), BOUNDS, share)

    assert found is not None
    assert found.seconds == pytest.approx(seconds, rel=1 / 3)


def test_nothing_counted_has_no_percentile() -> None:
    assert estimate({}, BOUNDS, 0.5) is None


def test_queues_and_histograms_are_not_mixed() -> None:
    buckets = [
        Bucket(DURATION.bucket, "probe", "0.1", 10),
        Bucket(DURATION.bucket, "prune", "0.1", 10),
        Bucket(DURATION.bucket, "send_email", "60.0", 10),
        Bucket(DISPATCH_LAG.bucket, "probe", "3600.0", 1000),
        Bucket(DURATION.bucket, "gone", "3600.0", 1000),
    ]

    found = of_kinds(
        buckets, DURATION, {"probe": "default", "prune": "default", "send_email": "email"}
    )

    assert set(found) == {"default", "email"}
    assert found["default"].p99 is not None
    assert 0.05 < found["default"].p99.seconds <= 0.1
    assert found["email"].p50 is not None
    assert 30 < found["email"].p50.seconds <= 60
