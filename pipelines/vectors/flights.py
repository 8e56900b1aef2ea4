"""Requests that are under way: each in a thread of its own, landed in the thread of the job.

Database, clock and decisions stay with the job's thread. A thread of a request only sends.
"""

from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread

from pipelines.gateways.embedder import Embedded
from pipelines.vectors.lots import Lot


@dataclass(frozen=True, slots=True)
class Landed:
    """A request that ended: with what was embedded, or with what was raised."""

    lot: Lot
    sent: Sequence[str]
    outcome: Embedded | Exception


class Flights:
    """`count` requests were sent and have not landed."""

    def __init__(self, embed: Callable[[Sequence[str]], Embedded]) -> None:
        self._embed = embed
        self._landed: SimpleQueue[Landed] = SimpleQueue()
        self.count = 0

    def start(self, lot: Lot, sent: Sequence[str]) -> None:
        # Spans and log lines of the request belong to the job's. A process that ends does not
        # wait for an answer.
        context = copy_context()
        Thread(target=context.run, args=(self._fly, lot, sent), daemon=True).start()
        self.count += 1

    def land(self, timeout_s: float) -> Landed | None:
        """The next one to end; None where the time was up first."""
        try:
            landed = self._landed.get(timeout=timeout_s)
        except Empty:
            return None
        self.count -= 1
        return landed

    def _fly(self, lot: Lot, sent: Sequence[str]) -> None:
        outcome: Embedded | Exception
        try:
            outcome = self._embed(sent)
        except Exception as error:  # noqa: BLE001 - raised again in the job's thread
            outcome = error
        self._landed.put(Landed(lot, sent, outcome))
