"""The writer of outcomes on a real Postgres."""

from functools import partial

from db import jobs
from db.jobs import Claimed, Finish
from db.pool import Connection, connect
from tests.queueing import dispatch, start_worker, state
from workers.ledger import Ledger


def claim(conn: Connection, count: int) -> list[Claimed]:
    worker_id = start_worker(conn)
    jobs.enqueue_many(conn, "probe", [{}] * count)
    return jobs.claim_jobs(conn, dispatch(conn, room=count), worker_id=worker_id)


def store(database_url: str, *entries: tuple[Claimed, Finish]) -> None:
    ledger = Ledger(partial(connect, database_url, autocommit=True))
    for job, finish in entries:
        ledger.put(job, finish)
    ledger.start()
    ledger.close(timeout_s=30)
    assert not ledger.is_alive()


def test_an_outcome_that_cannot_be_stored_ends_its_own_job_alone(
    conn: Connection, database_url: str
) -> None:
    first, bad, last = claim(conn, 3)
    unstorable = Finish(bad.id, bad.attempt, "completed", result={"text": "nul \0 byte"})

    store(
        database_url,
        (first, Finish(first.id, first.attempt, "completed")),
        (bad, unstorable),
        (last, Finish(last.id, last.attempt, "completed")),
    )

    found = jobs.get_job(conn, bad.id)
    assert found is not None
    assert [state(conn, job.id) for job in (first, last)] == ["completed", "completed"]
    assert (found.state, "UntranslatableCharacter" in found.errors[-1]["error"]) == (
        "discarded",
        True,
    )


def test_a_result_is_kept_on_the_row(conn: Connection, database_url: str) -> None:
    (job,) = claim(conn, 1)

    store(database_url, (job, Finish(job.id, job.attempt, "completed", result={"added": 3})))

    found = jobs.get_job(conn, job.id)
    assert found is not None
    assert found.result == {"added": 3}
