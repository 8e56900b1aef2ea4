"""How much a worker process claims ahead."""

import time

import pytest

from db.jobs import Claimed
from workers.load import (
    AHEAD_MAX,
    LAG_S_MAX,
    LOOP_CLAIM_MAX,
    STRANDED_AFTER_S,
    Load,
    LoopLoad,
    window_jobs,
)


@pytest.mark.parametrize(
    ("threads", "job_ms", "jobs"),
    [
        (8, None, 8),
        (8, 5000.0, 8),
        (8, 80.0, 16),
        (8, 10.0, 80),
        (8, 0.001, AHEAD_MAX),
        (200, 1000.0, 200),
    ],
)
def test_the_window_is_about_100_ms_of_work(threads: int, job_ms: float | None, jobs: int) -> None:
    assert window_jobs(threads, job_ms) == jobs


def claimed(job_id: int) -> Claimed:
    return Claimed(job_id, "probe", "default", None, {}, 1, 10)


def test_a_full_window_leaves_no_room() -> None:
    load = Load(threads=2)
    load.took([claimed(n) for n in range(4)])

    assert load.room(0) == 0


def test_room_is_given_again_when_half_the_window_has_ended() -> None:
    load = Load(threads=2)
    load.job_ms = 90.0
    load.took([claimed(n) for n in range(4)])

    load.ended(claimed(0))
    first = load.room(0)
    load.ended(claimed(1))

    assert (first, load.room(0)) == (0, 2)


def test_long_jobs_are_claimed_as_threads_become_free() -> None:
    load = Load(threads=2)
    load.job_ms = 5000.0
    load.took([claimed(1), claimed(2)])

    load.ended(claimed(1))

    assert load.room(0) == 1


def test_jobs_behind_long_ones_are_stranded_after_a_while() -> None:
    load = Load(threads=2)
    load.job_ms = 1.0
    load.took([claimed(n) for n in range(3)])
    now = time.monotonic()

    soon, later = load.is_stuck(now + 1), load.is_stuck(now + STRANDED_AFTER_S + 1)
    load.turned_slow()

    assert (soon, later, window_jobs(2, load.job_ms)) == (False, True, 2)


def test_a_lone_worker_claims_nothing_ahead() -> None:
    load = Load(threads=1, ahead=False)
    first = load.room(0)
    load.took([claimed(1)])

    assert (first, load.room(0)) == (1, 0)


def test_a_loop_takes_jobs_while_slots_are_free_however_long_the_others_run() -> None:
    load = LoopLoad(500, lambda timeout_s: 0.0)
    load.took([claimed(n) for n in range(450)])
    soon = load.room(0)
    load.took([claimed(n) for n in range(450, 500)])

    assert (soon, load.room(0), load.is_stuck(time.monotonic() + 60)) == (50, 0, False)


def test_a_loop_takes_some_at_a_time() -> None:
    load = LoopLoad(1000, lambda timeout_s: 0.0)

    assert load.room(0) == LOOP_CLAIM_MAX


def test_a_loop_that_has_too_much_to_compute_takes_nothing() -> None:
    load = LoopLoad(1000, lambda timeout_s: 2 * LAG_S_MAX)

    assert load.room(0) == 0


def test_a_loop_has_no_pace() -> None:
    load = LoopLoad(10, lambda timeout_s: 0.0)
    for n in range(200):
        load.took([claimed(n)])
        load.ended(claimed(n), ran=True)

    assert load.job_ms is None
