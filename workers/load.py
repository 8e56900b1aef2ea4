"""How much a queue of a worker process takes: what it holds, and how much more it may claim."""

import threading
import time
from collections.abc import Callable, Sequence

from db.jobs import Claimed

# What is claimed ahead: about 100 ms of work, at least two jobs a thread.
AHEAD_MS = 100.0
AHEAD_MAX = 256
RUNWAY_JOBS_MAX = 1000
# Jobs claimed ahead that have not begun for so long are given back for others to run.
STRANDED_AFTER_S = 3.0
# How long a job takes is measured anew after so many jobs or seconds.
MEASURED_JOBS = 64
MEASURED_S = 0.25
# Jobs of an event loop are claimed so many at a time, while it answers within so long.
LOOP_CLAIM_MAX = 100
LAG_S_MAX = 0.05


class Load:
    """How much a queue of this process has claimed and not ended, and its mean job time."""

    def __init__(self, threads: int, *, ahead: bool = True) -> None:
        self.threads = threads
        self.ahead = ahead
        self.job_ms: float | None = None
        self._held: dict[int, Claimed] = {}
        self._moved_at = 0.0
        self._measured_at = 0.0
        self._ended = 0
        self._changed = threading.Condition()

    def took(self, claimed: Sequence[Claimed]) -> None:
        with self._changed:
            self._moved_at = time.monotonic()
            if not self._held:
                self._measured_at, self._ended = self._moved_at, 0
            self._held.update((job.id, job) for job in claimed)

    def ended(self, job: Claimed, *, ran: bool = False) -> None:
        with self._changed:
            self._held.pop(job.id, None)
            self._moved_at = time.monotonic()
            if ran:
                self._ended += 1
                self._measure(self._moved_at)
            self._changed.notify()

    def _measure(self, now: float) -> None:
        """A thread's time for a job, from how many ended while there was something to do.

        Not the mean of their times: those of short jobs are mostly waiting for the interpreter.
        """
        passed_s = now - self._measured_at
        if self._ended < MEASURED_JOBS and passed_s < MEASURED_S and self._held:
            return
        job_ms = passed_s * 1000 * self.threads / self._ended
        self.job_ms = job_ms if self.job_ms is None else 0.5 * self.job_ms + 0.5 * job_ms
        self._measured_at, self._ended = now, 0

    def is_stuck(self, now: float) -> bool:
        """Whether all threads have long been busy while more lies claimed."""
        with self._changed:
            return len(self._held) > self.threads and now - self._moved_at > STRANDED_AFTER_S

    def turned_slow(self) -> None:
        """What runs now is long, whatever ran before: claim nothing ahead of it."""
        with self._changed:
            self.job_ms = max(self.job_ms or 0.0, STRANDED_AFTER_S * 1000)

    def room(self, timeout_s: float) -> int:
        """How many more jobs to claim; 0 when the time is up before the window has room.

        Short jobs are claimed by the half window, long ones as threads become free.
        """
        with self._changed:
            window = window_jobs(self.threads, self.job_ms) if self.ahead else self.threads
            low = window // 2 if window >= 2 * self.threads else window - 1
            self._changed.wait_for(lambda: len(self._held) <= low, timeout_s)
            return window - len(self._held) if len(self._held) <= low else 0

    def held(self) -> list[Claimed]:
        with self._changed:
            return list(self._held.values())


def window_jobs(threads: int, job_ms: float | None) -> int:
    """How many jobs a process holds at a time, running and claimed ahead.

    Long jobs, and those not measured yet, are not claimed ahead: another process may be free.
    """
    if job_ms is None or job_ms >= AHEAD_MS:
        return threads
    return int(max(2 * threads, min(AHEAD_MAX, threads * AHEAD_MS / max(job_ms, 0.01))))


def runway_jobs(threads: int, job_ms: float | None) -> int:
    """How many jobs of a queue may be in flight: what its workers hold, and 100 ms of work on
    the runway, at least two jobs a thread.
    """
    ahead = threads * AHEAD_MS / max(job_ms, 0.01) if job_ms is not None else 0
    lying = max(2 * threads, ahead)
    return int(min(RUNWAY_JOBS_MAX, window_jobs(threads, job_ms) + lying))


class LoopLoad(Load):
    """Of a queue whose jobs all run at once on the event loop: `threads` are its slots.

    Nothing is claimed ahead, so nothing waits behind long jobs, and their pace is of no use. A
    loop that has too much to compute leaves jobs to other processes: it claims while `lag_s`, its
    answer to a question that waits so long for it at most, says that it keeps up.
    """

    def __init__(self, slots: int, lag_s: Callable[[float], float]) -> None:
        super().__init__(slots)
        self._lag_s = lag_s

    def _measure(self, now: float) -> None:
        """Many at once: how long one takes says nothing of how soon the next may be claimed."""

    def is_stuck(self, now: float) -> bool:
        return False

    def room(self, timeout_s: float) -> int:
        if self._lag_s(timeout_s) > LAG_S_MAX:
            return 0
        with self._changed:
            self._changed.wait_for(lambda: len(self._held) < self.threads, timeout_s)
            return min(LOOP_CLAIM_MAX, self.threads - len(self._held))
