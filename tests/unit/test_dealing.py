"""Whose job is next."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.jobs import Ticket
from db.lanes import Dispatched, Lane, Limit
from workers.dealing import (
    Shares,
    allowances,
    deal,
    exhausted,
    held_s,
    order,
    tenant_cap,
)

A, B, C = (UUID(int=n) for n in (1, 2, 3))


def lane(tenant: UUID, *, priority: int = 0, name: str = "probe") -> Lane:
    return Lane(priority, tenant, name)


def tenants(picks: list[Lane]) -> str:
    return "".join("?ABC"[pick.tenant.int] for pick in picks)


def test_tenants_take_turns() -> None:
    picks = deal([lane(A), lane(B), lane(C)], room=7, left={}, shares=Shares(), weights={})

    assert tenants(picks) == "ABCABCA"


def test_a_weight_of_three_gets_three_of_four() -> None:
    picks = deal([lane(A), lane(B)], room=40, left={}, shares=Shares(), weights={A: 3.0})

    assert Counter(tenants(picks)) == {"A": 30, "B": 10}


def test_a_lower_priority_number_goes_first_whatever_the_shares() -> None:
    shares = Shares(served={A: 1000.0})

    picks = deal([lane(B, priority=1), lane(A)], room=3, left={}, shares=shares, weights={})

    assert tenants(picks) == "AAA"


def test_turns_go_on_where_the_last_deal_ended() -> None:
    shares, lanes, dealt = Shares(), [lane(A), lane(B)], []
    for _ in range(6):
        picks = deal(lanes, room=1, left={}, shares=shares, weights={})
        shares.charge(Counter(pick.tenant for pick in picks), {})
        shares.advance([A, B])
        dealt += picks

    assert tenants(dealt) == "ABABAB"


def test_who_was_away_has_saved_up_nothing() -> None:
    shares = Shares()
    shares.charge({A: 1000}, {})
    shares.advance([A])

    picks = deal([lane(A), lane(B)], room=6, left={}, shares=shares, weights={})

    assert Counter(tenants(picks)) == {"A": 3, "B": 3}


def test_a_capped_lane_leaves_its_turns_to_the_tenants_other_lanes() -> None:
    dead, live = lane(A, name="probe:dead"), lane(A, name="probe:live")

    picks = deal([dead, live], room=5, left={"probe:dead": 1}, shares=Shares(), weights={})

    assert Counter(pick.lane for pick in picks) == {"probe:dead": 1, "probe:live": 4}


def test_a_tenant_that_has_all_it_may_have_leaves_the_room_to_others() -> None:
    picks = deal(
        [lane(A), lane(B)], room=9, left={}, shares=Shares(), weights={}, tenants_left={A: 1, B: 3}
    )

    assert tenants(picks) == "ABBB"


@pytest.mark.parametrize(("threads", "cap"), [(1, None), (4, None), (5, 4), (9, 8), (20, 16)])
def test_one_thread_in_five_is_kept_for_whoever_comes_next(threads: int, cap: int | None) -> None:
    assert tenant_cap(threads) == cap


def test_a_cap_of_a_kind_holds_over_all_tenants_together() -> None:
    picks = deal([lane(A), lane(B)], room=9, left={"probe": 3}, shares=Shares(), weights={})

    assert tenants(picks) == "ABA"


@given(
    weights=st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=1, max_size=6),
    room=st.integers(1, 60),
    turns=st.integers(1, 12),
)
def test_nobody_falls_behind_by_more_than_one_turn(
    weights: list[float], room: int, turns: int
) -> None:
    by_tenant = {UUID(int=n): weight for n, weight in enumerate(weights)}
    shares, got = Shares(), Counter[UUID]()
    for _ in range(turns):
        picks = deal(
            [lane(t) for t in by_tenant], room=room, left={}, shares=shares, weights=by_tenant
        )
        shares.charge(Counter(pick.tenant for pick in picks), by_tenant)
        shares.advance(by_tenant)
        got.update(pick.tenant for pick in picks)

    served = [got[tenant] / weight for tenant, weight in by_tenant.items()]
    assert sum(got.values()) == room * turns
    assert max(served) - min(served) <= 1 / min(weights) + 1e-6


def job(job_id: int, of: Lane, second: int = 0) -> Dispatched:
    at = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
    return Dispatched(Ticket(job_id, 1), of.kind, of, at, 0.0)


def test_jobs_run_in_the_order_of_the_deal_the_oldest_of_a_lane_first() -> None:
    a, b = lane(A), lane(B)

    ordered = order([a, b, a, a], [job(1, a, 9), job(2, a, 3), job(3, b)])

    assert [dispatched.ticket.job_id for dispatched in ordered] == [2, 3, 1]


def test_a_lane_that_gave_less_than_it_was_dealt_is_exhausted() -> None:
    a, b = lane(A), lane(B)

    assert exhausted([a, b, a], [job(1, a), job(2, b)]) == {a}


@pytest.mark.parametrize(
    ("limit", "in_flight", "tokens", "left"),
    [
        (Limit(cap=4), 1, None, 3),
        (Limit(cap=4), 6, None, -2),
        (Limit(rate_per_s=2, burst=5), 0, None, 5),
        (Limit(rate_per_s=2, burst=5), 0, 99.0, 5),
        (Limit(rate_per_s=2, burst=5), 0, 0.4, 0.4),
        (Limit(cap=1, rate_per_s=2, burst=5), 0, 3.0, 1),
    ],
)
def test_the_tighter_of_cap_and_rate_holds(
    limit: Limit, in_flight: int, tokens: float | None, left: float
) -> None:
    found = allowances(
        [lane(A, name="probe:x"), lane(A, name="other")],
        {"probe": limit},
        in_flight={"probe:x": in_flight},
        tokens={} if tokens is None else {"probe:x": tokens},
    )

    assert found == {"probe:x": left}


def test_a_rate_lets_go_when_its_next_token_is_there() -> None:
    limits = {"probe": Limit(rate_per_s=10)}

    assert held_s([lane(A)], {"probe": 0.5}, limits, {}, longest_s=0.2) == pytest.approx(0.05)
    assert held_s([lane(A)], {"probe": 1.0}, limits, {}, longest_s=0.2) is None
    assert held_s([lane(A)], {}, {}, {}, longest_s=0.2) is None


@pytest.mark.parametrize(
    ("cap", "held", "in_flight", "left"),
    [
        (16, 0, 0, 0),
        (16, 2, 1, 1),
        (1, 2, 0, 1),
        (None, 4, 6, -2),
    ],
)
def test_a_hold_is_a_cap_for_a_while(
    cap: int | None, held: int, in_flight: int, left: float
) -> None:
    found = allowances(
        [lane(A, name="probe:x"), lane(A, name="probe:y")],
        {} if cap is None else {"probe": Limit(cap=cap)},
        in_flight={"probe:x": in_flight},
        tokens={},
        holds={"probe:x": held},
    )

    assert found["probe:x"] == left


def test_what_is_stopped_is_no_reason_to_look_again() -> None:
    held, capped = lane(A, name="probe:x"), lane(A, name="probe:y")
    left = {"probe:x": 0.0, "probe:y": 0.0}

    only_held = held_s([held], left, {}, {"probe:x": 0}, longest_s=0.2)
    both = held_s([held, capped], left, {}, {"probe:x": 0}, longest_s=0.2)

    assert (only_held, both) == (None, 0.2)
