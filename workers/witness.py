"""What a worker process does, as its parent can read it: while it lives, and after its death.

A small unlinked file that both map: when the process last gave a sign of life and last renewed
its lease, and one slot for each job that it may run at a time. All times are CLOCK_MONOTONIC,
which the processes of a machine share.
"""

import mmap
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

CLOCK = Struct("d")
COUNT = Struct("q")
BEAT_AT, RENEWED_AT, LEAVING = 0, 8, 16
HEAD_BYTES = 24
# The job's id comes first and is written last: whoever sees it sees its own times.
SLOT = Struct("qdd")


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs."""

    job_id: int
    began_at: float
    limit_s: float


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at a process. `beat_at` and `renewed_at` are 0 before the first time."""

    beat_at: float
    renewed_at: float
    running: tuple[Running, ...]


class Witness:
    """The child writes, the parent reads."""

    def __init__(self, fd: int, slots: int) -> None:
        self.fd = fd
        self.slots = slots
        self.ended_jobs = 0
        self._map = mmap.mmap(fd, HEAD_BYTES + slots * SLOT.size)
        self._free = list(range(slots))
        self._taken: set[int] = set()
        self._lock = threading.Lock()

    def began(self, job_id: int, *, at: float = 0.0, limit_s: float = float("inf")) -> int:
        """Note that this job runs; the slot to give back when it ended."""
        with self._lock:
            slot = self._free.pop()
            self._taken.add(slot)
        start = HEAD_BYTES + slot * SLOT.size
        SLOT.pack_into(self._map, start, 0, at, limit_s)
        COUNT.pack_into(self._map, start, job_id)
        return slot

    def ended(self, slot: int) -> None:
        """Telling it twice does no harm."""
        with self._lock:
            if slot not in self._taken:
                return
            self._taken.remove(slot)
            COUNT.pack_into(self._map, HEAD_BYTES + slot * SLOT.size, 0)
            self._free.append(slot)
            self.ended_jobs += 1

    def beat(self, at: float) -> None:
        CLOCK.pack_into(self._map, BEAT_AT, at)

    def renewed(self, at: float) -> None:
        CLOCK.pack_into(self._map, RENEWED_AT, at)

    def leave(self) -> None:
        """Tell the parent that this process takes no more jobs and ends when it has none."""
        COUNT.pack_into(self._map, LEAVING, 1)

    def is_leaving(self) -> bool:
        return bool(COUNT.unpack_from(self._map, LEAVING)[0])

    def look(self) -> Sight:
        (beat_at,) = CLOCK.unpack_from(self._map, BEAT_AT)
        (renewed_at,) = CLOCK.unpack_from(self._map, RENEWED_AT)
        return Sight(beat_at, renewed_at, tuple(self._running()))

    def running(self) -> list[int]:
        """Ids of the jobs that have begun and not ended."""
        return [running.job_id for running in self._running()]

    def _running(self) -> Iterator[Running]:
        # A parent looks ten times a second, mostly at slots that are free.
        for job_id, began_at, limit_s in SLOT.iter_unpack(self._map[HEAD_BYTES:]):
            if job_id:
                yield Running(job_id, began_at, limit_s)

    def close(self) -> None:
        self._map.close()
        os.close(self.fd)


def create(slots: int) -> Witness:
    """For the parent: pass `fd` on to the child, which makes its own Witness of it."""
    with tempfile.TemporaryFile() as file:
        file.truncate(HEAD_BYTES + slots * SLOT.size)
        return Witness(os.dup(file.fileno()), slots)
