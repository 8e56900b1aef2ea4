"""Cancelling: at once where a job waits, a request where it runs, and what may come between."""

from uuid import uuid4

import pytest

from db import jobs, processes
from db.jobs import Claimed, Finish, Job
from db.pool import Connection
from tests.queueing import claim_one, dispatch, start_worker, state

WHY = "not wanted"


def cancel(conn: Connection, *job_ids: int) -> dict[int, str]:
    return jobs.cancel_jobs(conn, job_ids, reason=WHY)


def finish(conn: Connection, job: Claimed, outcome: str, *, spared: bool = False) -> str:
    stored = jobs.finish_jobs(conn, [Finish(job.id, job.attempt, outcome, spared=spared)])
    return stored[job.id]


def load(conn: Connection, job_id: int) -> Job:
    job = jobs.get_job(conn, job_id)
    assert job is not None
    return job


def running(conn: Connection) -> Claimed:
    jobs.enqueue(conn, "probe", {})
    return claim_one(conn, start_worker(conn))


def indexing(conn: Connection) -> Claimed:
    """A running job of a kind that runs again for what came meanwhile."""
    jobs.enqueue(conn, "index_source", {"source_id": str(uuid4())})
    tickets = dispatch(conn, queue="knowledge")
    (job,) = jobs.claim_jobs(conn, tickets, worker_id=start_worker(conn, "knowledge"))
    return job


@pytest.mark.parametrize("waiting", ["scheduled", "available", "dispatched", "retryable"])
def test_a_waiting_job_is_cancelled_at_once(conn: Connection, waiting: str) -> None:
    job_id = jobs.enqueue(conn, "probe", {})
    conn.execute("UPDATE worker.jobs SET state = %s", (waiting,))

    cancelled = cancel(conn, job_id)

    job = load(conn, job_id)
    assert (cancelled, job.state, job.finished_at is not None) == (
        {job_id: "cancelled"},
        "cancelled",
        True,
    )
    assert [error["error"] for error in job.errors] == [WHY]


def test_a_running_job_is_asked_to_stop(conn: Connection) -> None:
    job = running(conn)

    asked = cancel(conn, job.id)

    row = load(conn, job.id)
    assert (asked, row.state, row.finished_at) == ({job.id: "running"}, "running", None)
    assert row.cancel_requested_at is not None


def test_its_process_hears_of_it_and_no_other(conn: Connection) -> None:
    job = running(conn)
    other = running(conn)
    cancel(conn, job.id)
    mine, others = load(conn, job.id).worker_id, load(conn, other.id).worker_id
    assert mine is not None
    assert others is not None

    heard = jobs.list_cancel_requests(conn, worker_id=mine, queues=["default", "knowledge"])

    assert heard == {(job.id, job.attempt)}
    assert not jobs.list_cancel_requests(conn, worker_id=others, queues=["default"])


@pytest.mark.parametrize(
    ("outcome", "spared", "becomes"),
    [
        ("completed", False, "completed"),
        ("discarded", False, "discarded"),
        ("cancelled", False, "cancelled"),
        ("retryable", False, "cancelled"),
        ("retryable", True, "cancelled"),
        ("available", True, "cancelled"),
        ("scheduled", True, "cancelled"),
    ],
)
def test_a_request_stops_what_would_go_on_and_leaves_what_has_ended(
    conn: Connection, outcome: str, spared: bool, becomes: str
) -> None:
    job = running(conn)
    cancel(conn, job.id)

    ended = finish(conn, job, outcome, spared=spared)

    assert (ended, load(conn, job.id).finished_at is not None) == (becomes, True)


def test_a_second_request_adds_no_second_entry(conn: Connection) -> None:
    job = running(conn)
    cancel(conn, job.id)
    first = load(conn, job.id).cancel_requested_at

    cancel(conn, job.id)

    row = load(conn, job.id)
    assert (len(row.errors), row.cancel_requested_at) == (1, first)


