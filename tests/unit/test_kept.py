"""Figures are read once for all who ask, and rest in proportion to what they cost."""

from collections.abc import Callable

import pytest

from workers.dashboard.kept import Kept, Pace


class World:
    """A clock that reading moves on, and work that was begun but not done."""

    def __init__(self) -> None:
        self.now = 0.0
        self.reads = 0
        self.begun: list[Callable[[], None]] = []
        self.kept = Kept(
            self.read, Pace(2, 20, 10), clock=lambda: self.now, spawn=self.begun.append
        )

    def read(self) -> int:
        self.now += 0.5
        self.reads += 1
        return self.reads


def test_the_first_one_waits_and_others_share_what_was_read() -> None:
    world = World()

    values = [world.kept.get().value for _ in range(5)]

    assert values == [1] * 5
    assert world.reads == 1


def test_figures_rest_twenty_times_as_long_as_they_took() -> None:
    world = World()
    world.kept.get()

    world.now += 9.9
    before = world.kept.get()
    begun_before = list(world.begun)
    world.now += 0.2
    world.kept.get()

    assert before.age_s == pytest.approx(10.4)
    assert begun_before == []
    assert len(world.begun) == 1


def test_nobody_waits_while_figures_are_read_again_and_one_reads() -> None:
    world = World()
    world.kept.get()
    world.now += 10.5

    meanwhile = [world.kept.get().value for _ in range(3)]
    (work,) = world.begun
    work()
    after = world.kept.get().value

    assert meanwhile == [1, 1, 1]
    assert after == 2


def test_figures_of_long_ago_are_given_to_nobody() -> None:
    world = World()
    world.kept.get()
    world.now += 3_600

    held = world.kept.get()

    assert held.value == 2
    assert held.age_s < 1


def test_a_read_that_fails_in_the_background_is_tried_again() -> None:
    world = World()
    world.kept.get()
    world.now += 10.5

    def fail() -> int:
        raise OSError("away")

    world.kept._read = fail
    world.kept.get()
    world.begun.pop()()
    world.kept._read = world.read
    world.kept.get()
    world.begun.pop()()

    assert world.kept.get().value == 2
