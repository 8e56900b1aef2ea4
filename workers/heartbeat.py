"""Signs of life: of a worker process for its parent, of a main loop for its own process."""

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from workers.vigil import AwakeClock
from workers.witness import Witness

BEAT_S = 0.5
LOOP_S_MAX = 30.0
EXIT_LEASE_LOST = 75
EXIT_STUCK = 76
EXIT_MAIMED = 77
# At this signal a worker process writes what its threads do to its log, even when it is stuck.
DUMP_SIGNAL = signal.SIGUSR1

log = logging.getLogger(__name__)


class Heartbeat(threading.Thread):
    """Beats while the interpreter runs, and ends the process when its lease has run out.

    Not the lease's own thread: that one may hang in a connection that nobody answers.
    """

    def __init__(self, witness: Witness, *, lease_ran_out: Callable[[], bool]) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._witness = witness
        self._lease_ran_out = lease_ran_out

    def run(self) -> None:
        while True:
            self._witness.beat(time.monotonic())
            if self._lease_ran_out():
                lose_lease()
            time.sleep(BEAT_S)


def lose_lease() -> None:
    """What the process held is another one's now: nothing that it still does can be stored."""
    log.error("the lease ran out: this process ends")
    os._exit(EXIT_LEASE_LOST)


class Watchdog(threading.Thread):
    """Ends the process when its main loop has not beaten for `silent_s_max`.

    Whoever supervises the process starts it again. Time in which the process was stopped does
    not count.
    """

    def __init__(self, what: str, *, silent_s_max: float = LOOP_S_MAX) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._what = what
        self._silent_s_max = silent_s_max
        self._beats = 0

    def beat(self) -> None:
        self._beats += 1

    def run(self) -> None:
        clock = AwakeClock()
        heard, heard_at = self._beats, clock.advance(time.monotonic())
        while True:
            time.sleep(BEAT_S)
            awake_s = clock.advance(time.monotonic())
            if self._beats != heard:
                heard, heard_at = self._beats, awake_s
            elif awake_s - heard_at > self._silent_s_max:
                self._end()

    def _end(self) -> None:
        log.error("%s hangs for %.0f s: this process ends", self._what, self._silent_s_max)
        faulthandler.dump_traceback(sys.stderr, all_threads=True)
        os._exit(EXIT_STUCK)


class LoopSignal(threading.Event):
    """A stop signal that a main loop looks at in each round: each look is a beat."""

    def __init__(self, stopped: threading.Event, beat: Callable[[], None]) -> None:
        super().__init__()
        self._stopped = stopped
        self._beat = beat

    def is_set(self) -> bool:
        self._beat()
        return self._stopped.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._stopped.wait(timeout)
