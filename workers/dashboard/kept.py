"""Figures that are read once for all who watch."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Held(Generic[T]):
    """A value, and for how many seconds it is known."""

    value: T
    age_s: float


class Kept(Generic[T]):
    """Read again once it is `age_s` old, and `rest` times as old as reading took.

    Whoever asks then reads it; those who ask meanwhile get what there is.
    """

    def __init__(
        self,
        read: Callable[[], T],
        *,
        age_s: float,
        rest: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._age_s = age_s
        self._rest = rest
        self._clock = clock
        self._lock = Lock()
        self._held: tuple[T, float] | None = None
        self._fresh_until = 0.0

    def get(self) -> Held[T]:
        """Raises what reading raises; the next who asks tries again."""
        held = self._held
        if held is not None and self._clock() < self._fresh_until:
            return self._of(held)
        if not self._lock.acquire(blocking=held is None):
            assert held is not None
            return self._of(held)
        try:
            return self._of(self._renew())
        finally:
            self._lock.release()

    def _renew(self) -> tuple[T, float]:
        began_at = self._clock()
        if self._held is not None and began_at < self._fresh_until:
            return self._held
        held = self._read(), began_at
        took_s = self._clock() - began_at
        self._held = held
        self._fresh_until = self._clock() + max(self._age_s, self._rest * took_s)
        return held

    def _of(self, held: tuple[T, float]) -> Held[T]:
        return Held(held[0], self._clock() - held[1])
