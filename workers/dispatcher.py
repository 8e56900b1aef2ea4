"""Moves jobs from the backlog in Postgres to the runway in Redis, as late as possible.

Each turn: promote what is due, fill each queue's runway up to what its live workers can soon
take, and every few seconds rescue what dead processes held. Any number may run at once.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import psycopg

from db import jobs, processes
from db.jobs import Ticket
from db.pool import Connection
from workers.broker import window_jobs
from workers.jobs import QUEUES
from workers.runway import EpochLost, Runway, RunwayDown

# The runway holds about this much work per queue; the rest can still be re-ordered.
RUNWAY_JOBS_MAX = 2000
ROWS_MAX = 1000
BUSY_SLEEP_S = 0.005
BUSY_SLEEP_S_MAX = 0.2
IDLE_POLL_S = 0.4
RESCUE_EVERY_S = 2.0
STALE_AFTER_S = 5.0
RETRY_S = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn did: jobs moved, and whether more wait for room on a full runway."""

    moved: int
    crowded: bool


class Dispatcher:
    """`may_run` is false while this process' own lease is not held."""

    def __init__(self, conn: Connection, runway: Runway, *, wait: Callable[[float], None]) -> None:
        self._conn = conn
        self._runway = runway
        self._wait = wait
        self._rescued_at = 0.0

    def run(self, stopped: threading.Event) -> None:
        """Take turns until stopped. Raises OperationalError when Postgres goes away."""
        sleep_s = BUSY_SLEEP_S
        while not stopped.is_set():
            try:
                turn = self.turn()
            except RunwayDown as error:
                log.warning("Redis is away, work waits in Postgres: %s", error)
                stopped.wait(RETRY_S)
                continue
            if turn.moved:
                sleep_s = BUSY_SLEEP_S
            elif turn.crowded:
                sleep_s = min(BUSY_SLEEP_S_MAX, sleep_s * 1.5)
            else:
                self._idle()
                continue
            stopped.wait(sleep_s)

    def turn(self) -> Turn:
        """One pass over everything. Raises RunwayDown; then nothing stays dispatched in vain."""
        with self._conn.transaction():
            epoch = jobs.read_epoch(self._conn)
        if not self._runway.holds_epoch(epoch):
            epoch = self._begin_epoch(epoch)
        self._rescue_now_and_then()
        with self._conn.transaction():
            promoted = jobs.promote_due(self._conn, rows_max=ROWS_MAX)
            capacity = processes.list_capacity(self._conn)
            in_flight = jobs.count_in_flight(self._conn)
        moved, crowded = promoted, False
        for queue, (threads, job_ms) in capacity.items():
            room = min(ROWS_MAX, runway_jobs(threads, job_ms) - in_flight.get(queue, 0))
            if room <= 0:
                crowded = True
                continue
            moved += self._dispatch(queue, room, epoch)
        return Turn(moved, crowded)

    def _dispatch(self, queue: str, room: int, epoch: UUID) -> int:
        with self._conn.transaction():
            tickets = jobs.dispatch_jobs(self._conn, queue=queue, room=room, epoch=epoch)
        if tickets:
            try:
                self._runway.push(queue, tickets, epoch=epoch)
            except (RunwayDown, EpochLost) as error:
                self._recall(tickets)
                if isinstance(error, RunwayDown):
                    raise
        return len(tickets)

    def _recall(self, tickets: list[Ticket]) -> None:
        """Those that were pushed all the same are claimed by nobody: their seq will be old."""
        with self._conn.transaction():
            jobs.recall_jobs(self._conn, tickets)

    def _begin_epoch(self, lost: UUID) -> UUID:
        """Redis lost its memory: everything on the runway goes back and is sent again."""
        with self._conn.transaction():
            jobs.renew_epoch(self._conn, lost=lost)
            epoch = jobs.read_epoch(self._conn)
        self._runway.begin_epoch(epoch, list(QUEUES))
        with self._conn.transaction():
            recalled = jobs.recall_old_epochs(self._conn, epoch=epoch)
        log.info("a new Redis epoch begins; %d jobs taken back from the old one", recalled)
        return epoch

    def _rescue_now_and_then(self) -> None:
        if time.monotonic() - self._rescued_at < RESCUE_EVERY_S:
            return
        self._rescued_at = time.monotonic()
        with self._conn.transaction():
            rescued = jobs.rescue_running(self._conn, rows_max=ROWS_MAX)
            jobs.forget_dead_processes(self._conn)
            stale = jobs.list_stale_dispatches(self._conn, age_s=STALE_AFTER_S, rows_max=ROWS_MAX)
        for job_id, kind, state, attempt in rescued:
            log.warning("job %d (%s): worker of attempt %d died; %s", job_id, kind, attempt, state)
        if stale:
            self._recall_stale(stale)

    def _recall_stale(self, stale: list[tuple[Ticket, str]]) -> None:
        """What is still on the runway only waits its turn."""
        waiting = {queue: self._runway.list_tickets(queue) for _, queue in stale}
        lost = [ticket for ticket, queue in stale if ticket not in waiting[queue]]
        if lost:
            self._recall(lost)
            log.warning("%d dispatched jobs were on no runway; sent again", len(lost))

    def _idle(self) -> None:
        """Say that we sleep, look once more, sleep until woken or something is due."""
        with self._conn.transaction():
            jobs.set_idle(self._conn, idle=True)
        try:
            turn = self.turn()
            if not turn.moved:
                with self._conn.transaction():
                    due_s = jobs.next_due_s(self._conn)
                self._wait(IDLE_POLL_S if due_s is None else max(0.0, min(IDLE_POLL_S, due_s)))
        except RunwayDown as error:
            log.warning("Redis is away, work waits in Postgres: %s", error)
            time.sleep(RETRY_S)
        finally:
            if not self._conn.broken:
                with self._conn.transaction():
                    jobs.set_idle(self._conn, idle=False)


def runway_jobs(threads: int, job_ms: float | None) -> int:
    """How many jobs of a queue may be dispatched or running: what is held, and as much again."""
    return min(RUNWAY_JOBS_MAX, 2 * window_jobs(threads, job_ms))


def listen(open_connection: Callable[[], Connection]) -> Callable[[float], None]:
    """A wait that ends early when a job is inserted; where it cannot listen, it only waits."""
    conn: Connection | None = None

    def wait(timeout_s: float) -> None:
        nonlocal conn
        try:
            if conn is None or conn.closed or conn.broken:
                conn = open_connection()
                conn.execute("LISTEN worker_jobs")
                return
            for _ in conn.notifies(timeout=timeout_s, stop_after=1):
                pass
        except psycopg.Error as error:
            log.debug("cannot listen: %s", error)
            conn = None
            time.sleep(min(timeout_s, IDLE_POLL_S))

    return wait
