"""The life of jobs as a state machine: whatever anybody may do, in any order, on real servers.

Time passes only where a rule says so: every wait is none at all or a day.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeVar
from uuid import UUID, uuid4

import psycopg
import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from db import jobs, lanes, processes, waits
from db.fence import Cancelled, LeaseLost
from db.jobs import Claimed, Finish, Ticket
from db.pool import Connection
from pipelines.errors import Permanent, Snooze, Transient
from tests.job_book import CLEAR, FINISHED, WAITING, Book, read_rows
from workers.dispatcher import Dispatcher
from workers.outcome import RetryPlan, decide, hand_back
from workers.runway import Runway

DAY_S = 86_400.0
ROUNDS_MAX = 80
RECENT = 8
ROWS_MAX = 1000
TENANTS = (UUID(int=1), UUID(int=2), None)
QUEUES = ("default", "knowledge")
KINDS = ("brief", "again", "capped")
SCOPES = (
    *(("queue", name) for name in QUEUES),
    *(("kind", name) for name in KINDS),
    *(("tenant", str(tenant)) for tenant in TENANTS if tenant is not None),
)
ENDINGS: dict[str, BaseException | None] = {
    "completed": None,
    "retryable": Transient("busy"),
    "later": Transient("busy", retry_after_s=DAY_S),
    "discarded": Permanent("gone"),
    "cancelled": Cancelled("asked"),
    "snoozed": Snooze(0.0),
    "snoozed long": Snooze(DAY_S),
    "disconnected": psycopg.OperationalError("gone"),
    "handed back": None,
    "lost": LeaseLost("lost"),
}
T = TypeVar("T")
SEEN = ("nothing", "all", "overdue", "unseen", "gone")
PLAN = RetryPlan(2, first_s=0.0, jitter=0.0)

# Few choices, so that rules meet each other: the n-th newest.
newest = st.integers(0, 5)
newest_few = st.lists(newest, min_size=1, max_size=3)


@dataclass(frozen=True, slots=True)
class Servers:
    """What a machine runs on."""

    conn: Connection
    runway: Runway
    redis: "redis.Redis"


class JobLife(RuleBasedStateMachine):
    """Dispatcher, workers, operators and the web tier, one step at a time."""

    servers: ClassVar[Servers]

    def __init__(self) -> None:
        super().__init__()
        self.conn, self.runway = self.servers.conn, self.servers.runway
        self.redis = self.servers.redis
        self.conn.execute(CLEAR)
        self.redis.flushall()
        self.dispatcher = Dispatcher(self.conn, self.runway, wait=lambda timeout_s: None)
        self.book = Book()
        self.ids: list[int] = []
        self.workers: list[UUID] = []
        self.is_broken = True

    @initialize()
    def begin(self) -> None:
        self.workers = [self.start_worker(), self.start_worker()]
        for kind in KINDS:
            self.enqueue(kind, "a", TENANTS[0], is_later=False, replaces=False)
        self.run_some(0)

    @invariant()
    def nothing_is_broken(self) -> None:
        self.is_broken = True
        rows = read_rows(self.conn)
        assert rows.keys() == set(self.ids)
        self.book.check(rows)
        self.is_broken = False

    # The web tier.

    @rule(
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
        name=st.sampled_from("ab"),
        tenant=st.sampled_from(TENANTS),
        is_later=st.booleans(),
        replaces=st.booleans(),
    )
    def enqueue_some(
        self,
        kinds: list[str],
        name: str,
        tenant: UUID | None,
        *,
        is_later: bool,
        replaces: bool,
    ) -> None:
        for kind in kinds:
            self.enqueue(kind, name, tenant, is_later=is_later, replaces=replaces)
            self.nothing_is_broken()

    def enqueue(
        self, kind: str, name: str, tenant: UUID | None, *, is_later: bool, replaces: bool
    ) -> None:
        key = {"brief": f"key {name}", "again": name, "capped": None}[kind]
        twin = self.book.twin(kind, key)
        job_id = jobs.enqueue(
            self.conn,
            kind,
            {} if kind == "brief" else {"name": name},
            tenant=tenant,
            unique_key=key,
            run_at=datetime.now(UTC) + timedelta(seconds=DAY_S) if is_later else None,
            on_conflict="replace" if replaces else "keep",
        )
        if twin is None:
            assert job_id not in self.ids
            self.ids.append(job_id)
        else:
            assert job_id == twin.id
            if kind == "again" and twin.state == "running":
                self.book.again.add(job_id)

    @rule(members=newest_few, even_if_failed=st.booleans())
    def enqueue_after(self, members: list[int], *, even_if_failed: bool) -> None:
        after = self.pick_ids(members)
        job_id = waits.enqueue_after(
            self.conn, "brief", {}, after=after, even_if_failed=even_if_failed
        )
        self.ids.append(job_id)
        self.book.waits[job_id] = tuple(after)
        if even_if_failed:
            self.book.optimists.add(job_id)

    # The dispatcher.

    @rule()
    def turn(self) -> None:
        self.dispatcher.turn()

    @rule()
    def dispatch_some(self) -> None:
        """A turn, at a time when all is due."""
        for step in (self.pass_a_day, self.turn):
            step()
            self.nothing_is_broken()

    @rule()
    def rescue(self) -> None:
        with self.conn.transaction():
            rescued = jobs.rescue_running(self.conn, rows_max=ROWS_MAX)
            jobs.forget_dead_processes(self.conn)
        lost = {id for id, (_, worker_id) in self.book.held.items() if worker_id in self.book.dead}
        assert {row[0] for row in rescued} == lost
        for job_id, _, state, attempt in rescued:
            if self.book.rows[job_id].asked and job_id not in self.book.again:
                assert state == "cancelled", f"job {job_id} was asked to stop"
            if state == "available" and self.book.rows[job_id].asked:
                self.book.again.discard(job_id)
            self.book.note_rescue(job_id, attempt, state)

    @rule()
    def recall_lost(self) -> None:
        """As a dispatcher that finds dispatched jobs on no runway, and waits no time for it."""
        stale = jobs.list_stale_dispatches(self.conn, age_s=0.0, rows_max=ROWS_MAX)
        lost = [t for t, queue in stale if t not in self.runway.list_tickets(queue)]
        assert jobs.recall_jobs(self.conn, lost) == len(lost)

    @rule()
    def recall_late(self) -> None:
        """By a dispatcher that stood still: those jobs are elsewhere by now."""
        late = [t for t in self.book.tickets[-RECENT:] if not self.book.is_valid(t)]
        assert jobs.recall_jobs(self.conn, late) == 0

    # Redis.

    @rule()
    def lose_redis(self) -> None:
        self.redis.flushall()

    @rule(queue=st.sampled_from(QUEUES))
    def lose_tickets(self, queue: str) -> None:
        self.pop(queue)

    # Workers.

    @rule(worker=st.integers(0, 1), queue=st.sampled_from(QUEUES))
    def claim(self, worker: int, queue: str) -> None:
        self.claim_tickets(self.workers[worker], self.pop(queue))

    @rule(worker=st.integers(0, 1))
    def run_some(self, worker: int) -> None:
        """The usual way of all that can run, and late-comers who find it gone."""
        self.dispatch_some()
        self.recall_late()
        self.claim_late(worker)
        for queue in QUEUES:
            self.claim(worker, queue)
            self.nothing_is_broken()
        self.finish_late("completed")
        self.write()

    @rule(worker=st.integers(0, 1))
    def claim_again(self, worker: int) -> None:
        """As if Redis had kept the newest tickets, the used and the lost ones."""
        self.claim_tickets(self.workers[worker], self.book.tickets[-RECENT:])

    def claim_late(self, worker: int) -> None:
        late = [t for t in self.book.tickets[-RECENT:] if not self.book.is_valid(t)]
        self.claim_tickets(self.workers[worker], late)

    @precondition(lambda self: self.book.claims)
    @rule(
        ends=st.lists(st.tuples(newest, st.sampled_from(sorted(ENDINGS))), max_size=3, min_size=1)
    )
    def finish(self, ends: list[tuple[int, str]]) -> None:
        chosen = [(pick(self.book.claims, number), ending) for number, ending in ends]
        self.finish_claims({(job.id, job.attempt): (job, how) for job, how in chosen}.values())

    @rule(ending=st.sampled_from(sorted(ENDINGS)))
    def finish_late(self, ending: str) -> None:
        """By workers that do not know that they lost their jobs, or ended them before."""
        late = [job for job in self.book.claims if not self.book.holds(job.id, job.attempt)]
        self.finish_claims((job, ending) for job in late[-RECENT:])

    @rule()
    def write(self) -> None:
        """Only the holder of the running attempt may begin a writing transaction."""
        for job in self.book.claims[-RECENT:]:
            may_write = jobs.hold(self.conn, job_id=job.id, attempt=job.attempt)
            assert may_write == self.book.holds(job.id, job.attempt)

    @rule(worker=st.integers(0, 1), seen=st.sampled_from(SEEN))
    def kill(self, worker: int, seen: str) -> None:
        """`seen` is what its parent saw it run, if there was a parent."""
        dead = self.workers[worker]
        self.workers[worker] = self.start_worker()
        self.book.dead.add(dead)
        ran = [id for id, (_, worker_id) in self.book.held.items() if worker_id == dead]
        match seen:
            case "unseen":
                late = "UPDATE worker.processes SET expires_at = now() - interval '1 s' WHERE id=%s"
                self.conn.execute(late, (dead,))
            case "gone":
                processes.resign(self.conn, id=dead)
            case _:
                started = [] if seen == "nothing" else ran
                overdue = dict.fromkeys(ran[:1], 5) if seen == "overdue" else None
                processes.expire(self.conn, id=dead, started=started, overdue=overdue)

    @rule(worker=st.integers(0, 1), seen=st.sampled_from(SEEN))
    def lose_worker(self, worker: int, seen: str) -> None:
        self.kill(worker, seen)
        self.nothing_is_broken()
        self.rescue()

    # Operators.

    @rule(chosen=newest_few)
    def cancel(self, chosen: list[int]) -> None:
        ids = self.pick_ids(chosen)
        expected = {
            job_id: "cancelled" if self.book.rows[job_id].state in WAITING else "running"
            for job_id in ids
            if self.book.rows[job_id].state not in FINISHED
        }
        assert jobs.cancel_jobs(self.conn, ids, reason="not wanted") == expected
        self.book.again -= set(ids)
        self.book.cancelled |= {id for id, state in expected.items() if state == "cancelled"}

    @rule(chosen=newest_few)
    def retry(self, chosen: list[int]) -> None:
        ids = jobs.retry_jobs(self.conn, self.pick_ids(chosen))
        assert set(ids) <= set(self.pick_ids(chosen))
        for job_id in ids:
            row = self.book.rows[job_id]
            assert row.state in FINISHED | {"retryable", "scheduled"}, f"was {row}"
            assert not row.blocked or row.state == "cancelled", f"waited: {row}"
            self.book.waits.pop(job_id, None)
        self.book.cancelled -= set(ids)

    @rule(scopes=st.sets(st.sampled_from(SCOPES), min_size=1, max_size=3))
    def pause(self, scopes: set[tuple[str, str]]) -> None:
        for scope, name in sorted(scopes):
            with self.conn.transaction():
                lanes.pause(self.conn, scope=scope, name=name)
            self.book.paused.add((scope, name))

    @rule()
    def resume_all(self) -> None:
        for scope, name in sorted(self.book.paused):
            assert lanes.resume(self.conn, scope=scope, name=name)
        self.book.paused.clear()

    @rule()
    def pass_a_day(self) -> None:
        self.conn.execute(
            "UPDATE worker.jobs SET run_at = run_at - interval '25 h'"
            " WHERE state IN ('scheduled', 'retryable')"
        )

    def teardown(self) -> None:
        """Whatever happened, every job can be brought to an end."""
        if self.is_broken:
            return
        self.resume_all()
        self.finish_claims((claim, "completed") for claim in self.book.claims)
        for _ in range(ROUNDS_MAX):
            self.nothing_is_broken()
            if all(row.state in FINISHED for row in self.book.rows.values()):
                return
            self.run_to_end()
        raise AssertionError(f"unfinished after {ROUNDS_MAX} rounds: {self.book.rows}")

    def run_to_end(self) -> None:
        for step in (self.rescue, self.recall_lost):
            step()
            self.nothing_is_broken()
        self.run_some(0)
        self.finish_claims((claim, "completed") for claim in self.book.claims)

    # Steps that rules share.

    def start_worker(self) -> UUID:
        worker_id = uuid4()
        queues = {queue: {"threads": 8} for queue in QUEUES}
        processes.register(
            self.conn, id=worker_id, role="worker", host="here", pid=1, queues=queues
        )
        return worker_id

    def pick_ids(self, numbers: Iterable[int]) -> list[int]:
        return sorted({pick(self.ids, number) for number in numbers})

    def pop(self, queue: str) -> list[Ticket]:
        """All that lies on the queue's runway."""
        taken = [
            ticket for name in (queue, f"{queue}:alone") for ticket in self.runway.pop(name, 100)
        ]
        self.book.tickets += taken
        return taken

    def claim_tickets(self, worker_id: UUID, tickets: Sequence[Ticket]) -> None:
        expected = sorted({t.job_id for t in tickets if self.book.is_valid(t)})
        claimed = jobs.claim_jobs(self.conn, tickets, worker_id=worker_id)
        assert sorted(job.id for job in claimed) == expected
        for job in claimed:
            self.book.note_claim(job, worker_id)

    def finish_claims(self, ends: Iterable[tuple[Claimed, str]]) -> None:
        finishes = [finish for claim, ending in ends if (finish := end(claim, ending)) is not None]
        expected = {f.job_id for f in finishes if self.book.holds(f.job_id, f.attempt)}
        stored = jobs.finish_jobs(self.conn, finishes)
        assert stored.keys() == expected
        for finish in finishes:
            if finish.job_id in stored and self.book.holds(finish.job_id, finish.attempt):
                self.check_outcome(finish, stored[finish.job_id])
                self.book.note_finish(finish.job_id, finish.attempt, stored[finish.job_id])

    def check_outcome(self, finish: Finish, state: str) -> None:
        """What was asked for while it ran decides where it goes."""
        asked = self.book.rows[finish.job_id].asked
        if finish.job_id in self.book.again and (asked or not finish.spared):
            assert state == "available"
        elif asked and finish.state not in ("completed", "discarded"):
            assert state == "cancelled"
        elif finish.job_id not in self.book.again:
            assert state == finish.state


def pick(items: Sequence[T], number: int) -> T:
    return items[-1 - number % len(items)]


def end(claim: Claimed, ending: str) -> Finish | None:
    if ending == "handed back":
        return hand_back(claim)
    return decide(claim, ENDINGS[ending], plan=PLAN, luck=0.0)
