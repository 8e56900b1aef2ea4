"""When a parent ends a worker process: by what it saw, and only in time in which it ran itself."""

import pytest

from workers.vigil import (
    HEARTBEAT_S_MAX,
    LIMIT_GRACE_S,
    START_S_MAX,
    AwakeClock,
    Verdict,
    Vigil,
)
from workers.witness import Running, Sight

MB = 1_000_000
STEP_S = 0.5


def watch(
    vigil: Vigil, sight: Sight, *, since: float, for_s: float, rss_bytes: int = 0
) -> Verdict | None:
    """The verdict after looking at an unchanged sight for so long."""
    verdict, now = None, since
    while now <= since + for_s and verdict is None:
        verdict = vigil.judge(now, sight, rss_bytes=rss_bytes)
        now += STEP_S
    return verdict


def test_a_process_that_beats_is_left_alone() -> None:
    vigil = Vigil(memory_mb_max=100)

    verdicts = [
        vigil.judge(now, Sight(now - 0.3, now - 2, ()), rss_bytes=99 * MB)
        for now in range(100, 300)
    ]

    assert verdicts == [None] * 200


def test_a_silent_process_is_ended() -> None:
    vigil = Vigil(memory_mb_max=0)
    silent = Sight(beat_at=100.0, renewed_at=100.0, running=())

    early = watch(vigil, silent, since=100, for_s=HEARTBEAT_S_MAX - 1)
    late = watch(vigil, silent, since=100 + HEARTBEAT_S_MAX - 0.5, for_s=2)

    assert early is None
    assert late is not None
    assert "no sign of life for 12 s" in late.cause


def test_a_starting_process_has_longer_to_give_its_first_sign() -> None:
    vigil = Vigil(memory_mb_max=0)
    unborn = Sight(beat_at=0.0, renewed_at=0.0, running=())

    early = watch(vigil, unborn, since=100, for_s=START_S_MAX - 1)
    late = watch(vigil, unborn, since=100 + START_S_MAX - 0.5, for_s=2)

    assert early is None
    assert late is not None


def test_a_parent_that_slept_gives_its_children_time_to_beat_again() -> None:
    vigil = Vigil(memory_mb_max=0)
    vigil.judge(100.0, Sight(99.9, 99.0, ()), rss_bytes=0)

    woken = vigil.judge(4000.0, Sight(99.9, 0.0, ()), rss_bytes=0)
    a_second_later = vigil.judge(4001.0, Sight(4000.9, 0.0, ()), rss_bytes=0)

    assert (woken, a_second_later) == (None, None)


def test_a_job_past_its_limit_and_grace_is_overdue_and_the_others_are_not() -> None:
    vigil = Vigil(memory_mb_max=0)
    stuck, other = Running(7, began_at=100.0, limit_s=3), Running(8, began_at=100.0, limit_s=600)

    verdict, now = None, 100.0
    while verdict is None and now < 200:
        now += STEP_S
        verdict = vigil.judge(now, Sight(now, now, (stuck, other)), rss_bytes=0)

    assert verdict is not None
    assert verdict.overdue == {7: 3}
    assert 103 + LIMIT_GRACE_S < now <= 103 + LIMIT_GRACE_S + 2 * STEP_S


def test_a_job_interrupted_in_its_grace_is_not_overdue() -> None:
    vigil = Vigil(memory_mb_max=0)
    late = Running(7, began_at=100.0, limit_s=3)
    for now in (104.0, 105.0, 106.0, 107.0):
        vigil.judge(now, Sight(now, now, (late,)), rss_bytes=0)

    again = Running(7, began_at=107.5, limit_s=3)
    verdicts = [vigil.judge(now, Sight(now, now, (again,)), rss_bytes=0) for now in (108.0, 110.0)]

    assert verdicts == [None, None]


def test_a_process_far_over_its_ceiling_is_ended_with_the_figures() -> None:
    vigil = Vigil(memory_mb_max=100)

    below = vigil.judge(1.0, Sight(1.0, 1.0, ()), rss_bytes=150 * MB)
    above = vigil.judge(2.0, Sight(2.0, 2.0, ()), rss_bytes=151 * MB)

    assert below is None
    assert above is not None
    assert "it used 151 MB of memory, the limit is 150 MB" in above.cause


def test_without_a_ceiling_any_size_is_right() -> None:
    vigil = Vigil(memory_mb_max=0)

    assert vigil.judge(1.0, Sight(1.0, 1.0, ()), rss_bytes=10**13) is None


def test_a_process_that_outlives_its_lease_is_ended() -> None:
    vigil = Vigil(memory_mb_max=0)

    by_time = {now: vigil.judge(now, Sight(now, 100.0, ()), rss_bytes=0) for now in range(101, 130)}

    assert by_time[122] is None
    assert by_time[126] == Verdict("its lease had run out and it was ended")


@pytest.mark.parametrize(("gaps", "awake_s"), [([0.5, 0.5], 1.0), ([3600.0], 1.0), ([-5.0], 0.0)])
def test_time_in_which_nobody_looked_counts_little(gaps: list[float], awake_s: float) -> None:
    clock, now = AwakeClock(), 50.0
    clock.advance(now)

    for gap in gaps:
        now += gap
        last = clock.advance(now)

    assert last == awake_s
