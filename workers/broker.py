"""Dramatiq's broker over the runway: Postgres decides, Redis carries tickets, threads work.

Dramatiq stays the engine of processes, threads, actors, middleware and time limits. Its own
retries, age limits, delays and dead letters are off: those are states of a row in Postgres.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import dramatiq
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.middleware import Middleware

from db import jobs
from db.jobs import Claimed, Ticket
from db.pool import AWAY, Pool
from workers.attempts import Attempts
from workers.jobs import KINDS
from workers.ledger import Ledger
from workers.limits import TimeLimits
from workers.load import Load
from workers.loop import LoopRun, LoopRuns
from workers.outcome import hand_back, snooze
from workers.runway import Runway
from workers.runway_errors import RunwayDown

WAIT_S = 1
RETRY_S = 0.5
# A kind that this version does not know waits for a worker that does.
UNKNOWN_KIND_S = 1.0

Run = Callable[[Claimed], dict[str, Any] | None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Handling:
    """What becomes of a claimed job: `actor` gets it in a thread, with the time of its claim.

    Where jobs are handed over, `actor` is called at once, and no message is made of them. `cancel`
    is told of (id, attempt) of jobs to stop.
    """

    actor: Callable[[Claimed, float], None]
    middleware: tuple[Middleware, ...] = ()
    hands_over: bool = False
    cancel: Callable[[Set[tuple[int, int]]], None] = lambda asked: None


def in_threads(run: Run, attempts: Attempts) -> Handling:
    """Each job is run by the thread that gets it, and looks itself whether it shall stop."""
    outcomes = Outcomes(attempts)
    return Handling(outcomes.keeping(run), (outcomes, TimeLimits()))


def on_loop(run: LoopRun, attempts: Attempts) -> Handling:
    """The thread only hands it over: all that were claimed run at once."""
    runs = LoopRuns(run, attempts)
    return Handling(runs.hand_over, cancel=runs.cancel, hands_over=True)


class RunwayBroker(dramatiq.Broker):
    """One queue of one worker process, served from the list `tickets` on the runway."""

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
        handling: Handling,
        load: Load,
    ) -> None:
        super().__init__(middleware=list(handling.middleware))
        self.queue = queue
        self.tickets = tickets
        self.runway = runway
        self.pool = pool
        self.ledger = ledger
        self.worker_id = worker_id
        self.may_fetch = may_fetch
        self.is_draining = is_draining
        self.load = load
        self.cancel = handling.cancel
        self.hand_over = handling.actor if handling.hands_over else None
        for kind in KINDS.values():
            if kind.queue == queue:
                limit_ms = kind.time_limit_s * 1000
                dramatiq.Actor(
                    handling.actor,
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
            args=(job, self._claimed_at),
            kwargs={},
            options={},
            # Nobody looks at it, and a random one costs more than all the rest.
            message_id=str(job.id),
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
        claimed = self._claim(tickets)
        if broker.hand_over is None or broker.is_draining():
            self._ready.extend(claimed)
            return
        for job in claimed:
            broker.hand_over(job, self._claimed_at)

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
    """Turns how an actor ended into the outcome of the attempt, where a thread runs it."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._mine = threading.local()

    def keeping(self, run: Run) -> Callable[[Claimed, float], None]:
        """`run` as an actor: its result is kept for the row, and is no concern of dramatiq's."""

        def actor(job: Claimed, claimed_at: float) -> None:
            self._mine.result = run(job)

        return actor

    def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        self._mine.result = None
        job, claimed_at = message.args
        self._mine.attempt = self._attempts.begin(job, claimed_at=claimed_at)

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        self._attempts.end(self._mine.attempt, exception, self._mine.result)
