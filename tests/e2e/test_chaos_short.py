"""The chaos run in little: every kind of fault once, under 2,000 jobs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.faults import SHORT
from tests.chaos.run import Plan, describe, run
from tests.chaos.world import World, world
from tests.integration.embedded_home import new_home

POSTS = {
    "worker-1": ("worker", "--queue", "default:8"),
    "worker-2": ("worker", "--queue", "default:8"),
    "dispatcher-1": ("dispatcher",),
    "dispatcher-2": ("dispatcher",),
}
# The promise is 30 s; a busy machine is given twice as long.
PLAN = Plan(seed=7, jobs=2000, duration_s=30, faults=SHORT, recovery_s_max=60, gap_s=(0.3, 1.0))


@pytest.fixture
def chaos() -> Iterator[World]:
    with new_home() as home, world(Path(home), POSTS) as made:
        yield made


@pytest.mark.timeout(400)
def test_nothing_is_lost_or_done_twice_whatever_is_killed(chaos: World) -> None:
    report = run(chaos, PLAN)

    print(describe(report))
    assert report.violations == []
    assert report.jobs >= PLAN.jobs * 0.9
    assert len(report.recoveries) >= len(SHORT)
