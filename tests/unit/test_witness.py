"""What a parent reads of a worker process, while it lives and after its death."""

from workers import witness
from workers.witness import Running, Sight, Witness


def pair(slots: int) -> tuple[Witness, Witness]:
    """(the parent's, the child's)"""
    parent = witness.create(slots)
    return parent, Witness(parent.fd, slots)


def test_it_tells_what_had_begun_and_not_ended() -> None:
    parent, child = pair(3)

    first = child.began(11)
    child.began(12)
    child.ended(first)

    assert parent.running() == [12]


def test_a_sight_has_the_signs_of_life_and_the_limits() -> None:
    parent, child = pair(2)
    child.beat(5.5)
    child.renewed(4.5)
    child.began(7, at=5.0, limit_s=600)

    sight = parent.look()

    assert sight == Sight(5.5, 4.5, (Running(7, 5.0, 600.0),))


def test_a_slot_given_back_twice_is_free_once() -> None:
    """A time limit may strike while the end of a job is noted: then it is noted again."""
    parent, child = pair(2)

    slot = child.began(1)
    child.ended(slot)
    child.ended(slot)
    child.began(2)
    child.began(3)

    assert (sorted(parent.running()), child.ended_jobs) == ([2, 3], 1)


def test_a_child_can_say_that_it_leaves() -> None:
    parent, child = pair(1)
    before = parent.is_leaving()

    child.leave()

    assert (before, parent.is_leaving()) == (False, True)
