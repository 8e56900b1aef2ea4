"""Once a second: which jobs of this process were asked to stop, and which ones are stranded."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from queue import Empty
from uuid import UUID

import dramatiq

from db import jobs
from db.jobs import Claimed
from db.pool import AWAY, Pool
from workers.broker import RunwayBroker

EVERY_S = 1.0

log = logging.getLogger(__name__)


class Tending(threading.Thread):
    """Looks after what the process holds. `cancelled` holds (id, attempt) of jobs to stop."""

    def __init__(self, pool: Pool, *, worker_id: UUID) -> None:
        super().__init__(name="tending", daemon=True)
        self.cancelled: frozenset[tuple[int, int]] = frozenset()
        self.workers: dict[str, dramatiq.Worker] = {}
        self._pool = pool
        self._worker_id = worker_id
        self._ended = threading.Event()

    def end(self) -> None:
        self._ended.set()

    def run(self) -> None:
        held_before: set[int] = set()
        while not self._ended.wait(EVERY_S):
            held = {job.id for broker in self._brokers().values() for job in broker.load.held()}
            # What ends within a second need not be stopped, and costs no query.
            if held & held_before:
                self._look_for_requests()
            held_before = held
            for queue, broker in self._brokers().items():
                if broker.load.is_stuck(time.monotonic()):
                    give_back_waiting(self.workers[queue], broker)

    def _brokers(self) -> Mapping[str, RunwayBroker]:
        return {
            queue: worker.broker
            for queue, worker in self.workers.items()
            if isinstance(worker.broker, RunwayBroker)
        }

    def _look_for_requests(self) -> None:
        try:
            with self._pool.connection() as conn:
                self.cancelled = jobs.list_cancel_requests(
                    conn, worker_id=self._worker_id, queues=list(self.workers)
                )
        except AWAY as error:
            log.debug("cannot look for cancelled jobs: %s", error)
            return
        for broker in self._brokers().values():
            broker.cancel(self.cancelled)


def give_back_waiting(worker: dramatiq.Worker, broker: RunwayBroker) -> None:
    """All threads are busy with long jobs: let other processes have what lies behind them."""
    broker.load.turned_slow()
    stranded = list(waiting(worker))
    for job in stranded:
        broker.give_back(job)
    if stranded:
        log.info("queue %s: gave back %d jobs behind long ones", broker.queue, len(stranded))


def waiting(worker: dramatiq.Worker) -> Iterator[Claimed]:
    """Take what was claimed and not begun out of the worker's own queue."""
    while True:
        try:
            item = worker.work_queue.get_nowait()
        except Empty:
            return
        worker.work_queue.task_done()
        yield item.message.args[0]
