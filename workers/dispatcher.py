"""Moves jobs from the backlog in Postgres to the runway in Redis, as late as possible.

Each turn: promote what is due, deal each queue's free room on the runway to its lanes, and every
few seconds rescue what dead processes held. Any number may run at once: a queue is dealt by
whoever holds its lock in that moment.
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from db import jobs, lanes, marks, waits
from db.jobs import ALONE_FROM, ALONE_FROM_IN_CROWD, Ticket
from db.lanes import Dispatched, Lane, Limit
from db.pool import Connection
from workers import dealing, metrics
from workers.dealing import InFlight, Offer, Rules, Shares
from workers.jobs import LONG_QUEUES, LOOP_QUEUES, QUEUES
from workers.load import runway_jobs
from workers.runway import Runway
from workers.runway_errors import EpochLost, RunwayDown
from workers.sharing import Paces, fewest_first

ROWS_MAX = 1000
# Lanes looked at in one turn; with more, the next turn goes on behind the last one.
LANES_MAX = 1000
NEXT_LANES_S = 0.05
# A lane that has fewer jobs than it was dealt leaves room to deal again.
DEALS_MAX = 8
BUSY_SLEEP_S = 0.005
BUSY_SLEEP_S_MAX = 0.2
# While a quarter of a loop's slots are taken, they are dealt seldom and many at a time.
CROWDED_SHARE = 0.25
CROWDED_SLEEP_S = 0.05
IDLE_POLL_S = 0.5
RESCUE_EVERY_S = 2.0
EPOCH_EVERY_S = 0.5
PROMOTE_EVERY_S = 0.05
MARKS_EVERY_S = 0.5
# Looked at in one turn; with more, the next turn goes on behind the last one.
MARKED_AGENTS_MAX = 500
RULES_EVERY_S = 1.0
STALE_AFTER_S = 5.0
RETRY_S = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn did: jobs moved, and in how many seconds to look again for what could not
    be, for want of room or because of a limit; None when nothing is held back. Not
    `is_hurried`: all that was dealt to had plenty to do before.
    """

    moved: int
    held_s: float | None
    is_hurried: bool = True


@dataclass
class Hand:
    """One queue between turns."""

    shares: Shares = field(default_factory=Shares)
    paces: Paces = field(default_factory=Paces)
    after: Lane | None = None


