"""A process that freezes or is cut off within a transaction holds nobody up for long."""

from collections.abc import Callable
from uuid import UUID

import pytest

from db import jobs, processes
from db.jobs import Finish
from db.pool import Connection, connect
from tests.processes import wait_until
from tests.queueing import claim_one, dispatch, start_worker, state
from workers.ledger import Ledger

Step = Callable[[Connection, UUID], object]


def idle_s_max(conn: Connection) -> int:
    """After so many seconds within a transaction Postgres ends the session; 0: never."""
    row = conn.execute(
        "SELECT extract(epoch FROM current_setting('idle_in_transaction_session_timeout')"
        "::interval)::int"
    ).fetchone()
    assert row is not None
    return int(row[0])


def hold(conn: Connection, worker_id: UUID) -> None:
    job = claim_one(conn, worker_id)
    assert jobs.hold(conn, job_id=job.id, attempt=job.attempt)


STEPS: dict[str, Step] = {
    "recall": lambda conn, worker_id: jobs.recall_jobs(conn, dispatch(conn)),
    "take a turn": lambda conn, worker_id: jobs.begin_turn(conn),
    "renew": lambda conn, worker_id: processes.renew(conn, id=worker_id, queues={}),
    "hold": hold,
}


@pytest.mark.parametrize("step", STEPS)
def test_whoever_stands_still_after_a_step_loses_its_locks_before_the_lease_ends(
    conn: Connection, step: str
) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})

    with conn.transaction():
        STEPS[step](conn, worker_id)
        longest_s = idle_s_max(conn)

    assert 0 < longest_s < processes.LEASE_S
    assert idle_s_max(conn) == 0


def test_one_frozen_in_its_renewal_holds_up_no_dispatcher(
    conn: Connection, database_url: str
) -> None:
    frozen = start_worker(conn)
    with connect(database_url) as other:
        processes.expire(other, id=frozen, started=[])
        other.commit()
        # The renewal of a lease that has run out in the meantime: the row stays locked.
        other.execute("SELECT FROM worker.processes WHERE id = %s FOR UPDATE", (frozen,))

        with conn.transaction():
            conn.execute("SET LOCAL lock_timeout = '2s'")
            jobs.forget_dead_processes(conn)

    assert count_processes(conn) == 1
    jobs.forget_dead_processes(conn)
    assert count_processes(conn) == 0


def count_processes(conn: Connection) -> int:
    row = conn.execute("SELECT count(*) FROM worker.processes").fetchone()
    assert row is not None
    return int(row[0])


def test_outcomes_wait_for_a_postgres_that_only_reads(conn: Connection, database_url: str) -> None:
    """A failover shows a standby first; so does a hosted database whose disk is full."""
    job = claim_one_new(conn)
    standby = connect(database_url, autocommit=True)
    standby.execute("SET default_transaction_read_only = on")
    given = iter([standby])
    ledger = Ledger(lambda: next(given, None) or connect(database_url, autocommit=True))
    ledger.start()

    ledger.put(job, Finish(job.id, job.attempt, "completed"))

    wait_until(lambda: state(conn, job.id) == "completed", "the outcome is stored")
    ledger.close(timeout_s=20)
    assert not ledger.is_alive()


def claim_one_new(conn: Connection) -> jobs.Claimed:
    jobs.enqueue(conn, "probe", {})
    return claim_one(conn, start_worker(conn))
