"""Figures that are read once for all who watch."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held(Generic[T]):
    """A value, and for how many seconds it is known."""

    value: T
    age_s: float


@dataclass(frozen=True, slots=True)
class Pace:
    """When figures are read again: once they are `age_s` old, and `rest` times as old as reading
    took. Those that are `grace_s` older still are given to nobody.
    """

    age_s: float
    rest: float
    grace_s: float


def begin(work: Callable[[], None]) -> None:
    Thread(target=work, name="figures", daemon=True).start()


class Kept(Generic[T]):
    """Whoever asks for what is due again gets what there is; it is read in the background.

    Only where that is too old do they wait for it.
    """

    def __init__(
        self,
        read: Callable[[], T],
        pace: Pace,
        *,
        clock: Callable[[], float] = time.monotonic,
        spawn: Callable[[Callable[[], None]], None] = begin,
    ) -> None:
        self._read = read
        self._pace = pace
        self._clock = clock
        self._spawn = spawn
        self._lock = Lock()
        self._held: tuple[T, float] | None = None
        self._fresh_until = 0.0

    def get(self) -> Held[T]:
        """Raises what reading raises, where somebody waits for it; the next one tries again."""
        held = self._held
        if held is not None and self._clock() < self._fresh_until:
            return self._of(held)
        if held is None or self._clock() - held[1] > self._pace.grace_s + self._rest_s(held):
            with self._lock:
                return self._of(self._renew())
        if self._lock.acquire(blocking=False):
            self._spawn(self._renew_quietly)
        return self._of(self._held or held)

    def _renew_quietly(self) -> None:
        """In the background, with the lock that was taken for it."""
        try:
            self._renew()
        except Exception as error:  # noqa: BLE001 - whoever waits for it will hear of it
            log.warning("cannot read figures: %s", str(error).strip().partition("\n")[0])
        finally:
            self._lock.release()

    def _renew(self) -> tuple[T, float]:
        """With the lock; another one may have read it meanwhile."""
        began_at = self._clock()
        if self._held is not None and began_at < self._fresh_until:
            return self._held
        held = self._read(), began_at
        took_s = self._clock() - began_at
        self._held = held
        self._fresh_until = self._clock() + max(self._pace.age_s, self._pace.rest * took_s)
        return held

    def _rest_s(self, held: tuple[T, float]) -> float:
        """For how long it was meant to serve."""
        return max(0.0, self._fresh_until - held[1])

    def _of(self, held: tuple[T, float]) -> Held[T]:
        return Held(held[0], max(0.0, self._clock() - held[1]))