class Dispatcher:
    """Takes turns on one connection."""

    def __init__(self, conn: Connection, runway: Runway, *, wait: Callable[[float], None]) -> None:
        self._conn = conn
        self._runway = runway
        self._wait = wait
        self._is_idle = False
        self._limits: Mapping[str, Limit] = {}
        self._weights: Mapping[UUID, float] = {}
        self._rescued_at: float | None = None
        self._compared_at: float | None = None
        self._promoted_at: float | None = None
        self._collected_at: float | None = None
        self._collected_to: UUID | None = None
        self._ruled_at: float | None = None
        self._flushed_at: float | None = time.monotonic()
        self._hands = {queue: Hand() for queue in QUEUES}

    def run(self, stopped: threading.Event) -> None:
        """Take turns until stopped. Raises psycopg.Error when Postgres goes away."""
        sleep_s = BUSY_SLEEP_S
        while not stopped.is_set():
            try:
                turn = self.turn()
            except RunwayDown as error:
                log.warning("Redis is away, work waits in Postgres: %s", error)
                stopped.wait(RETRY_S)
                continue
            if turn.moved:
                self._tell_idle(False)
                sleep_s = BUSY_SLEEP_S if turn.is_hurried else CROWDED_SLEEP_S
            elif turn.held_s is not None and sleep_s < turn.held_s:
                sleep_s *= 1.5
            else:
                self._idle(turn.held_s or IDLE_POLL_S)
                continue
            stopped.wait(sleep_s)
        self._tell_idle(False)
        metrics.try_flush(self._conn)

    def turn(self) -> Turn:
        """One pass over everything. Raises RunwayDown; then nothing stays dispatched in vain."""
        self._rescue_now_and_then()
        self._compare_epochs_now_and_then()
        with self._conn.transaction():
            epoch = jobs.begin_turn(self._conn)
            moved = self._promote_now_and_then() + self._collect_now_and_then()
            capacity = lanes.take_queues(self._conn, list(self._hands))
            dealt, held_s, crowded = self._deal_all(capacity, epoch)
        self._push_all(dealt, epoch)
        self._flush_now_and_then()
        number = moved + sum(map(len, dealt.values()))
        return Turn(number, held_s, is_hurried=not dealt.keys() <= crowded)

    def _compare_epochs_now_and_then(self) -> None:
        """A push says so itself when Redis lost its memory; this is for when nothing is pushed."""
        if not is_due(self._compared_at, EPOCH_EVERY_S):
            return
        with self._conn.transaction():
            epoch = jobs.read_epoch(self._conn)
        if not self._runway.holds_epoch(epoch):
            self._begin_epoch(epoch)
        self._compared_at = time.monotonic()

    def _promote_now_and_then(self) -> int:
        """What is due, and what waited for jobs that ended; how many."""
        if not is_due(self._promoted_at, PROMOTE_EVERY_S):
            return 0
        self._promoted_at = time.monotonic()
        promoted = jobs.promote_due(self._conn, rows_max=ROWS_MAX)
        return promoted + waits.settle(self._conn, rows_max=ROWS_MAX)

    def _collect_now_and_then(self) -> int:
        """Jobs for what triggers marked; how many were enqueued."""
        if not is_due(self._collected_at, MARKS_EVERY_S):
            return 0
        page = marks.enqueue_marked(
            self._conn, after=self._collected_to, agents_max=MARKED_AGENTS_MAX
        )
        self._collected_to = page.next_agent
        self._collected_at = time.monotonic() if page.next_agent is None else None
        return page.enqueued

    def _deal_all(
        self, capacity: Mapping[str, tuple[int, float | None]], epoch: UUID
    ) -> tuple[dict[str, list[Dispatched]], float | None, set[str]]:
        """What was dispatched of each queue, in order; when to look for more; and which queues
        have much in flight.
        """
        if not capacity:
            return {}, None, set()
        in_flight = lanes.count_in_flight(self._conn)
        rules = self._read_rules()
        dealt: dict[str, list[Dispatched]] = {}
        waits_s: list[float] = []
        crowded: set[str] = set()
        for queue, (threads, job_ms) in capacity.items():
            if ("queue", queue) in rules.paused:
                continue
            flying = InFlight.of(
                queue, in_flight, threads=threads if queue in LONG_QUEUES else None
            )
            slots = threads if queue in LOOP_QUEUES else None
            if slots is not None and flying.jobs >= slots * CROWDED_SHARE:
                crowded.add(queue)
            room = (slots or runway_jobs(threads, job_ms)) - flying.jobs
            if room <= 0:
                waits_s.append(BUSY_SLEEP_S_MAX)
                continue
            room = min(room, ROWS_MAX)
            dispatched, held_s = self._deal(queue, room, flying, rules, epoch, slots=slots)
            waits_s += [] if held_s is None else [held_s]
            if dispatched:
                dealt[queue] = dispatched
        return dealt, min(waits_s, default=None), crowded

    def _read_rules(self) -> Rules:
        """Pauses as they are now; limits and weights as they were within RULES_EVERY_S."""
        if is_due(self._ruled_at, RULES_EVERY_S):
            self._limits = lanes.list_limits(self._conn)
            self._weights = lanes.list_weights(self._conn)
            self._ruled_at = time.monotonic()
        pauses = lanes.list_pauses(self._conn)
        paused = frozenset((pause.scope, pause.name) for pause in pauses)
        return Rules(self._limits, self._weights, paused)

    def _deal(
        self,
        queue: str,
        room: int,
        flying: InFlight,
        rules: Rules,
        epoch: UUID,
        *,
        slots: int | None,
    ) -> tuple[list[Dispatched], float | None]:
        """The jobs dispatched, in order; and when a limit lets go that holds others back."""
        hand = self._hands[queue]
        found = [lane for lane in self._list_lanes(queue, hand) if rules.lets(lane)]
        if not found:
            return [], None
        offer = self._offer(hand, found, flying, rules, slots=slots)
        dispatched: list[Dispatched] = []
        for _ in range(DEALS_MAX):
            lanes_before = len(offer.lanes)
            dispatched += self._deal_once(queue, room - len(dispatched), offer, rules, epoch)
            if len(offer.lanes) == lanes_before:
                break
        hand.shares.advance(offer.open_tenants())
        if rest := dealing.rest_of_buckets(dispatched, rules.rated, offer.tokens):
            lanes.store_buckets(self._conn, rest)
        if not dispatched and hand.after is not None:
            return [], NEXT_LANES_S
        return dispatched, offer.next_look_s(rules.limits, longest_s=BUSY_SLEEP_S_MAX)

    def _offer(
        self,
        hand: Hand,
        found: list[Lane],
        flying: InFlight,
        rules: Rules,
        *,
        slots: int | None,
    ) -> Offer:
        tokens = self._fill_buckets(found, rules.rated)
        holds = self._list_holds(found)
        left = dealing.allowances(
            found, rules.limits, in_flight=flying.by_lane, tokens=tokens, holds=holds
        )
        if slots is not None:
            found = fewest_first(found, flying.by_lane, random.random)
            left = hand.paces.share(
                found, left, flying, slots=slots, holds=holds, now=time.monotonic()
            )
        return Offer(found, left, flying.tenants_left(found), holds, tokens, slots)

    def _deal_once(
        self, queue: str, room: int, offer: Offer, rules: Rules, epoch: UUID
    ) -> list[Dispatched]:
        """The jobs dispatched, in order. Lanes that had fewer than they were dealt leave."""
        hand = self._hands[queue]
        picks = dealing.deal(
            offer.lanes,
            room=room,
            left=offer.left,
            shares=hand.shares,
            weights=rules.weights,
            tenants_left=offer.tenants_left,
        )
        if not picks:
            return []
        given = lanes.dispatch_jobs(
            self._conn,
            queue=queue,
            quotas=Counter(picks),
            epoch=epoch,
            alone_from=ALONE_FROM if offer.slots is None else ALONE_FROM_IN_CROWD,
        )
        if offer.slots is not None:
            hand.paces.dealt(Counter(job.lane.lane for job in given))
        hand.shares.charge(Counter(job.lane.tenant for job in given), rules.weights)
        dealing.spend(offer.left, offer.tenants_left, given)
        done = dealing.exhausted(picks, given)
        offer.lanes = [lane for lane in offer.lanes if lane not in done]
        return dealing.order(picks, given)

    def _list_lanes(self, queue: str, hand: Hand) -> list[Lane]:
        found = lanes.list_lanes(self._conn, queue=queue, after=hand.after, lanes_max=LANES_MAX)
        if not found and hand.after is not None:
            hand.after = None
            return self._list_lanes(queue, hand)
        hand.after = found[-1] if len(found) == LANES_MAX else None
        return found

    def _list_holds(self, found: Sequence[Lane]) -> dict[str, int]:
        """Only what has a limit key can be held: other queues pay nothing for it."""
        keyed = list({lane.lane for lane in found if ":" in lane.lane})
        return lanes.list_holds(self._conn, keyed) if keyed else {}

    def _fill_buckets(self, found: Sequence[Lane], rated: Mapping[str, Limit]) -> dict[str, float]:
        rates_per_s = {
            lane.lane: rated[lane.kind].rate_per_s or 0.0 for lane in found if lane.kind in rated
        }
        return lanes.fill_buckets(self._conn, rates_per_s) if rates_per_s else {}

    def _push_all(self, dealt: Mapping[str, list[Dispatched]], epoch: UUID) -> None:
        """Push queue by queue; what could not be pushed goes back."""
        left = {queue: [job.ticket for job in dealt[queue]] for queue in dealt}
        try:
            for queue in dealt:
                self._runway.push(queue, left[queue], epoch=epoch)
                del left[queue]
                for job in dealt[queue]:
                    metrics.observe(metrics.DISPATCH_LAG, job.lag_s, queue, job.kind)
        except (RunwayDown, EpochLost) as error:
            self._recall([ticket for tickets in left.values() for ticket in tickets])
            self._compared_at = None
            if isinstance(error, RunwayDown):
                raise

    def _recall(self, tickets: list[Ticket]) -> None:
        """Those that were pushed all the same are claimed by nobody: their seq will be old."""
        with self._conn.transaction():
            jobs.recall_jobs(self._conn, tickets)

    def _begin_epoch(self, lost: UUID) -> UUID:
        """Redis lost its memory: everything on the runway goes back and is sent again."""
        with self._transaction():
            if jobs.renew_epoch(self._conn, lost=lost):
                metrics.count(metrics.EPOCH_CHANGES)
            epoch = jobs.read_epoch(self._conn)
        self._runway.begin_epoch(epoch, list(QUEUES))
        with self._transaction():
            recalled = jobs.recall_old_epochs(self._conn, epoch=epoch)
        log.info("a new Redis epoch begins; %d jobs taken back from the old one", recalled)
        return epoch

    def _rescue_now_and_then(self) -> None:
        if not is_due(self._rescued_at, RESCUE_EVERY_S):
            return
        self._rescued_at = time.monotonic()
        with self._transaction():
            rescued = jobs.rescue_running(self._conn, rows_max=ROWS_MAX, crowded=LOOP_QUEUES)
            jobs.forget_dead_processes(self._conn)
            stale = jobs.list_stale_dispatches(self._conn, age_s=STALE_AFTER_S, rows_max=ROWS_MAX)
        if len(rescued) == ROWS_MAX:
            self._rescued_at = None
        for job_id, kind, state, attempt in rescued:
            about = {"job_id": job_id, "kind": kind, "attempt": attempt}
            log.warning("job %d: its worker died; %s", job_id, state, extra=about)
            metrics.count(metrics.RESCUES, kind)
            metrics.count(metrics.ATTEMPTS, kind, "lost")
            if state == "discarded":
                metrics.count(metrics.DISCARDS, kind)
        if stale:
            self._recall_stale(stale)

    def _flush_now_and_then(self) -> None:
        if is_due(self._flushed_at, metrics.FLUSH_EVERY_S):
            self._flushed_at = time.monotonic()
            metrics.try_flush(self._conn)

    def _recall_stale(self, stale: list[tuple[Ticket, str]]) -> None:
        """What is still on the runway only waits its turn."""
        waiting = {queue: self._runway.list_tickets(queue) for _, queue in stale}
        lost = [ticket for ticket, queue in stale if ticket not in waiting[queue]]
        if lost:
            self._recall(lost)
            log.warning("%d dispatched jobs were on no runway; sent again", len(lost))

    def _idle(self, longest_s: float) -> None:
        """Say that we sleep, look once more, sleep until woken or something is due."""
        self._tell_idle(True)
        self._promoted_at = None
        try:
            turn = self.turn()
        except RunwayDown as error:
            log.warning("Redis is away, work waits in Postgres: %s", error)
            time.sleep(RETRY_S)
            return
        if turn.moved:
            self._tell_idle(False)
            return
        with self._conn.transaction():
            due_s = jobs.next_due_s(self._conn)
        self._wait(longest_s if due_s is None else max(0.0, min(longest_s, due_s)))

    def _tell_idle(self, idle: bool) -> None:
        """While it stands, those who insert jobs call us; said once, not at every look."""
        if idle != self._is_idle:
            with self._transaction():
                jobs.set_idle(self._conn, idle=idle)
            self._is_idle = idle

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One that others need not wait for when this process freezes in the middle of it."""
        with self._conn.transaction():
            jobs.limit_idling(self._conn)
            yield


def is_due(last_at: float | None, every_s: float) -> bool:
    return last_at is None or time.monotonic() - last_at >= every_s
