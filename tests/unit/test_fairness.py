"""What would have been fair, by hand."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.backlog import Started, Waiting
from workers.dashboard.fairness import Share, divide, jain, weigh

A, B, C = (UUID(int=n) for n in (1, 2, 3))
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def minute(n: int) -> datetime:
    return NOON + timedelta(minutes=n)


def started(
    tenant: UUID, jobs: int, *, at: int = 0, queue: str = "q", priority: int = 0
) -> Started:
    return Started(queue, priority, tenant, minute(at), jobs)


def waiting(
    tenant: UUID, jobs: int, *, since: int = -60, queue: str = "q", priority: int = 0
) -> Waiting:
    return Waiting(queue, priority, tenant, "probe", minute(since), jobs)


def test_what_one_does_not_want_is_shared_by_the_others_by_weight() -> None:
    shares = divide(100, {A: 10, B: 1000, C: 1000}, {B: 2.0})

    assert shares == pytest.approx({A: 10, B: 60, C: 30})


@given(
    st.integers(0, 1000),
    st.dictionaries(st.uuids(), st.integers(1, 500), min_size=1, max_size=8),
    st.data(),
)
def test_nobody_is_owed_more_than_it_wants_and_all_is_dealt_out(
    total: int, demands: dict[UUID, float], data: st.DataObject
) -> None:
    weights = {t: data.draw(st.sampled_from((0.01, 0.5, 1.0, 3.0, 100.0))) for t in demands}

    shares = divide(total, demands, weights)

    assert all(shares[t] <= demands[t] + 1e-9 for t in demands)
    assert sum(shares.values()) == pytest.approx(min(total, sum(demands.values())))
    hungry = [t for t in demands if shares[t] < demands[t] - 1e-6]
    levels = [shares[t] / weights[t] for t in hungry]
    assert levels == pytest.approx([max(levels, default=0)] * len(levels))
    assert all(shares[t] / weights[t] <= max(levels, default=1e18) + 1e-6 for t in demands)


def test_the_share_is_of_what_the_queue_started_not_of_all_that_waits() -> None:
    shares = weigh([started(A, 90), started(B, 30)], [waiting(A, 5000), waiting(B, 100)], {A: 3.0})

    assert (shares[A].got, shares[A].fair) == pytest.approx((90, 90))
    assert (shares[B].got, shares[B].fair) == pytest.approx((30, 30))


def test_who_came_a_minute_ago_is_owed_a_minute() -> None:
    rows = [started(A, 60, at=n) for n in range(14)] + [
        started(A, 30, at=14),
        started(B, 30, at=14),
    ]

    shares = weigh(rows, [waiting(A, 5000), waiting(B, 5000, since=14)], {})

    assert (shares[B].fair, shares[A].fair) == (30, 14 * 60 + 30)


def test_another_queue_or_priority_owes_nothing() -> None:
    rows = [started(A, 1000, queue="email"), started(A, 50, priority=-5), started(B, 5)]

    shares = weigh(rows, [waiting(A, 99, queue="email"), waiting(B, 99)], {})

    assert shares[B] == Share(5, 5)
    assert not shares[B].is_behind


def test_a_tenant_that_got_nothing_is_behind_and_the_other_over() -> None:
    shares = weigh([started(A, 40)], [waiting(A, 99), waiting(B, 99)], {})

    assert (shares[A].is_over, shares[B].is_behind) == (True, True)
    assert shares[B] == Share(0, 20)


@pytest.mark.parametrize(
    ("parts", "index"),
    [([(5, 5), (9, 9)], 1.0), ([(10, 5), (0, 5)], 0.5), ([(3, 0)], None), ([], None)],
)
def test_jain_is_one_when_even_and_a_half_when_one_of_two_has_all(
    parts: list[tuple[float, float]], index: float | None
) -> None:
    assert jain(Share(got, fair) for got, fair in parts) == index
