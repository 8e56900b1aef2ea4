"""Asks again where a server says that it is busy, within what one reading may wait for."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pipelines.errors import Snooze, Transient

# A longer wait is the queue's: the job gives its place up and comes again.
WAIT_S_MAX = 60.0
WAITS_S_MAX = 300.0
TRIES_MAX = 4
FIRST_WAIT_S = 1.0
# How long a wait goes on after somebody asked the job to stop.
STEP_S = 1.0

T = TypeVar("T")


class BusyError(Transient):
    """An answer that asks to come again; other failures are not asked for twice."""


@dataclass(slots=True)
class Patience:
    """For one reading, by one thread. `check` raises once the job is to stop.

    With `rate_per_s` calls come at most so often on average, after a first `burst`.
    """

    check: Callable[[], None]
    rate_per_s: float | None = None
    burst: int = 1
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Any] = time.sleep
    _free_at: float = -math.inf
    _waited_s: float = 0.0
    _has_asked: bool = False

    def call(self, ask: Callable[[], T]) -> T:
        """Ask, up to TRIES_MAX times while the answer is BusyError."""
        tries = 0
        while True:
            self._take()
            tries += 1
            try:
                answer = ask()
            except BusyError as error:
                wait_s = self._wait_after(error, tries)
                if wait_s is None:
                    raise
            except Snooze as turn:
                # Coming again later would begin the reading anew, and might never end it.
                if not self._has_asked or turn.delay_s > WAIT_S_MAX:
                    raise
                self._wait(turn.delay_s)
                tries -= 1
                continue
            else:
                self._has_asked = True
                return answer
            self._waited_s += wait_s
            self._wait(wait_s)

    def _wait_after(self, error: BusyError, tries: int) -> float | None:
        """None where waiting here is too long, or was for nothing."""
        wait_s = error.retry_after_s
        if wait_s is None:
            wait_s = FIRST_WAIT_S * 2 ** (tries - 1)
        is_too_long = wait_s > WAIT_S_MAX or self._waited_s + wait_s > WAITS_S_MAX
        return None if tries == TRIES_MAX or is_too_long else wait_s

    def _take(self) -> None:
        self.check()
        if self.rate_per_s is None:
            return
        now = self.now()
        # Calls that were not made count for no more than a burst.
        self._free_at = max(self._free_at, now - self.burst / self.rate_per_s)
        self._free_at += 1 / self.rate_per_s
        self._wait(self._free_at - now)

    def _wait(self, seconds: float) -> None:
        until = self.now() + seconds
        while (left := until - self.now()) > 0:
            self.sleep(min(left, STEP_S))
            self.check()
