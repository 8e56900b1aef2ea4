"""The one writer of a worker process: outcomes of all threads, stored in batches.

It flushes whenever the previous commit has returned: alone when idle, in large batches when
busy. While Postgres is away outcomes wait here; the fence makes storing them late harmless.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

import psycopg

from db import jobs
from db.jobs import Claimed, Finish
from db.pool import AWAY, Connection
from workers import metrics
from workers.log import about
from workers.outcome import failed

BATCH_MAX = 1000
RETRY_S = 0.5

log = logging.getLogger(__name__)

Entry = tuple[Claimed, Finish]


class Ledger(threading.Thread):
    """Threads `put` how their jobs ended; `close` returns when all of it is stored."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        super().__init__(name="ledger", daemon=True)
        self._open_connection = open_connection
        self._conn: Connection | None = None
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()

    def put(self, job: Claimed, finish: Finish) -> None:
        self._queue.put((job, finish))

    def close(self, timeout_s: float) -> None:
        self._queue.put(None)
        self.join(timeout_s)

    def run(self) -> None:
        closing = False
        while not closing:
            batch = [self._queue.get(), *self._drain()]
            closing = None in batch
            entries = [entry for entry in batch if entry is not None]
            if entries:
                self._store(entries)
        self._disconnect()

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _drain(self) -> list[Entry | None]:
        waiting: list[Entry | None] = []
        try:
            while len(waiting) < BATCH_MAX:
                waiting.append(self._queue.get_nowait())
        except Empty:
            pass
        return waiting

    def _store(self, entries: Sequence[Entry]) -> None:
        """One that cannot be stored as it is must not keep the others: then one by one."""
        try:
            self._store_all(entries)
        except psycopg.Error as error:
            if len(entries) > 1:
                for entry in entries:
                    self._store([entry])
                return
            ((job, _),) = entries
            with about(job):
                log.exception("job %d: its outcome cannot be stored", job.id)
            self._store_all([(job, failed(job, error, "discarded"))])

    def _store_all(self, entries: Sequence[Entry]) -> None:
        finishes = [finish for _, finish in entries]
        while True:
            try:
                stored = self._commit(finishes)
            except AWAY as error:
                log.warning("cannot store outcomes yet: %s", str(error).strip().split("\n")[0])
                self._disconnect()
                time.sleep(RETRY_S)
            else:
                break
        for job, finish in entries:
            state = stored.get(job.id)
            if state is not None:
                count(job.kind, outcome(finish, state))
                continue
            with about(job):
                log.warning(
                    "job %d: the lease of attempt %d was lost, its outcome (%s) is not stored",
                    finish.job_id,
                    finish.attempt,
                    finish.state,
                )

    def _commit(self, finishes: Sequence[Finish]) -> dict[int, str]:
        if self._conn is None:
            self._conn = self._open_connection()
        return jobs.finish_jobs(self._conn, finishes)


def outcome(finish: Finish, state: str) -> str:
    """How an attempt ended, as figures name it; `state` is the job's since then."""
    match state:
        case "available":
            return "handed back" if finish.spared else finish.state
        case "scheduled":
            return "snoozed"
        case _:
            return state


def count(kind: str, how: str) -> None:
    metrics.count(metrics.ATTEMPTS, kind, how)
    if how == "discarded":
        metrics.count(metrics.DISCARDS, kind)
