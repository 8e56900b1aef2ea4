"""One worker process: a dramatiq worker per queue, one ledger, one lease.

Its parent is workers/supervisor.py. It ends when told to, when it lost its lease, or when its
parent is gone.
"""

import logging
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any
from uuid import UUID

import dramatiq

from db.pool import connect, open_pool, wait_for
from workers.actors import load_doorways, run_job
from workers.broker import Load, RunwayBroker
from workers.config import Config
from workers.lease import Lease
from workers.ledger import Ledger
from workers.outcome import hand_back
from workers.runway import Runway, alone
from workers.tools import Toolbox
from workers.witness import Witness

GRACE_S = 25.0
PIPELINE_CONNECTIONS_MAX = 4
CLAIM_CONNECTIONS_MAX = 2
EXIT_LEASE_LOST = 75
ALONE_IDLE_S = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Duty:
    """What a worker process is for: its row's id, and threads by queue.

    `alone`: it takes jobs that may kill it, one at a time, and ends when there are none.
    """

    process_id: UUID
    threads: dict[str, int]
    witness_fd: int
    alone: bool = False


class Child:
    """The parts of one worker process and their orderly start and end."""

    def __init__(self, config: Config, duty: Duty) -> None:
        assert config.database_url is not None
        assert config.redis_url is not None
        url = config.database_url
        self.config = config
        self.duty = duty
        self.draining = threading.Event()
        self.witness = Witness(duty.witness_fd, sum(duty.threads.values()))
        self.loads = {
            queue: Load(threads, ahead=not duty.alone) for queue, threads in duty.threads.items()
        }
        self.toolbox = Toolbox(config, open_pool(url, size_max=PIPELINE_CONNECTIONS_MAX))
        self.claims = open_pool(url, size_max=CLAIM_CONNECTIONS_MAX)
        self.ledger = Ledger(partial(connect, url, name="avivro ledger"))
        self.lease = Lease(
            partial(connect, url, name="avivro lease"),
            process_id=duty.process_id,
            role="worker",
            describe=self.describe,
            on_lost=lambda: os._exit(EXIT_LEASE_LOST),
        )
        self.workers: list[dramatiq.Worker] = []

    def describe(self) -> dict[str, Any]:
        if self.duty.alone:
            return {}
        return {
            queue: {"threads": load.threads, "job_ms": load.job_ms}
            for queue, load in self.loads.items()
        }

    def start(self) -> None:
        if not wait_for("Postgres", self.lease.register, stop=self.draining.is_set):
            return
        self.lease.start()
        self.ledger.start()
        for queue, load in self.loads.items():
            worker = dramatiq.Worker(
                self.broker(queue, load), worker_threads=load.threads, worker_timeout=200
            )
            worker.start()
            self.workers.append(worker)

    def broker(self, queue: str, load: Load) -> RunwayBroker:
        assert self.config.redis_url is not None
        return RunwayBroker(
            queue,
            tickets=alone(queue) if self.duty.alone else queue,
            runway=Runway(self.config.redis_url),
            pool=self.claims,
            ledger=self.ledger,
            worker_id=self.duty.process_id,
            may_fetch=lambda: self.lease.held and not self.draining.is_set(),
            run=lambda job: run_job(job, self.toolbox),
            load=load,
            witness=self.witness,
        )

    def drain(self) -> None:
        """Fetch nothing more, let what runs finish within the grace time, give the rest back."""
        self.draining.set()
        until = time.monotonic() + GRACE_S
        stops = [
            threading.Thread(target=worker.stop, args=(int(GRACE_S * 1000),), daemon=True)
            for worker in self.workers
        ]
        for stop in stops:
            stop.start()
        for stop in stops:
            stop.join(max(0.0, until - time.monotonic()))
        for load in self.loads.values():
            for job in load.held():
                log.warning("job %d (%s) did not end within the grace time", job.id, job.kind)
                self.ledger.put(hand_back(job))
        if self.ledger.is_alive():
            self.ledger.close(timeout_s=5)
        self.lease.resign()


def run(config: Config, duty: Duty) -> None:
    """Work until SIGTERM or SIGINT, or until the parent's pipe closes."""
    load_doorways()
    child = Child(config, duty)
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    threading.Thread(target=watch_parent, args=(stop,), daemon=True).start()
    child.start()
    log.info("worker ready: %s", ", ".join(f"{q} x {n}" for q, n in duty.threads.items()))
    while not stop.wait(ALONE_IDLE_S if duty.alone else None):
        if not any(load.held() for load in child.loads.values()):
            break
    child.drain()
    # Threads that outlived the grace time must not hold the process: their jobs are given back.
    sys.stderr.flush()
    os._exit(0)


def watch_parent(stop: threading.Event) -> None:
    """The parent holds the other end of our standard input, and says nothing on it."""
    os.read(0, 1)
    stop.set()
