"""Time limits of what the interpreter can interrupt; workers/vigil.py sees to the rest."""

import ctypes
import threading
import time
from typing import Any

import dramatiq
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware, TimeLimitExceeded

LOOK_EVERY_S = 0.5
ARRIVAL_S_MAX = 1.0


class TimeLimits(Middleware):
    """Raises TimeLimitExceeded in a thread whose job runs past its limit.

    Dramatiq's own TimeLimit may raise when the job has just ended, in the middle of storing its
    outcome or in the next job. Here whoever takes the deadline away decides: a job that ends after
    it was taken waits for the exception that is on its way.
    """

    def __init__(self) -> None:
        self._deadlines: dict[tuple[int, float], bool] = {}
        self._mine = threading.local()

    @property
    def actor_options(self) -> set[str]:
        return {"time_limit"}

    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        threading.Thread(target=self._watch, name="time limits", daemon=True).start()

    def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        limit_ms = broker.get_actor(message.actor_name).options["time_limit"]
        self._mine.key = (threading.get_ident(), time.monotonic() + limit_ms / 1000)
        self._deadlines[self._mine.key] = True

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        was_taken = not self._deadlines.pop(self._mine.key, False)
        if was_taken and not isinstance(exception, TimeLimitExceeded):
            until = time.monotonic() + ARRIVAL_S_MAX
            while time.monotonic() < until:
                time.sleep(0.001)

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            for key in list(self._deadlines):
                thread_id, deadline = key
                if deadline < now and self._deadlines.pop(key, False):
                    interrupt(thread_id)


def interrupt(thread_id: int) -> None:
    """The exception rises when the thread next runs Python code."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(TimeLimitExceeded)
    )
