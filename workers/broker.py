"""Dramatiq's broker over the runway: Postgres decides, Redis carries tickets, threads work.

Dramatiq stays the engine of processes, threads, actors, middleware and time limits. Its own
retries, age limits, delays and dead letters are off: those are states of a row in Postgres.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import dramatiq
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.middleware import Middleware

from db import jobs
from db.jobs import Claimed, Finish, Ticket
from db.pool import AWAY, Pool
from workers import metrics, tracing
from workers.jobs import KINDS
from workers.ledger import Ledger
from workers.limits import TimeLimits
from workers.log import begin_job, end_job
from workers.outcome import decide, hand_back, snooze
from workers.runway import Runway, RunwayDown
from workers.witness import Witness

# What is claimed ahead: about 100 ms of work, at least two jobs a thread.
AHEAD_MS = 100.0
AHEAD_MAX = 256
WAIT_S = 1
RETRY_S = 0.5

log = logging.getLogger(__name__)

# Jobs claimed ahead that have not begun for so long are given back for others to run.
STRANDED_AFTER_S = 3.0
# A kind that this version does not know waits for a worker that does.
UNKNOWN_KIND_S = 1.0
# How long a job takes is measured anew after so many jobs or seconds.
MEASURED_JOBS = 64
MEASURED_S = 0.25

Run = Callable[[Claimed], dict[str, Any] | None]


class Load:
    """How much a queue of this process has claimed and not ended, and its mean job time."""

    def __init__(self, threads: int, *, ahead: bool = True) -> None:
        self.threads = threads
        self.ahead = ahead
        self.job_ms: float | None = None
        self._held: dict[int, Claimed] = {}
        self._moved_at = 0.0
        self._measured_at = 0.0
        self._ended = 0
        self._changed = threading.Condition()

    def took(self, claimed: Sequence[Claimed]) -> None:
        with self._changed:
            self._moved_at = time.monotonic()
            if not self._held:
                self._measured_at, self._ended = self._moved_at, 0
            self._held.update((job.id, job) for job in claimed)

    def ended(self, job: Claimed, *, ran: bool = False) -> None:
        with self._changed:
            self._held.pop(job.id, None)
            self._moved_at = time.monotonic()
            if ran:
                self._ended += 1
                self._measure(self._moved_at)
            self._changed.notify()

    def _measure(self, now: float) -> None:
        """A thread's time for a job, from how many ended while there was something to do.

        Not the mean of their times: those of short jobs are mostly waiting for the interpreter.
        """
        passed_s = now - self._measured_at
        if self._ended < MEASURED_JOBS and passed_s < MEASURED_S and self._held:
            return
        job_ms = passed_s * 1000 * self.threads / self._ended
        self.job_ms = job_ms if self.job_ms is None else 0.5 * self.job_ms + 0.5 * job_ms
        self._measured_at, self._ended = now, 0

    def is_stuck(self, now: float) -> bool:
        """Whether all threads have long been busy while more lies claimed."""
        with self._changed:
            return len(self._held) > self.threads and now - self._moved_at > STRANDED_AFTER_S

    def turned_slow(self) -> None:
        """What runs now is long, whatever ran before: claim nothing ahead of it."""
        with self._changed:
            self.job_ms = max(self.job_ms or 0.0, STRANDED_AFTER_S * 1000)

    def room(self, timeout_s: float) -> int:
        """How many more jobs to claim; 0 when the time is up before the window has room.

        Short jobs are claimed by the half window, long ones as threads become free.
        """
        with self._changed:
            window = window_jobs(self.threads, self.job_ms) if self.ahead else self.threads
            low = window // 2 if window >= 2 * self.threads else window - 1
            self._changed.wait_for(lambda: len(self._held) <= low, timeout_s)
            return window - len(self._held) if len(self._held) <= low else 0

    def held(self) -> list[Claimed]:
        with self._changed:
            return list(self._held.values())


def window_jobs(threads: int, job_ms: float | None) -> int:
    """How many jobs a process holds at a time, running and claimed ahead.

    Long jobs, and those not measured yet, are not claimed ahead: another process may be free.
    """
    if job_ms is None or job_ms >= AHEAD_MS:
        return threads
    return int(max(2 * threads, min(AHEAD_MAX, threads * AHEAD_MS / max(job_ms, 0.01))))


class RunwayBroker(dramatiq.Broker):
    """One queue of one worker process, served from the list `tickets` on the runway.

    `run` does the work of a claimed job.
    """

    def __init__(
        self,
        queue: str,
        *,
        tickets: str,
        runway: Runway,
        pool: Pool,
        ledger: Ledger,
        worker_id: UUID,
        may_fetch: Callable[[], bool],
        is_draining: Callable[[], bool],
        run: Run,
        load: Load,
        witness: Witness,
    ) -> None:
        outcomes = Outcomes(ledger, load, witness)
        super().__init__(middleware=[outcomes, TimeLimits()])
        self.queue = queue
        self.tickets = tickets
        self.runway = runway
        self.pool = pool
        self.ledger = ledger
        self.worker_id = worker_id
        self.may_fetch = may_fetch
        self.is_draining = is_draining
        self.load = load
        for kind in KINDS.values():
            if kind.queue == queue:
                limit_ms = kind.time_limit_s * 1000
                dramatiq.Actor(
                    outcomes.keeping(run),
                    broker=self,
                    actor_name=kind.name,
                    queue_name=queue,
                    priority=0,
                    options={"time_limit": limit_ms, "throws": (Exception,)},
                )

    def declare_actor(self, actor: "dramatiq.Actor[Any, Any]") -> None:
        self.actors[actor.actor_name] = actor
        self.declare_queue(actor.queue_name)

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.queues[queue_name] = None
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30000) -> Consumer:
        return RunwayConsumer(self)

    def give_back(self, job: Claimed) -> None:
        """A job that was claimed ahead and never started."""
        self.load.ended(job)
        self.ledger.put(job, hand_back(job))

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> Any:
        raise TypeError("jobs are rows: enqueue with workers.jobs.enqueue or worker.enqueue()")


class RunwayConsumer(Consumer):
    """Takes tickets, claims their jobs in one statement, deals them out one by one."""

    def __init__(self, broker: RunwayBroker) -> None:
        self._broker = broker
        self._ready: deque[Claimed] = deque()
        self._claimed_at = 0.0

    def __next__(self) -> MessageProxy | None:
        if not self._ready:
            self._fetch()
        if not self._ready:
            return None
        job = self._ready.popleft()
        message: dramatiq.Message[Any] = dramatiq.Message(
            queue_name=job.queue,
            actor_name=job.kind,
            args=(job,),
            kwargs={},
            options={"claimed_at": self._claimed_at},
        )
        return MessageProxy(message)

    def _fetch(self) -> None:
        broker = self._broker
        if not broker.may_fetch():
            time.sleep(0.05)
            return
        room = broker.load.room(WAIT_S)
        if room == 0:
            return
        try:
            tickets = broker.runway.pop(broker.tickets, room)
            if not tickets:
                broker.runway.wait(broker.tickets, WAIT_S)
                return
        except RunwayDown as error:
            log.warning("queue %s: Redis is away, work waits: %s", broker.queue, error)
            time.sleep(RETRY_S)
            return
        self._ready.extend(self._claim(tickets))

    def _claim(self, tickets: Sequence[Ticket]) -> list[Claimed]:
        """Tickets that cannot be claimed come back by themselves: their rows wait."""
        broker = self._broker
        claimed = self._ask(tickets)
        self._claimed_at = time.monotonic()
        known = [job for job in claimed if job.kind in KINDS]
        broker.load.took(known)
        for job in claimed:
            if job.kind not in KINDS:
                log.warning("job %d: this version does not know kind %s", job.id, job.kind)
                broker.ledger.put(job, snooze(job, UNKNOWN_KIND_S))
        return known

    def _ask(self, tickets: Sequence[Ticket]) -> list[Claimed]:
        """Claim until there is an answer. One that was lost may have claimed: ask what is ours."""
        broker = self._broker
        claim = partial(jobs.claim_jobs, tickets=tickets, worker_id=broker.worker_id)
        adopt = partial(jobs.adopt_jobs, tickets=tickets, worker_id=broker.worker_id)
        doubtful = False
        while True:
            try:
                with broker.pool.connection() as conn:
                    return (adopt(conn) if doubtful else []) + claim(conn)
            except AWAY as error:
                log.warning("cannot claim yet: %s", str(error).strip().split("\n")[0])
                doubtful = True
                time.sleep(RETRY_S)
                if broker.is_draining():
                    return []

    def ack(self, message: MessageProxy) -> None:
        """Nothing to do: the ledger stores the outcome, and Redis forgot the ticket."""

    def nack(self, message: MessageProxy) -> None:
        """As ack: a failure is an outcome too."""

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back what was claimed ahead and never started."""
        for message in messages:
            self._broker.give_back(message.args[0])
        while self._ready:
            self._broker.give_back(self._ready.popleft())


