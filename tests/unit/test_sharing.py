"""How lanes share many slots."""

from uuid import UUID

from db.lanes import Lane
from workers.dealing import InFlight
from workers.sharing import REMEMBERED_S, Paces, Slots, fewest_first, share_slots

A, B, C = (UUID(int=n) for n in (1, 2, 3))


def lanes_of(tenant: UUID, count: int = 1) -> list[Lane]:
    return [Lane(0, tenant, f"probe:{tenant.int}-{n}") for n in range(count)]


def flying(*counts: tuple[Lane, int], late: bool = False, slots: int = 1000) -> InFlight:
    rows = [("webhooks", lane.tenant, lane.lane, number, late) for lane, number in counts]
    return InFlight.of("webhooks", rows, threads=slots)


def share(
    lanes: list[Lane],
    now: InFlight,
    *,
    quick: list[Lane] | None = None,
    slow: list[Lane] | None = None,
    left: dict[str, float] | None = None,
) -> list[float]:
    """What each lane may have more, of a thousand slots."""
    shares = share_slots(
        lanes,
        left or {},
        now,
        slots=1000,
        quick={lane.lane for lane in quick or []},
        slow={lane.lane for lane in slow or []},
    )
    return [shares[lane.lane] for lane in lanes]


def test_a_new_lane_gets_one_until_it_is_known() -> None:
    lanes = lanes_of(A, 2)

    assert share(lanes, flying((lanes[0], 1))) == [0, 1]


def test_one_quick_lane_gets_many_slots_and_leaves_the_most() -> None:
    lanes = lanes_of(A)

    (more,) = share(lanes, flying(), quick=lanes)

    assert 16 <= more <= 24


def test_many_quick_lanes_share_so_that_slots_stay_free() -> None:
    lanes = lanes_of(A, 500)

    assert set(share(lanes, flying(), quick=lanes)) == {1}


def test_a_tighter_cap_holds_and_that_of_others_is_kept() -> None:
    (lane,) = lanes_of(A)

    shares = share_slots(
        [lane], {lane.lane: 3, "other": 2}, flying(), slots=1000, quick={lane.lane}, slow=set()
    )

    assert shares == {lane.lane: 3, "other": 2}


def test_slow_lanes_have_half_of_the_slots_all_together() -> None:
    slow = lanes_of(A, 240) + lanes_of(B, 240)
    (fresh,) = lanes_of(C)
    busy = flying(*((lane, 1) for lane in slow))

    *of_slow, of_fresh = share([*slow, fresh], busy, slow=slow, quick=[fresh, *slow])

    assert sum(of_slow) == 20
    assert of_fresh > 1


def test_slow_lanes_of_one_tenant_leave_it_half_of_its_slots() -> None:
    slow = lanes_of(A, 500)
    busy = flying(*((lane, 1) for lane in slow[:390]))

    assert sum(share(slow, busy, slow=slow)) == 10


def test_slow_lanes_get_nothing_more_when_new_ones_have_the_rest() -> None:
    new, slow = lanes_of(A, 440), lanes_of(B, 100)
    busy = flying(*((lane, 1) for lane in new), *((lane, 3) for lane in slow))

    assert sum(share(slow, busy, slow=slow)) == 10


def test_new_lanes_leave_slots_for_quick_ones() -> None:
    new, (quick,) = lanes_of(A, 900), lanes_of(B)
    busy = flying(*((lane, 1) for lane in new[:590]))

    *of_new, of_quick = share([*new[590:], quick], busy, quick=[quick])

    assert sum(of_new) == 10
    assert of_quick >= 5


def test_without_a_free_slot_a_quick_lane_may_still_have_one() -> None:
    assert Slots(8, 8, 0).level([0, 3]) == 1


def test_whoever_has_nothing_in_flight_is_first() -> None:
    busy, idle, other = lanes_of(A, 3)

    found = fewest_first([busy, idle, other], {busy.lane: 2, other.lane: 1}, lambda: 0.5)

    assert found == [idle, other, busy]


def test_a_lane_is_quick_once_a_job_of_it_ended() -> None:
    paces, (lane,) = Paces(), lanes_of(A)

    paces.look(flying(), now=0.0)
    paces.dealt({lane.lane: 1})
    paces.look(flying((lane, 1)), now=0.1)
    before = set(paces.quick)
    paces.look(flying(), now=0.2)

    assert (before, set(paces.quick)) == (set(), {lane.lane})


def test_a_lane_is_slow_while_a_job_of_it_runs_for_long_and_for_a_while_after() -> None:
    paces, (lane,) = Paces(), lanes_of(A)

    paces.look(flying((lane, 1), late=True), now=0.0)
    paces.look(flying(), now=REMEMBERED_S - 1)
    after = set(paces.slow)
    paces.look(flying(), now=REMEMBERED_S + 1)

    assert (after, set(paces.slow)) == ({lane.lane}, set())
