"""One worker process: a dramatiq worker per queue, one ledger, one lease.

Its parent is workers/crew.py. It ends when told to, when it lost its lease, when its parent is
gone, or when it has done or grown so much that a new one shall take its place.
"""

import faulthandler
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import dramatiq

from db.pool import connect, open_pool, wait_for
from workers import loop, tracing
from workers.actors import load_doorways, run_job, run_on_loop
from workers.attempts import Attempts
from workers.broker import RunwayBroker, in_threads, on_loop
from workers.config import Config
from workers.heartbeat import DUMP_SIGNAL, EXIT_MAIMED, Heartbeat, lose_lease
from workers.job_log import JobLog
from workers.jobs import LOOP_QUEUES
from workers.lease import Lease
from workers.ledger import Ledger
from workers.load import Load, LoopLoad
from workers.memory import MEGABYTE, rss_bytes, settle
from workers.metrics import Flusher
from workers.outcome import hand_back
from workers.runway import Runway, alone
from workers.supervisor import StopRequest
from workers.tending import Tending, waiting
from workers.tools import Toolbox
from workers.vigil import Limits
from workers.witness import Witness

GRACE_S = 25.0
# All queues of a process share it: a claim takes milliseconds, and waits for nobody.
CLAIM_CONNECTIONS_MAX = 1
PIPELINE_CONNECTIONS_MAX = 4
ERRAND_CONNECTIONS_MAX = 1
ALONE_IDLE_S = 5.0
LOOK_EVERY_S = 0.25
SWEEP_EVERY_S = 0.05
STORE_S_MAX = 5.0
# Figures, log lines and requests to stop share a connection, and wait for each other.
BORROW_S = 2.0
STATS_JOBS_MAX = 64
# Of a queue whose jobs run on the event loop: it only passes them on.
HAND_OVER_THREADS = 1
PACE_CHANGE = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Duty:
    """What a worker process is for: its row's id, and threads (on the loop: slots) by queue.

    `alone`: it takes jobs that may kill it, one at a time, and ends when there are none.
    """

    process_id: UUID
    threads: dict[str, int]
    witness_fd: int
    alone: bool = False
    limits: Limits = field(default_factory=Limits)


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
            queue: LoopLoad(number, loop.lag_s)
            if queue in LOOP_QUEUES
            else Load(number, ahead=not duty.alone)
            for queue, number in duty.threads.items()
        }
        self.claims = open_pool(url, size_max=CLAIM_CONNECTIONS_MAX, autocommit=True)
        self.errands = open_pool(url, size_max=ERRAND_CONNECTIONS_MAX)
        self.tending = Tending(self.errands, worker_id=duty.process_id)
        self.toolbox = Toolbox(
            config,
            open_pool(url, size_max=PIPELINE_CONNECTIONS_MAX),
            cancelled=lambda: self.tending.cancelled,
        )
        self.ledger = Ledger(partial(connect, url, autocommit=True, name="avivro ledger"))
        borrow = partial(self.errands.connection, timeout=BORROW_S)
        self.flusher = Flusher(borrow)
        self.job_log = JobLog(borrow)
        self.lease = Lease(
            partial(connect, url, name="avivro lease"),
            process_id=duty.process_id,
            role="worker",
            describe=self.describe,
            stats=self.stats,
            on_renewed=self.witness.renewed,
            on_lost=lose_lease,
        )
        self.heartbeat = Heartbeat(self.witness, lease_ran_out=self.lease.ran_out)
        self.workers: list[dramatiq.Worker] = []
        self.told_ms: dict[str, float] = {}

    def describe(self) -> dict[str, Any]:
        if self.duty.alone or self.draining.is_set():
            return {}
        return {
            queue: {"threads": load.threads, "job_ms": load.job_ms}
            for queue, load in self.loads.items()
        }

    def stats(self) -> dict[str, Any]:
        return {
            "rss_mb": rss_bytes(os.getpid()) // MEGABYTE,
            "jobs_ended": self.witness.ended_jobs,
            "running": self.witness.running()[:STATS_JOBS_MAX],
        }

    def start(self, request: StopRequest) -> bool:
        """False when it was asked to stop before Postgres was there."""
        self.heartbeat.start()
        if not wait_for("Postgres", self.lease.register, stop=lambda: request.asked):
            return False
        self.lease.start()
        self.ledger.start()
        self.flusher.start()
        self.job_log.start()
        for queue, load in self.loads.items():
            broker = self.broker(queue, load)
            # Dramatiq's own command says so at this point; time limits are watched from here on.
            broker.emit_after("process_boot")
            threads = HAND_OVER_THREADS if queue in LOOP_QUEUES else load.threads
            worker = dramatiq.Worker(broker, worker_threads=threads, worker_timeout=200)
            worker.start()
            self.workers.append(worker)
            self.tending.workers[queue] = worker
        self.tending.start()
        return True

    def broker(self, queue: str, load: Load) -> RunwayBroker:
        assert self.config.redis_url is not None
        attempts = Attempts(self.ledger, load, self.witness)
        if queue in LOOP_QUEUES:
            handling = on_loop(lambda job: run_on_loop(job, self.toolbox), attempts)
        else:
            handling = in_threads(lambda job: run_job(job, self.toolbox), attempts)
        return RunwayBroker(
            queue,
            tickets=alone(queue) if self.duty.alone else queue,
            runway=Runway(self.config.redis_url),
            pool=self.claims,
            ledger=self.ledger,
            worker_id=self.duty.process_id,
            may_fetch=self.may_fetch,
            is_draining=self.draining.is_set,
            handling=handling,
            load=load,
        )

    def may_fetch(self) -> bool:
        jobs_max = self.duty.limits.jobs_max
        is_done = 0 < jobs_max <= self.witness.ended_jobs + self.count_held()
        is_leaving = self.lease.drains or self.draining.is_set()
        return self.lease.held and not is_leaving and not is_done

    def work(self, request: StopRequest) -> None:
        """Return when asked to stop, or when there is a reason to leave."""
        busy_at = time.monotonic()
        while not request.asked:
            time.sleep(LOOK_EVERY_S)
            self.check_threads()
            self.tell_pace()
            if self.count_held():
                busy_at = time.monotonic()
            reason = self.reason_to_leave(idle_s=time.monotonic() - busy_at)
            if reason is not None:
                log.info("this worker process leaves: %s", reason)
                return

    def tell_pace(self) -> None:
        """Dispatchers size the runway by it: tell a new pace before the next renewal."""
        for queue, load in self.loads.items():
            if load.job_ms is not None and is_another(load.job_ms, self.told_ms.get(queue)):
                self.told_ms[queue] = load.job_ms
                self.lease.nudge()

    def check_threads(self) -> None:
        """A process that lost one of its threads would hold jobs that nobody ends: end it."""
        vital: list[threading.Thread] = [self.ledger, self.lease]
        for worker in self.workers:
            vital += [*worker.workers, *worker.consumers.values()]
        dead = [thread.name for thread in vital if not thread.is_alive()]
        if not LOOP_QUEUES.isdisjoint(self.loads) and not loop.is_alive():
            dead.append("event loop")
        if dead:
            log.error("threads died (%s): this process ends", ", ".join(dead))
            os._exit(EXIT_MAIMED)

    def reason_to_leave(self, *, idle_s: float) -> str | None:
        limits, ended = self.duty.limits, self.witness.ended_jobs
        if self.duty.alone and idle_s > ALONE_IDLE_S:
            return "no job waits to be run alone"
        if self.lease.drains:
            return "an operator asked it to drain"
        if 0 < limits.jobs_max <= ended:
            return f"{ended} jobs ended, the limit is {limits.jobs_max}"
        used_mb = rss_bytes(os.getpid()) // MEGABYTE
        # Not before it did something: a ceiling below its size at rest must not stop all work.
        if 0 < limits.memory_mb_max < used_mb and ended:
            return f"it uses {used_mb} MB of memory, the limit is {limits.memory_mb_max} MB"
        return None

    def count_held(self) -> int:
        return sum(len(load.held()) for load in self.loads.values())

    def drain(self, request: StopRequest) -> None:
        """Fetch nothing more, give back what has not begun, let what runs finish.

        Only a request to stop limits its time, to GRACE_S; a second one ends it.
        """
        self.draining.set()
        self.witness.leave()
        log.info("this worker process drains: %d jobs run or wait in it", self.count_held())
        until: float | None = None
        while not self.stop_fetching() or self.count_held() > 0:
            if until is None and request.asked:
                until = time.monotonic() + GRACE_S
            if request.hurry or (until is not None and time.monotonic() > until):
                break
            time.sleep(SWEEP_EVERY_S)
        self.tending.end()
        self.give_back_running()
        if self.ledger.is_alive():
            self.ledger.close(timeout_s=STORE_S_MAX)
        self.job_log.close()
        self.flusher.close()
        tracing.end()
        self.lease.resign()

    def stop_fetching(self) -> bool:
        """Give back what was claimed and not begun; True when no more can be claimed.

        Asks again each time: a thread that has only just started forgets the first request.
        """
        for worker in self.workers:
            assert isinstance(worker.broker, RunwayBroker)
            for thread in worker.workers:
                thread.stop()
            for job in waiting(worker):
                worker.broker.give_back(job)
        consumers = [each for worker in self.workers for each in worker.consumers.values()]
        for consumer in consumers:
            consumer.stop()
        ended = [consumer for consumer in consumers if not consumer.is_alive()]
        for consumer in ended:
            if consumer.consumer is not None:
                consumer.requeue_messages([])
        return len(ended) == len(consumers)

    def give_back_running(self) -> None:
        for load in self.loads.values():
            for job in load.held():
                log.warning("job %d (%s) did not end within the grace time", job.id, job.kind)
                self.ledger.put(job, hand_back(job))


def is_another(job_ms: float, told_ms: float | None) -> bool:
    """Whether a job's time is no longer about what was told."""
    return told_ms is None or not told_ms / PACE_CHANGE < job_ms < told_ms * PACE_CHANGE


def run(config: Config, duty: Duty) -> None:
    """Work until SIGTERM or SIGINT, until the parent is gone, or until it is time to leave."""
    load_doorways(duty.threads)
    settle()
    faulthandler.register(DUMP_SIGNAL, file=sys.stderr, all_threads=True)
    child = Child(config, duty)
    request = StopRequest()
    request.listen()
    threading.Thread(target=watch_parent, args=(request,), daemon=True).start()
    if child.start(request):
        log.info("worker ready: %s", ", ".join(f"{q} x {n}" for q, n in duty.threads.items()))
        child.work(request)
        child.drain(request)
    # Threads that outlived the grace time must not hold the process: their jobs are given back.
    sys.stderr.flush()
    os._exit(0)


def watch_parent(request: StopRequest) -> None:
    """The parent holds the other end of our standard input, and says nothing on it."""
    os.read(0, 1)
    request.ask()
