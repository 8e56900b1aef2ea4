"""The posts of one worker command: its processes, and one per queue for dangerous jobs.

A job that was running when its process died runs next in a process of its own, so that only
the guilty one dies of it; that process is started when such a job waits, and ends by itself.
"""

import logging
import subprocess
import time
from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

import psycopg

from db import processes
from db.pool import connect
from workers import witness
from workers.runway import Runway, RunwayDown, alone
from workers.supervisor import BACKOFF_S, spawn
from workers.witness import Witness

LOOK_EVERY_S = 0.5

log = logging.getLogger(__name__)


class WorkerPost:
    """One worker process. Its death is told to Postgres at once, with what it was running."""

    backoff_s: Sequence[float] = BACKOFF_S

    def __init__(self, name: str, database_url: str, threads: dict[str, int]) -> None:
        self.name = name
        self._database_url = database_url
        self._threads = threads
        self._process_id: UUID | None = None
        self._witness: Witness | None = None

    def wanted(self) -> bool:
        return True

    def start(self, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        self._process_id = uuid4()
        self._witness = witness.create(sum(self._threads.values()))
        arguments = [
            "worker-child",
            str(self._process_id),
            f"--witness={self._witness.fd}",
            *(f"--queue={queue}:{number}" for queue, number in self._threads.items()),
            *self.flags(),
        ]
        return spawn(arguments, env, pass_fds=[self._witness.fd])

    def flags(self) -> list[str]:
        return []

    def ended(self) -> None:
        assert self._process_id is not None
        assert self._witness is not None
        started = self._witness.running()
        self._witness.close()
        try:
            with connect(self._database_url, name="avivro supervisor") as conn:
                processes.expire(conn, id=self._process_id, started=started)
        except psycopg.OperationalError:
            log.warning("Postgres is away; the dead worker's lease runs out by itself")


class LonePost(WorkerPost):
    """Wanted only while a job waits that must run alone; its deaths are no surprise."""

    backoff_s: Sequence[float] = (0.1,)

    def __init__(self, database_url: str, queue: str, runway: Runway) -> None:
        super().__init__(f"lone worker of {queue}", database_url, {queue: 1})
        self._queue = queue
        self._runway = runway
        self._looked_at = 0.0

    def wanted(self) -> bool:
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return False
        self._looked_at = time.monotonic()
        try:
            return not self._runway.is_empty(alone(self._queue))
        except RunwayDown:
            return False

    def flags(self) -> list[str]:
        return ["--alone"]


def posts(
    database_url: str, redis_url: str, threads: dict[str, int], *, count: int
) -> list[WorkerPost]:
    """`count` worker processes with these threads by queue, and their lone workers."""
    runway = Runway(redis_url)
    named = [f"worker {number}" for number in range(1, count + 1)]
    return [WorkerPost(name, database_url, threads) for name in named] + [
        LonePost(database_url, queue, runway) for queue in threads
    ]