class Outcomes(Middleware):
    """Turns how an actor ended into the outcome of the attempt."""

    def __init__(self, ledger: Ledger, load: Load, witness: Witness) -> None:
        self._ledger = ledger
        self._load = load
        self._witness = witness
        self._began = threading.local()

    def keeping(self, run: Run) -> Callable[[Claimed], None]:
        """`run` as an actor: its result is kept for the row, and is no concern of dramatiq's."""

        def actor(job: Claimed) -> None:
            self._began.result = run(job)

        return actor

    def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        job: Claimed = message.args[0]
        begin_job(job)
        self._began.run = tracing.begin_run(job)
        self._began.at = time.monotonic()
        self._began.result = None
        waited_s = self._began.at - message.options["claimed_at"]
        metrics.observe(metrics.CLAIM_TO_START, waited_s, job.kind)
        limit_s = KINDS[message.actor_name].time_limit_s
        self._began.slot = self._witness.began(job.id, at=self._began.at, limit_s=limit_s)

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        job: Claimed = message.args[0]
        self._witness.ended(self._began.slot)
        took_s = time.monotonic() - self._began.at
        self._load.ended(job, ran=True)
        metrics.observe(metrics.DURATION, took_s, job.kind)
        luck = random.random()  # noqa: S311 - spreads retries, guards nothing
        plan = KINDS[job.kind].retry
        finish = decide(job, exception, plan=plan, luck=luck, result=self._began.result)
        if exception is not None:
            tell(job, finish, exception)
        if finish is not None:
            self._ledger.put(job, finish)
        if self._began.run is not None:
            self._began.run.end(None if finish is None else finish.state, exception)
        end_job()


def tell(job: Claimed, finish: Finish | None, error: BaseException) -> None:
    what = "its lease was lost" if finish is None else finish.state
    log.warning(
        "job %d (%s), attempt %d: %s; %s: %s",
        job.id,
        job.kind,
        job.attempt,
        what,
        type(error).__name__,
        str(error).strip().partition("\n")[0],
    )
