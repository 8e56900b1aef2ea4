"""Jobs as coroutines of one event loop: how each ends, whatever the others do meanwhile."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import pytest

from db.jobs import Claimed, Finish
from pipelines.errors import Permanent, Postponed
from workers import witness
from workers.attempts import Attempts
from workers.jobs import KINDS
from workers.ledger import Ledger
from workers.load import Load
from workers.log import SUBJECT
from workers.loop import LoopRun, LoopRuns, lag_s
from workers.witness import Witness

WAIT_S = 10.0
SLOTS = 50


class Outcomes(Ledger):
    """A ledger that is read, and stores nothing."""

    def __init__(self) -> None:
        self.put_down: SimpleQueue[tuple[Claimed, Finish]] = SimpleQueue()

    def put(self, job: Claimed, finish: Finish) -> None:
        self.put_down.put((job, finish))

    def next(self) -> Finish:
        return self.put_down.get(timeout=WAIT_S)[1]


def claimed(job_id: int = 1) -> Claimed:
    return Claimed(job_id, "probe", "default", None, {}, 1, 10)


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


@pytest.fixture
def load() -> Load:
    return Load(SLOTS)


@pytest.fixture
def seen() -> Iterator[Witness]:
    made = witness.create(SLOTS)
    yield made
    made.close()


class Line:
    """Hands jobs over as a worker does."""

    def __init__(self, run: LoopRun, outcomes: Outcomes, load: Load, seen: Witness) -> None:
        self.runs = LoopRuns(run, Attempts(outcomes, load, seen))
        self.load = load

    def begin(self, *jobs: Claimed) -> None:
        self.load.took(jobs)
        for job in jobs:
            self.runs.hand_over(job, 0.0)


def ends_with(outcome: object) -> LoopRun:
    async def run(job: Claimed) -> dict[str, Any] | None:
        await asyncio.sleep(0)
        if isinstance(outcome, BaseException):
            raise outcome
        assert outcome is None or isinstance(outcome, dict)
        return outcome

    return run


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ({"status": 200}, "completed"),
        (None, "completed"),
        (Permanent("gone"), "discarded"),
        (Postponed("refused", delay_s=5), "retryable"),
        (KeyError("bug"), "retryable"),
        (TimeoutError("of its own"), "retryable"),
        (SystemExit(3), "retryable"),
        (asyncio.CancelledError(), "retryable"),
    ],
)
def test_a_coroutine_ends_as_a_thread_would(
    outcomes: Outcomes, load: Load, seen: Witness, outcome: object, state: str
) -> None:
    Line(ends_with(outcome), outcomes, load, seen).begin(claimed())

    finish = outcomes.next()

    assert (finish.state, finish.result) == (state, outcome if state == "completed" else None)
    assert (load.held(), seen.running(), seen.ended_jobs) == ([], [], 1)


def test_a_coroutine_past_its_time_limit_is_ended(
    outcomes: Outcomes, load: Load, seen: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "probe", replace(KINDS["probe"], time_limit_s=0))

    async def run(job: Claimed) -> None:
        await asyncio.sleep(WAIT_S)

    Line(run, outcomes, load, seen).begin(claimed())
    finish = outcomes.next()

    assert finish.error is not None
    assert (finish.state, finish.error["error"]) == (
        "retryable",
        "The job ran longer than its time limit.",
    )


def test_a_job_that_is_asked_to_stop_stops_where_it_waits(
    outcomes: Outcomes, load: Load, seen: Witness
) -> None:
    waits: Future[None] = Future()
    release = asyncio.Event()

    async def run(job: Claimed) -> None:
        if job.id == 2:
            waits.set_result(None)
        await release.wait()

    line = Line(run, outcomes, load, seen)
    line.begin(claimed(1), claimed(2))
    waits.result(WAIT_S)
    line.runs.cancel({(2, 1), (7, 1)})
    finish = outcomes.next()
    line.runs.cancel({(2, 1)})

    assert (finish.job_id, finish.state) == (2, "cancelled")
    assert [job.id for job in load.held()] == seen.running() == [1]
    line.runs.cancel({(1, 1)})
    outcomes.next()


def test_jobs_that_take_turns_each_log_about_themselves(
    outcomes: Outcomes, load: Load, seen: Witness
) -> None:
    subjects: list[tuple[int, int | None]] = []

    async def run(job: Claimed) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            subject = SUBJECT.get()
            subjects.append((job.id, None if subject is None else subject.job.id))

    Line(run, outcomes, load, seen).begin(*(claimed(n) for n in range(1, 21)))
    for _ in range(20):
        outcomes.next()

    assert len(subjects) == 60
    assert all(job_id == of for job_id, of in subjects)
    assert subjects != sorted(subjects)
    assert SUBJECT.get() is None


def test_what_a_job_logs_names_it(
    outcomes: Outcomes, load: Load, seen: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Line(ends_with(Permanent("gone")), outcomes, load, seen).begin(claimed(77))
        outcomes.next()

    assert "job 77 (probe), attempt 1: discarded" in caplog.text


def test_all_run_at_once_and_in_one_thread(outcomes: Outcomes, load: Load, seen: Witness) -> None:
    threads: set[int] = set()
    all_there = asyncio.Barrier(SLOTS)

    async def run(job: Claimed) -> None:
        threads.add(threading.get_ident())
        await all_there.wait()

    Line(run, outcomes, load, seen).begin(*(claimed(n) for n in range(SLOTS)))
    states = {outcomes.next().state for _ in range(SLOTS)}

    assert (states, len(threads)) == ({"completed"}, 1)


def test_a_loop_that_is_free_answers_soon() -> None:
    assert lag_s(WAIT_S) < WAIT_S
