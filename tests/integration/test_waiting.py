"""The answer to "why is it waiting?" is true: the real dispatcher does not deal the job, and does
once the obstacle that was named is gone.
"""

import socket
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest

from db import job_page, jobs, lanes, processes, waits
from db.pool import Connection, connect
from tests.queueing import claim_one, start_worker, state
from workers.dashboard.waiting import Answer, explain
from workers.dashboard.waiting_facts import peek, read_facts
from workers.dispatcher import Dispatcher
from workers.runway import Runway
from workers.runway_errors import RunwayDown

Undo = Callable[[Connection], object]


class Bench:
    """A dispatcher that takes turns by hand, and what the page says of a job."""

    def __init__(self, conn: Connection, dealer: Dispatcher, redis_url: str) -> None:
        self.conn = conn
        self.dealer = dealer
        self.redis_url = redis_url

    def explain(self, job_id: int) -> list[Answer]:
        row = job_page.read_job(self.conn, job_id)
        assert row is not None
        return explain(read_facts(self.conn, row, redis=peek(self.redis_url)))

    def first(self, job_id: int) -> str:
        return self.explain(job_id)[0].key

    def turn(self, job_id: int) -> str:
        """The job's state after a turn that knows today's rules."""
        self.dealer._ruled_at = None
        self.dealer._promoted_at = None
        self.dealer.turn()
        return state(self.conn, job_id)

    def holds_until(self, job_id: int, key: str, undo: Undo) -> None:
        """Fails unless the obstacle is named first, holds, and is the only one."""
        assert self.first(job_id) == key
        before = self.turn(job_id)
        assert before in ("available", "scheduled", "retryable"), before
        assert self.first(job_id) == key

        undo(self.conn)

        assert self.turn(job_id) == "dispatched"


@pytest.fixture
def bench(conn: Connection, database_url: str, redis_url: str) -> Iterator[Bench]:
    runway = Runway(redis_url)
    with connect(database_url) as own:
        dealer = Dispatcher(own, runway, wait=lambda timeout_s: None)
        dealer.turn()
        processes.register(conn, id=uuid4(), role="dispatcher", host="here", pid=2, queues={})
        yield Bench(conn, dealer, redis_url)
    runway.close()


@pytest.fixture
def worker_id(conn: Connection, bench: Bench) -> UUID:
    return start_worker(conn)


def probe(conn: Connection, *, tenant: UUID | None = None, **more: object) -> int:
    return jobs.enqueue(conn, "probe", {}, tenant=tenant, **more)  # type: ignore[arg-type]


def finish(conn: Connection, job_id: int) -> None:
    conn.execute(
        "UPDATE worker.jobs SET state = 'completed', finished_at = now() WHERE id = %s", (job_id,)
    )


def test_nothing_holds_a_job_that_the_next_turn_takes(bench: Bench, worker_id: UUID) -> None:
    job_id = probe(bench.conn)

    assert bench.first(job_id) == "next"
    assert bench.turn(job_id) == "dispatched"


def test_no_worker(bench: Bench, conn: Connection) -> None:
    bench.holds_until(probe(conn), "no_worker", start_worker)


@pytest.mark.parametrize("scope", ["queue", "kind", "tenant"])
def test_paused(bench: Bench, worker_id: UUID, scope: str) -> None:
    tenant = uuid4()
    name = {"queue": "default", "kind": "probe", "tenant": str(tenant)}[scope]
    job_id = probe(bench.conn, tenant=tenant)
    lanes.pause(bench.conn, scope=scope, name=name, reason="why not", paused_by="ada")

    bench.holds_until(
        job_id, f"paused_{scope}", lambda conn: lanes.resume(conn, scope=scope, name=name)
    )


def test_capped(bench: Bench, worker_id: UUID) -> None:
    bench.conn.execute("UPDATE worker.kinds SET cap = 1 WHERE kind = 'probe'")
    probe(bench.conn)
    running = claim_one(bench.conn, worker_id).id
    job_id = probe(bench.conn)

    bench.holds_until(job_id, "capped", lambda conn: finish(conn, running))


def test_rate(bench: Bench, worker_id: UUID) -> None:
    bench.conn.execute("UPDATE worker.kinds SET rate_per_s = 0.01 WHERE kind = 'probe'")
    bench.turn(probe(bench.conn))
    job_id = probe(bench.conn)

    bench.holds_until(
        job_id,
        "rate",
        lambda conn: conn.execute("UPDATE worker.buckets SET tokens = 1, filled_at = now()"),
    )