@pytest.mark.parametrize("ended", ["completed", "discarded", "cancelled"])
def test_a_finished_job_is_left_as_it_is(conn: Connection, ended: str) -> None:
    job = running(conn)
    finish(conn, job, ended)
    before = load(conn, job.id)

    cancelled = cancel(conn, job.id, 4711)

    assert (cancelled, load(conn, job.id)) == ({}, before)


def test_one_call_answers_for_each_of_many(conn: Connection) -> None:
    done, runs = running(conn), running(conn)
    finish(conn, done, "completed")
    waits = jobs.enqueue(conn, "probe", {})

    cancelled = cancel(conn, runs.id, done.id, waits, waits)

    assert cancelled == {runs.id: "running", waits: "cancelled"}


def test_a_ticket_of_a_cancelled_job_claims_nothing(conn: Connection) -> None:
    job_id = jobs.enqueue(conn, "probe", {})
    tickets = dispatch(conn)
    cancel(conn, job_id)

    claimed = jobs.claim_jobs(conn, tickets, worker_id=start_worker(conn))

    assert (claimed, jobs.recall_jobs(conn, tickets)) == ([], 0)


@pytest.mark.parametrize("started", [True, False])
def test_a_job_that_was_asked_to_stop_does_not_survive_its_worker(
    conn: Connection, started: bool
) -> None:
    job = running(conn)
    cancel(conn, job.id)
    worker_id = load(conn, job.id).worker_id
    assert worker_id is not None
    processes.expire(conn, id=worker_id, started=[job.id] if started else [])

    jobs.rescue_running(conn, rows_max=10)

    row = load(conn, job.id)
    assert (row.state, row.finished_at is not None) == ("cancelled", True)


def test_a_cancel_takes_back_a_rerun_that_was_asked_for_before(conn: Connection) -> None:
    job = indexing(conn)
    jobs.enqueue(conn, "index_source", job.args)
    cancel(conn, job.id)

    assert finish(conn, job, "cancelled") == "cancelled"


@pytest.mark.parametrize(
    ("outcome", "spared"), [("completed", False), ("cancelled", False), ("available", True)]
)
def test_what_is_wanted_again_after_a_cancel_runs_again(
    conn: Connection, outcome: str, spared: bool
) -> None:
    job = indexing(conn)
    cancel(conn, job.id)
    jobs.enqueue(conn, "index_source", job.args)

    finish(conn, job, outcome, spared=spared)

    row = load(conn, job.id)
    assert (row.state, row.cancel_requested_at) == ("available", None)
    assert row.max_attempts - row.attempt == 3


def test_what_is_wanted_again_after_a_cancel_survives_its_worker(conn: Connection) -> None:
    job = indexing(conn)
    cancel(conn, job.id)
    jobs.enqueue(conn, "index_source", job.args)
    worker_id = load(conn, job.id).worker_id
    assert worker_id is not None
    processes.expire(conn, id=worker_id, started=[job.id])

    jobs.rescue_running(conn, rows_max=10)

    row = load(conn, job.id)
    assert (row.state, row.cancel_requested_at) == ("available", None)


def test_a_retried_job_forgets_that_it_was_cancelled(conn: Connection) -> None:
    job = running(conn)
    cancel(conn, job.id)
    finish(conn, job, "cancelled")

    retried = jobs.retry_jobs(conn, [job.id])

    again = claim_one(conn, start_worker(conn))
    assert (retried, again.id, finish(conn, again, "retryable")) == ([job.id], job.id, "retryable")


def test_a_cancelled_job_frees_its_unique_key(conn: Connection) -> None:
    first = jobs.enqueue(conn, "probe", {}, unique_key="k")
    cancel(conn, first)

    assert jobs.enqueue(conn, "probe", {}, unique_key="k") != first


def test_of_two_cancelled_twins_retried_together_the_newest_runs(conn: Connection) -> None:
    first = jobs.enqueue(conn, "probe", {}, unique_key="k")
    cancel(conn, first)
    second = jobs.enqueue(conn, "probe", {}, unique_key="k")
    cancel(conn, second)

    retried = jobs.retry_jobs(conn, [first, second])

    assert (retried, state(conn, first)) == ([second], "cancelled")
