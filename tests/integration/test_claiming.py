"""How a worker process takes jobs: lost answers, unknown kinds, threads that are stuck."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any
from uuid import UUID

import dramatiq
import psycopg
import pytest

from db import jobs
from db.jobs import Claimed, Ticket
from db.pool import Connection, connect, open_pool
from tests.processes import wait_until
from tests.queueing import dispatch, start_worker
from workers import broker as broker_module
from workers import witness
from workers.attempts import Attempts
from workers.broker import RunwayBroker, in_threads
from workers.ledger import Ledger
from workers.load import Load
from workers.runway import Runway
from workers.tending import give_back_waiting

THREADS = 2


@pytest.fixture
def runway(redis_url: str) -> Iterator[Runway]:
    with closing(Runway(redis_url)) as opened:
        yield opened


@pytest.fixture
def make_broker(
    conn: Connection, database_url: str, runway: Runway
) -> Iterator[Callable[..., RunwayBroker]]:
    seen = witness.create(THREADS)
    ledger = Ledger(partial(connect, database_url, autocommit=True))
    ledger.start()
    load = Load(THREADS)
    attempts = Attempts(ledger, load, seen)
    with open_pool(database_url, size_max=1, autocommit=True) as pool:
        yield lambda run=lambda job: None: RunwayBroker(
            "default",
            tickets="default",
            runway=runway,
            pool=pool,
            ledger=ledger,
            worker_id=start_worker(conn),
            may_fetch=lambda: True,
            is_draining=lambda: False,
            handling=in_threads(run, attempts),
            load=load,
        )
        ledger.close(timeout_s=10)
    seen.close()


def send(conn: Connection, runway: Runway, count: int) -> None:
    epoch = jobs.read_epoch(conn)
    runway.begin_epoch(epoch, ["default"])
    runway.push("default", dispatch(conn, room=count), epoch=epoch)


def test_a_claim_whose_answer_was_lost_is_not_lost(
    conn: Connection,
    runway: Runway,
    make_broker: Callable[..., RunwayBroker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = jobs.enqueue(conn, "probe", {})
    send(conn, runway, 1)
    claim, asked = jobs.claim_jobs, []

    def claim_and_lose(c: Connection, tickets: Sequence[Ticket], *, worker_id: UUID) -> Any:
        asked.append(claim(c, tickets, worker_id=worker_id))
        if len(asked) == 1:
            raise psycopg.OperationalError("the connection is gone")
        return asked[-1]

    monkeypatch.setattr(jobs, "claim_jobs", claim_and_lose)
    monkeypatch.setattr(broker_module, "RETRY_S", 0.01)

    message = next(make_broker().consume("default"))

    assert message is not None
    job: Claimed = message.args[0]
    assert (job.id, job.attempt, len(asked)) == (job_id, 1, 2)


def test_a_kind_of_a_newer_version_waits_for_a_newer_worker(
    conn: Connection, runway: Runway, make_broker: Callable[..., RunwayBroker]
) -> None:
    conn.execute(
        "INSERT INTO worker.kinds (kind, queue, args, max_attempts)"
        " VALUES ('tidy_leads', 'default', '{}', 3)"
    )
    job_id = jobs.enqueue(conn, "tidy_leads", {})
    send(conn, runway, 1)

    message = next(make_broker().consume("default"))

    def is_waiting() -> bool:
        job = jobs.get_job(conn, job_id)
        assert job is not None
        return (job.state, job.max_attempts - job.attempt) == ("scheduled", 3)

    assert message is None
    wait_until(is_waiting, "the job waits with all its attempts")


def test_what_waits_behind_long_jobs_is_given_back(
    conn: Connection, runway: Runway, make_broker: Callable[..., RunwayBroker]
) -> None:
    release = threading.Event()
    broker = make_broker(lambda job: release.wait(30) and None)
    broker.load.job_ms = 1.0
    jobs.enqueue_many(conn, "probe", [{}] * 10)
    send(conn, runway, 10)
    worker = dramatiq.Worker(broker, worker_threads=THREADS, worker_timeout=100)
    worker.start()

    def count(state: str) -> int:
        return len(jobs.list_jobs(conn, state=state))

    try:
        wait_until(lambda: count("running") == 10, "all are claimed")
        wait_until(lambda: worker.work_queue.qsize() == 8, "two run")

        give_back_waiting(worker, broker)

        wait_until(lambda: count("available") == 8, "the others are given back")
        assert {job.max_attempts for job in jobs.list_jobs(conn, state="available")} == {11}
    finally:
        release.set()
        worker.stop()
