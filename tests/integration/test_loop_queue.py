"""A queue whose jobs all run at once: the whole way on real servers, with one thread to take them.

Jobs of the probe kind stand for deliveries; each waits for what its test lets go.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID, uuid4

import dramatiq
import pytest

from db import jobs, lanes
from db.jobs import Claimed
from db.pool import Connection, connect, open_pool
from pipelines.gateways.http_loop import background_loop
from tests.processes import wait_until
from tests.queueing import start_worker
from workers import dispatcher, loop, witness
from workers.attempts import Attempts
from workers.broker import RunwayBroker, on_loop
from workers.dispatcher import Dispatcher
from workers.ledger import Ledger
from workers.load import LoopLoad
from workers.runway import Runway
from workers.tending import Tending

SLOTS = 300


@dataclass
class Held:
    """Jobs whose effect begins with "slow" wait until they are let go."""

    begun: list[int] = field(default_factory=list)
    most: int = 0
    inside: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, job: Claimed) -> None:
        self.begun.append(job.id)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            if str(job.args.get("effect")).startswith("slow"):
                await self.open.wait()
        finally:
            self.inside -= 1

    def let_go(self) -> None:
        background_loop().call_soon_threadsafe(self.open.set)


@dataclass
class Stand:
    """One worker process' queue and a dispatcher, each in threads of this process."""

    conn: Connection
    held: Held
    broker: RunwayBroker
    tending: Tending

    def enqueue(self, count: int, effect: str, *, tenant: UUID | None = None) -> list[int]:
        return jobs.enqueue_many(self.conn, "probe", [{"effect": effect}] * count, tenant=tenant)

    def states(self) -> Counter[str]:
        found = jobs.list_jobs(self.conn, rows_max=10_000)
        return Counter(job.state for job in found)

    def count(self, state: str, wanted: int) -> Callable[[], bool]:
        return lambda: self.states()[state] >= wanted


def rest(stopped: threading.Event, timeout_s: float) -> None:
    stopped.wait(min(timeout_s, 0.05))


@pytest.fixture
def stand(
    conn: Connection, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stand]:
    monkeypatch.setattr(dispatcher, "LOOP_QUEUES", frozenset({"default"}))
    monkeypatch.setattr(dispatcher, "LONG_QUEUES", frozenset({"default"}))
    conn.execute("UPDATE worker.kinds SET cap = 16, limit_by = 'effect' WHERE kind = 'probe'")
    worker_id = start_worker(conn)
    conn.execute(
        "UPDATE worker.processes SET queues = jsonb_build_object('default',"
        " jsonb_build_object('threads', %s::int)), expires_at = now() + interval '1 hour'",
        [SLOTS],
    )
    held, seen, load = Held(), witness.create(SLOTS), LoopLoad(SLOTS, loop.lag_s)
    with ExitStack() as parts:
        claims = parts.enter_context(open_pool(database_url, size_max=1, autocommit=True))
        errands = parts.enter_context(open_pool(database_url, size_max=1))
        runway = parts.enter_context(closing(Runway(redis_url)))
        ledger = Ledger(partial(connect, database_url, autocommit=True))
        ledger.start()
        parts.callback(ledger.close, 10)
        broker = RunwayBroker(
            "default",
            tickets="default",
            runway=runway,
            pool=claims,
            ledger=ledger,
            worker_id=worker_id,
            may_fetch=lambda: True,
            is_draining=lambda: False,
            handling=on_loop(held.run, Attempts(ledger, load, seen)),
            load=load,
        )
        worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=100)
        worker.start()
        parts.callback(worker.stop)
        tending = Tending(errands, worker_id=worker_id)
        tending.workers["default"] = worker
        tending.start()
        parts.callback(tending.end)
        stopped = threading.Event()
        own = parts.enter_context(connect(database_url))
        dealing = Dispatcher(own, Runway(redis_url), wait=partial(rest, stopped))
        dealer = threading.Thread(target=dealing.run, args=(stopped,))
        dealer.start()
        parts.callback(dealer.join)
        parts.callback(stopped.set)
        parts.callback(held.let_go)
        yield Stand(conn, held, broker, tending)
    seen.close()


def test_a_fresh_job_waits_for_none_of_those_that_wait_for_others(stand: Stand) -> None:
    slow = [job_id for n in range(20) for job_id in stand.enqueue(8, f"slow {n}", tenant=uuid4())]
    wait_until(stand.count("running", 120), "many wait at once")

    (fresh,) = stand.enqueue(1, "quick", tenant=uuid4())

    wait_until(stand.count("completed", 1), "the fresh one is done")
    assert fresh in stand.held.begun
    stand.held.let_go()
    wait_until(stand.count("completed", len(slow) + 1), "all are done")


def test_slow_lanes_of_a_tenant_leave_slots_for_its_quick_ones(stand: Stand) -> None:
    """It may have 240 slots. What is not known to be quick stops at three quarters of them."""
    tenant = uuid4()
    first = stand.enqueue(1, "quick", tenant=tenant)
    wait_until(stand.count("completed", 1), "one lane is known to be quick")
    for n in range(200):
        stand.enqueue(5, f"slow {n}", tenant=tenant)
    wait_until(stand.count("running", 170), "the slow ones have what they may have")

    fresh = stand.enqueue(10, "quick", tenant=tenant)

    wait_until(stand.count("completed", len(first + fresh)), "the quick ones are done")
    assert stand.held.most <= 180 + len(fresh)


def test_each_lane_keeps_to_its_cap_and_short_jobs_flow(stand: Stand) -> None:
    stand.enqueue(500, "quick")
    stand.enqueue(40, "slow")

    wait_until(stand.count("completed", 500), "the short ones are done")
    wait_until(stand.count("running", 16), "the others have what their lane may have")

    assert stand.states() == {"completed": 500, "running": 16, "available": 24}


def test_a_running_job_that_is_cancelled_ends_although_it_waits(stand: Stand) -> None:
    doomed, other = stand.enqueue(2, "slow")
    wait_until(stand.count("running", 2), "both wait")

    asked = jobs.cancel_jobs(stand.conn, [doomed], reason="not wanted")

    wait_until(stand.count("cancelled", 1), "it stops")
    assert asked == {doomed: "running"}
    assert {job.id for job in jobs.list_jobs(stand.conn, state="running")} == {other}


def test_a_hold_that_ends_lets_its_lane_go_on(stand: Stand) -> None:
    stand.conn.execute(
        "INSERT INTO worker.lane_holds (lane, until_at)"
        " VALUES ('probe:dead', clock_timestamp() + interval '1 second')"
    )
    dead = stand.enqueue(20, "dead")
    (live,) = stand.enqueue(1, "live")

    wait_until(stand.count("completed", 1), "the other lane is served")
    first = list(stand.held.begun)
    wait_until(stand.count("completed", 21), "the held one goes on")

    assert (first, set(stand.held.begun)) == ([live], {*dead, live})
    assert lanes.list_holds(stand.conn, ["probe:dead"]) == {}
