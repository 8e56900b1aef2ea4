"""What a worker process was running when it died, as its parent can still read it.

A small unlinked file that parent and child both map: one slot of 8 bytes per thread, holding
the id of the job that the thread runs, or 0.
"""

import mmap
import os
import tempfile
import threading
from struct import pack_into, unpack_from

SLOT_BYTES = 8


class Witness:
    """The child writes, the parent reads after the child's death."""

    def __init__(self, fd: int, slots: int) -> None:
        self.fd = fd
        self.slots = slots
        self._map = mmap.mmap(fd, slots * SLOT_BYTES)
        self._free = list(range(slots))
        self._lock = threading.Lock()

    def began(self, job_id: int) -> int:
        """Note that a thread runs this job; the slot to give back when it ended."""
        with self._lock:
            slot = self._free.pop()
        pack_into("q", self._map, slot * SLOT_BYTES, job_id)
        return slot

    def ended(self, slot: int) -> None:
        pack_into("q", self._map, slot * SLOT_BYTES, 0)
        with self._lock:
            self._free.append(slot)

    def running(self) -> list[int]:
        """Ids of the jobs that have begun and not ended."""
        return [job_id for job_id in unpack_from(f"{self.slots}q", self._map) if job_id]

    def close(self) -> None:
        self._map.close()
        os.close(self.fd)


def create(slots: int) -> Witness:
    """For the parent: pass `fd` on to the child, which makes its own Witness of it."""
    with tempfile.TemporaryFile() as file:
        file.truncate(slots * SLOT_BYTES)
        return Witness(os.dup(file.fileno()), slots)