def test_held(bench: Bench, worker_id: UUID) -> None:
    bench.conn.execute("UPDATE worker.kinds SET limit_by = 'effect' WHERE kind = 'probe'")
    job_id = jobs.enqueue(bench.conn, "probe", {"effect": "slow"})
    bench.conn.execute(
        "INSERT INTO worker.lane_holds (lane, until_at, reason)"
        " VALUES ('probe:slow', now() + interval '1 h', 'answered 429')"
    )

    assert "answered 429" in bench.explain(job_id)[0].detail
    bench.holds_until(job_id, "held", lambda conn: conn.execute("DELETE FROM worker.lane_holds"))


def test_scheduled_and_backoff(bench: Bench, worker_id: UUID) -> None:
    for name, key in (("scheduled", "scheduled"), ("retryable", "backoff")):
        job_id = probe(bench.conn)
        bench.conn.execute(
            "UPDATE worker.jobs SET state = %s, run_at = now() + interval '1 h' WHERE id = %s",
            (name, job_id),
        )

        bench.holds_until(
            job_id, key, lambda conn: conn.execute("UPDATE worker.jobs SET run_at = now()")
        )


def test_blocked(bench: Bench, worker_id: UUID) -> None:
    probe(bench.conn)
    first = claim_one(bench.conn, worker_id).id
    job_id = waits.enqueue_after(bench.conn, "probe", {}, after=[first])

    assert bench.explain(job_id)[0].links == ((str(first), f"/jobs/{first}"),)
    bench.holds_until(job_id, "blocked", lambda conn: finish(conn, first))


def test_full_and_behind_better_ones(bench: Bench, worker_id: UUID) -> None:
    for _ in range(30):
        probe(bench.conn, priority=-1)
    job_id = probe(bench.conn)

    assert bench.first(job_id) == "priority"
    assert bench.turn(job_id) == "available"
    assert [answer.key for answer in bench.explain(job_id)] == ["full", "priority"]
    bench.conn.execute("UPDATE worker.jobs SET state = 'completed', finished_at = now()"
                       " WHERE id <> %s", (job_id,))  # fmt: skip
    assert bench.turn(job_id) == "dispatched"


def test_better_ones_that_are_paused_are_ahead_of_nobody(bench: Bench, worker_id: UUID) -> None:
    tenant = uuid4()
    for _ in range(30):
        probe(bench.conn, priority=-1, tenant=tenant)
    lanes.pause(bench.conn, scope="tenant", name=str(tenant))
    job_id = probe(bench.conn)

    assert bench.first(job_id) == "next"
    assert bench.turn(job_id) == "dispatched"


def test_a_tenant_with_its_share_of_a_queue_of_long_jobs(bench: Bench) -> None:
    worker_id = start_worker(bench.conn, "sentiment")
    tenant = uuid4()
    bench.conn.execute("UPDATE worker.kinds SET queue = 'sentiment' WHERE kind = 'probe'")
    running = [probe(bench.conn, tenant=tenant) for _ in range(7)]
    for _ in running:
        bench.turn(running[-1])
    job_id = probe(bench.conn, tenant=tenant)

    bench.holds_until(job_id, "tenant_full", lambda conn: finish(conn, running[0]))
    assert worker_id is not None


def test_redis_away(bench: Bench, worker_id: UUID, database_url: str) -> None:
    job_id = probe(bench.conn)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        bench.redis_url = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"

        with connect(database_url) as own, pytest.raises(RunwayDown):
            Dispatcher(own, Runway(bench.redis_url), wait=lambda timeout_s: None).turn()

        assert bench.first(job_id) == "redis"
        assert state(bench.conn, job_id) == "available"


def test_no_dispatcher(bench: Bench, worker_id: UUID) -> None:
    bench.conn.execute("DELETE FROM worker.processes WHERE role = 'dispatcher'")

    assert bench.first(probe(bench.conn)) == "no_dispatcher"


def test_dispatched_and_not_yet_claimed(bench: Bench, worker_id: UUID) -> None:
    job_id = probe(bench.conn)
    bench.turn(job_id)

    assert bench.first(job_id) == "unclaimed"
