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
from db.jobs import Finish
from db.pool import Connection

BATCH_MAX = 1000
RETRY_S = 0.5

log = logging.getLogger(__name__)


class Ledger(threading.Thread):
    """Threads `put` how their jobs ended; `close` returns when all of it is stored."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        super().__init__(name="ledger", daemon=True)
        self._open_connection = open_connection
        self._conn: Connection | None = None
        self._queue: SimpleQueue[Finish | None] = SimpleQueue()

    def put(self, finish: Finish) -> None:
        self._queue.put(finish)

    def close(self, timeout_s: float) -> None:
        self._queue.put(None)
        self.join(timeout_s)

    def run(self) -> None:
        closing = False
        while not closing:
            batch = [self._queue.get(), *self._drain()]
            closing = None in batch
            finishes = [finish for finish in batch if finish is not None]
            if finishes:
                self._store(finishes)
        if self._conn is not None:
            self._conn.close()

    def _drain(self) -> list[Finish | None]:
        waiting: list[Finish | None] = []
        try:
            while len(waiting) < BATCH_MAX:
                waiting.append(self._queue.get_nowait())
        except Empty:
            pass
        return waiting

    def _store(self, finishes: Sequence[Finish]) -> None:
        while True:
            try:
                stored = self._commit(finishes)
            except psycopg.OperationalError as error:
                log.warning("cannot store outcomes yet: %s", str(error).strip().split("\n")[0])
                time.sleep(RETRY_S)
            else:
                break
        for finish in finishes:
            if finish.job_id not in stored:
                log.warning(
                    "job %d: the lease of attempt %d was lost, its outcome (%s) is not stored",
                    finish.job_id,
                    finish.attempt,
                    finish.state,
                )

    def _commit(self, finishes: Sequence[Finish]) -> dict[int, str]:
        if self._conn is None or self._conn.closed or self._conn.broken:
            self._conn = self._open_connection()
        with self._conn.transaction():
            return jobs.finish_jobs(self._conn, finishes)
