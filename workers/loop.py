"""Jobs as coroutines: those of LOOP_QUEUES all run at once, on the process' one event loop.

A thread only hands them over. Each is a task with a context of its own, so what it logs and
traces is about its own job however many take turns.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Set
from typing import Any

from dramatiq.middleware import TimeLimitExceeded

from db.fence import Cancelled
from db.jobs import Claimed
from pipelines.gateways.http_loop import background_loop
from workers.attempts import Attempts
from workers.jobs import KINDS

LoopRun = Callable[[Claimed], Coroutine[Any, Any, dict[str, Any] | None]]


class LoopRuns:
    """Those of one queue. `run` does the work of a claimed job; it must never block."""

    def __init__(self, run: LoopRun, attempts: Attempts) -> None:
        self._run = run
        self._attempts = attempts
        self._loop = background_loop()
        self._given: deque[tuple[Claimed, float]] = deque()
        self._is_called = False
        # These belong to the loop's thread.
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._asked: set[tuple[int, int]] = set()

    def hand_over(self, job: Claimed, claimed_at: float) -> None:
        """Let the loop run it; returns at once."""
        self._given.append((job, claimed_at))
        # Waking the loop costs a system call: once for all that are given until it looks.
        if not self._is_called:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._begin_all)

    def cancel(self, asked: Set[tuple[int, int]]) -> None:
        """Stop those of (job id, attempt) that run here, wherever they wait; once each."""
        if asked:
            self._loop.call_soon_threadsafe(self._cancel, asked)

    def _begin_all(self) -> None:
        self._is_called = False
        while self._given:
            self._begin(*self._given.popleft())

    def _begin(self, job: Claimed, claimed_at: float) -> None:
        key = (job.id, job.attempt)
        self._tasks[key] = self._loop.create_task(self._attempt(job, claimed_at))
        self._tasks[key].add_done_callback(lambda task: self._forget(key))

    async def _attempt(self, job: Claimed, claimed_at: float) -> None:
        attempt = self._attempts.begin(job, claimed_at=claimed_at)
        error: BaseException | None = None
        result: dict[str, Any] | None = None
        limit = asyncio.timeout(KINDS[job.kind].time_limit_s)
        try:
            async with limit:
                result = await self._run(job)
        except BaseException as raised:  # noqa: BLE001 - whatever it is, the job ended with it
            error = self._named(job, raised, is_late=limit.expired())
        self._attempts.end(attempt, error, result)

    def _named(self, job: Claimed, error: BaseException, *, is_late: bool) -> BaseException:
        """As a thread would have met it."""
        key = (job.id, job.attempt)
        if isinstance(error, TimeoutError) and is_late:
            return TimeLimitExceeded()
        if isinstance(error, asyncio.CancelledError) and key in self._asked:
            return Cancelled(f"job {job.id}, attempt {job.attempt}")
        return error

    def _cancel(self, asked: Set[tuple[int, int]]) -> None:
        for key in asked & self._tasks.keys() - self._asked:
            self._asked.add(key)
            self._tasks[key].cancel()

    def _forget(self, key: tuple[int, int]) -> None:
        del self._tasks[key]
        self._asked.discard(key)


def lag_s(timeout_s: float) -> float:
    """How long the loop takes to answer; `timeout_s` when it does not within that time."""
    answered = threading.Event()
    asked_at = time.monotonic()
    background_loop().call_soon_threadsafe(answered.set)
    answered.wait(timeout_s)
    return time.monotonic() - asked_at


def is_alive() -> bool:
    return background_loop().is_running()
