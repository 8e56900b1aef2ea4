"""Ended at every named gap of the engine, every job is done exactly once in effect.

The gaps are cut by tests/crashing, around the functions of the product; no code of the product
knows of them.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psutil
import pytest
import redis
from _pytest.mark.structures import ParameterSet

from db import jobs, processes
from db.embedded import Services
from db.jobs import Job
from db.pool import Connection, connect
from tests.chaos.fleet import Fleet, fleet
from tests.chaos.gaps import Gaps
from tests.conftest import fresh_database
from tests.kills import rarely
from tests.processes import wait_until
from workers import chains
from workers.jobs import Probe

POSTS = {
    "worker": ("worker", "--queue", "default:4", "--processes", "2"),
    "dispatcher": ("dispatcher",),
}
ATTEMPTS = 10
KILL, TERM = signal.SIGKILL, signal.SIGTERM

# In the order of a job's life. What ends is the process that reaches the gap.
DISPATCHER_GAPS = (
    "promoted",
    "settled",
    "marked",
    "mark committed",
    "pushed",
    "recalled",
)
WORKER_GAPS = (
    "popped",
    "claimed",
    "held",
    "working",
    "effect written",
    "effect committed",
    "finish due",
    "finished",
    "finish told",
)


def often(*gaps: str) -> list[str | ParameterSet]:
    """Those in every run of the suite, all others in `make kills`."""
    others = (gap for gap in DISPATCHER_GAPS + WORKER_GAPS if gap not in gaps)
    return [*gaps, *rarely(*others)]


@dataclass
class Stack:
    """One worker command with two processes and one dispatcher, kept alive by the fleet."""

    conn: Connection
    fleet: Fleet
    gaps: Gaps
    effect: str = field(default_factory=lambda: uuid4().hex)

    def enqueue(self, *, sleep_ms: int = 50) -> list[int]:
        """Jobs that are due, one that is due soon, and a batch with its callback."""
        self.effect = uuid4().hex
        work = Probe(sleep_ms=sleep_ms, effect=self.effect)
        soon = datetime.now(UTC) + timedelta(milliseconds=300)
        with self.conn.transaction():
            ids = [jobs.enqueue(self.conn, "probe", as_args(work)) for _ in range(8)]
            ids.append(jobs.enqueue(self.conn, "probe", as_args(work), run_at=soon))
            batch = chains.enqueue_batch(self.conn, [work, work], then=work)
        return [*ids, *batch.job_ids, batch.callback_id]

    def wait_for(self, ids: list[int]) -> list[Job]:
        """The jobs, when all have ended and the cut was made."""
        wait_until(self.gaps.are_cut, "a process reaches the gap")
        return wait_until(lambda: self.ended(ids), "all jobs end")

    def ended(self, ids: list[int]) -> list[Job] | None:
        found = [jobs.get_job(self.conn, job_id) for job_id in ids]
        states = {job.state for job in found if job is not None}
        all_ended = states <= {"completed", "discarded", "cancelled"}
        return [job for job in found if job is not None] if all_ended else None

    def effects(self) -> list[int]:
        rows = self.conn.execute(
            "SELECT job_id FROM worker.probe_effects WHERE effect = %s ORDER BY 1", (self.effect,)
        )
        return [row[0] for row in rows.fetchall()]

    def wait_for_workers(self) -> None:
        wait_until(lambda: processes.list_capacity(self.conn), "a worker is there")


def as_args(work: Probe) -> dict[str, object]:
    return {"sleep_ms": work.sleep_ms, "effect": work.effect}


@pytest.fixture(scope="module")
def stack(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    assert services.redis_url is not None
    folder = tmp_path_factory.mktemp("crashes")
    gaps = Gaps(folder / "gaps")
    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
    with fresh_database(services, template=template) as url:
        env = {
            "DATABASE_URL": url,
            "REDIS_URL": services.redis_url,
            "AVIVRO_HOME": str(folder / "home"),
            **gaps.env,
        }
        with fleet(folder, env, POSTS) as running, connect(url, autocommit=True) as conn:
            yield Stack(conn, running, gaps)


def check(stack: Stack, ids: list[int], done: list[Job]) -> None:
    assert {job.state for job in done} == {"completed"}
    assert stack.effects() == sorted(ids)
    assert all(job.attempt <= job.max_attempts for job in done)


def burnt(done: list[Job]) -> set[int]:
    """Attempts that counted; those that were spared have raised max_attempts."""
    return {ATTEMPTS - (job.max_attempts - job.attempt) for job in done}


@pytest.mark.parametrize("gap", often("mark committed", "pushed", "claimed", "effect committed"))
def test_killed_in_the_gap_every_job_is_done_once(stack: Stack, gap: str) -> None:
    stack.wait_for_workers()
    stack.gaps.cut(gap, KILL)

    ids = stack.enqueue()
    done = stack.wait_for(ids)

    check(stack, ids, done)
    assert burnt(done) == {1}


@pytest.mark.parametrize("gap", often("marked", "popped", "working", "finish due"))
def test_asked_to_end_in_the_gap_no_attempt_is_burnt(stack: Stack, gap: str) -> None:
    stack.wait_for_workers()
    stack.gaps.cut(gap, TERM)

    ids = stack.enqueue()
    done = stack.wait_for(ids)

    check(stack, ids, done)
    assert burnt(done) == {1}
    assert [job.errors for job in done if job.errors] == []


@pytest.mark.parametrize("gap", ["rescued", *rarely("child buried")])
def test_whoever_rescues_may_be_killed_too(stack: Stack, gap: str) -> None:
    stack.wait_for_workers()
    ids = stack.enqueue(sleep_ms=1000)
    wait_until(lambda: jobs.list_jobs(stack.conn, state="running"), "jobs run")
    stack.gaps.cut(gap, KILL)

    for child in stack.fleet.children():
        child.kill()
    done = stack.wait_for(ids)

    check(stack, ids, done)
    assert burnt(done) == {1}


@pytest.mark.parametrize("gap", ["renewed", *rarely("before renewal")])
def test_killed_while_it_renews_its_lease(stack: Stack, gap: str) -> None:
    stack.wait_for_workers()
    stack.gaps.cut(gap, KILL)

    ids = stack.enqueue(sleep_ms=1500)
    done = stack.wait_for(ids)

    check(stack, ids, done)
    assert burnt(done) == {1}


@pytest.mark.parametrize("gap", ["fetching stopped", *rarely("drain begins", "drained")])
def test_killed_while_it_drains(stack: Stack, gap: str) -> None:
    stack.wait_for_workers()
    ids = stack.enqueue(sleep_ms=500)
    wait_until(lambda: jobs.list_jobs(stack.conn, state="running"), "jobs run")
    stack.gaps.cut(gap, KILL)

    stack.fleet.running["worker"].terminate()
    done = stack.wait_for(ids)

    check(stack, ids, done)
    assert burnt(done) == {1}


def test_children_end_when_their_parent_is_killed_at_work(stack: Stack) -> None:
    stack.wait_for_workers()
    ids = stack.enqueue(sleep_ms=500)
    wait_until(lambda: jobs.list_jobs(stack.conn, state="running"), "jobs run")
    family = stack.fleet.children()

    stack.gaps.cut("parent looks", KILL)
    done = stack.wait_for(ids)

    check(stack, ids, done)
    assert burnt(done) == {1}
    assert psutil.wait_procs(family, timeout=40)[1] == []
