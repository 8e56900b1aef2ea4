"""The posts of one worker command: its processes, and one per queue for dangerous jobs.

A job that was running when its process died runs next in a process of its own, so that only
the guilty one dies of it; that process is started when such a job waits, and ends by itself.
"""

import logging
import os
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID, uuid4

import psutil
import psycopg

from db import processes
from db.pool import connect
from workers import witness
from workers.heartbeat import DUMP_SIGNAL, EXIT_LEASE_LOST
from workers.memory import rss_bytes
from workers.runway import Runway, alone
from workers.runway_errors import RunwayDown
from workers.supervisor import BACKOFF_S, Hand, cause, spawn
from workers.vigil import Limits, Verdict, Vigil
from workers.witness import Witness

LOOK_EVERY_S = 0.5
TELL_RETRY_S = 0.5

log = logging.getLogger(__name__)


class WorkerHand(Hand):
    """A worker process under watch. Its death is told to Postgres, with what it was running."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        *,
        process_id: UUID,
        seen: Witness,
        vigil: Vigil,
        database_url: str,
    ) -> None:
        super().__init__(process)
        self._process_id = process_id
        self._witness = seen
        self._vigil = vigil
        self._database_url = database_url
        self._verdict: Verdict | None = None

    def look(self) -> None:
        """End it when it is stuck, overdue or too large: at the look after the verdict, so that
        it could write down what it does.
        """
        if self._verdict is not None:
            kill_tree(self.process.pid)
            return
        self._verdict = self._vigil.judge(
            time.monotonic(), self._witness.look(), rss_bytes=rss_bytes(self.process.pid)
        )
        if self._verdict is not None:
            log.error("worker process %d: %s", self.process.pid, self._verdict.cause)
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, DUMP_SIGNAL)

    def is_leaving(self) -> bool:
        return self._witness.is_leaving()

    def ended(self, code: int) -> None:
        started = self._witness.running()
        self._witness.close()
        # An orderly end, or one for want of Postgres: no job is to blame.
        is_nobodys_fault = code in (0, EXIT_LEASE_LOST)
        tell = partial(
            processes.expire,
            id=self._process_id,
            started=[] if is_nobodys_fault else started,
            overdue=None if self._verdict is None else self._verdict.overdue,
            cause=cause(code) if self._verdict is None else self._verdict.cause,
        )
        threading.Thread(target=tell_death, args=(self._database_url, tell)).start()


class WorkerPost:
    """One worker process."""

    backoff_s: Sequence[float] = BACKOFF_S

    def __init__(
        self, name: str, database_url: str, threads: dict[str, int], *, limits: Limits
    ) -> None:
        self.name = name
        self._database_url = database_url
        self._threads = threads
        self._limits = limits

    def wanted(self) -> bool:
        return True

    def start(self, env: Mapping[str, str]) -> Hand:
        process_id = uuid4()
        seen = witness.create(sum(self._threads.values()))
        arguments = [
            "worker-child",
            str(process_id),
            f"--witness={seen.fd}",
            *(f"--queue={queue}:{number}" for queue, number in self._threads.items()),
            f"--max-jobs={self._limits.jobs_max}",
            f"--max-memory={self._limits.memory_mb_max}",
            *self.flags(),
        ]
        try:
            process = spawn(arguments, env, pass_fds=[seen.fd])
        except OSError:
            seen.close()
            raise
        return WorkerHand(
            process,
            process_id=process_id,
            seen=seen,
            vigil=Vigil(memory_mb_max=self._limits.memory_mb_max),
            database_url=self._database_url,
        )

    def flags(self) -> list[str]:
        return []


class LonePost(WorkerPost):
    """Wanted only while a job waits that must run alone; its deaths are no surprise."""

    backoff_s: Sequence[float] = (0.1,)

    def __init__(
        self, database_url: str, queue: str, lookout: "Lookout", *, limits: Limits
    ) -> None:
        super().__init__(f"lone worker of {queue}", database_url, {queue: 1}, limits=limits)
        self._queue = queue
        self._lookout = lookout

    def wanted(self) -> bool:
        return self._queue in self._lookout.waiting

    def flags(self) -> list[str]:
        return ["--alone"]


class Lookout(threading.Thread):
    """Looks which queues have jobs that must run alone: `waiting`.

    In a thread of its own: a Redis that does not answer must keep nobody from watching.
    """

    def __init__(self, runway: Runway, queues: Iterable[str]) -> None:
        super().__init__(name="lookout", daemon=True)
        self.waiting: frozenset[str] = frozenset()
        self._runway = runway
        self._queues = tuple(queues)

    def run(self) -> None:
        while True:
            self.waiting = frozenset(filter(self._has_jobs, self._queues))
            time.sleep(LOOK_EVERY_S)

    def _has_jobs(self, queue: str) -> bool:
        try:
            return not self._runway.is_empty(alone(queue))
        except RunwayDown:
            return False


def posts(
    database_url: str, redis_url: str, threads: dict[str, int], *, count: int, limits: Limits
) -> list[WorkerPost]:
    """`count` worker processes with these threads by queue, and their lone workers."""
    lookout = Lookout(Runway(redis_url), threads)
    lookout.start()
    named = [f"worker {number}" for number in range(1, count + 1)]
    return [WorkerPost(name, database_url, threads, limits=limits) for name in named] + [
        LonePost(database_url, queue, lookout, limits=limits) for queue in threads
    ]


def tell_death(database_url: str, tell: "partial[None]") -> None:
    """In a thread of its own: a Postgres that does not answer must hold up no other process."""
    until = time.monotonic() + processes.LEASE_S
    while True:
        try:
            with connect(database_url, name="avivro supervisor") as conn:
                tell(conn)
            return
        except psycopg.OperationalError:
            if time.monotonic() > until:
                log.warning("Postgres is away; the lease of a dead worker ran out by itself")
                return
            time.sleep(TELL_RETRY_S)


def kill_tree(pid: int) -> None:
    """With the parsers that it keeps, which would else end a little later."""
    with suppress(psutil.Error):
        tree = psutil.Process(pid)
        for process in [*tree.children(recursive=True), tree]:
            with suppress(psutil.Error):
                process.kill()
