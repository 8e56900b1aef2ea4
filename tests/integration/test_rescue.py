"""What becomes of the jobs of a process that died, by what its parent saw of it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import jobs, processes
from db.jobs import ALONE_FROM_IN_CROWD, Claimed, Job, Ticket
from db.pool import Connection

LIMIT_S = 600


def start_worker(conn: Connection) -> UUID:
    worker_id = uuid4()
    processes.register(
        conn, id=worker_id, role="worker", host="here", pid=1, queues={"default": {"threads": 8}}
    )
    return worker_id


def claim(conn: Connection, worker_id: UUID, *ids: int) -> list[Claimed]:
    """The jobs as a worker holds them: sent, then claimed."""
    conn.execute(
        "UPDATE worker.jobs SET state = 'dispatched', dispatch_seq = 1 WHERE id = ANY(%s)",
        (list(ids),),
    )
    with conn.transaction():
        return jobs.claim_jobs(conn, [Ticket(i, 1) for i in ids], worker_id=worker_id)


def held_by(conn: Connection, worker_id: UUID, count: int) -> list[int]:
    ids = [jobs.enqueue(conn, "probe", {}) for _ in range(count)]
    claim(conn, worker_id, *ids)
    return ids


def rescue(conn: Connection, *, crowded: Sequence[str] = ()) -> None:
    with conn.transaction():
        jobs.rescue_running(conn, rows_max=100, crowded=crowded)


def get(conn: Connection, job_id: int) -> Job:
    job = jobs.get_job(conn, job_id)
    assert job is not None
    return job


def suspicion(conn: Connection, job_id: int) -> int:
    row = conn.execute("SELECT suspicion FROM worker.jobs WHERE id = %s", (job_id,)).fetchone()
    assert row is not None
    return int(row[0])


def test_a_job_past_its_time_limit_burns_its_attempt_and_says_why(conn: Connection) -> None:
    worker = start_worker(conn)
    (job_id,) = held_by(conn, worker, 1)

    processes.expire(conn, id=worker, started=[job_id], overdue={job_id: LIMIT_S})
    rescue(conn)

    job = get(conn, job_id)
    assert (job.state, job.attempt, job.max_attempts) == ("available", 1, 10)
    assert job.errors[-1]["error"] == (
        "The job ran longer than its time limit of 600 s and could not be interrupted; "
        "its worker process was ended."
    )


def test_who_ran_beside_a_job_past_its_limit_is_innocent(conn: Connection) -> None:
    worker = start_worker(conn)
    guilty, bystander, waiting = held_by(conn, worker, 3)

    processes.expire(conn, id=worker, started=[guilty, bystander], overdue={guilty: LIMIT_S})
    rescue(conn)

    for job_id in (bystander, waiting):
        job = get(conn, job_id)
        assert (job.state, job.max_attempts, job.errors) == ("available", 11, [])
        assert suspicion(conn, job_id) == 0


def test_a_job_that_cannot_be_interrupted_runs_alone_next(conn: Connection) -> None:
    worker = start_worker(conn)
    (job_id,) = held_by(conn, worker, 1)

    processes.expire(conn, id=worker, started=[job_id], overdue={job_id: LIMIT_S})
    rescue(conn)

    assert suspicion(conn, job_id) >= 2


def test_a_job_past_its_limit_at_its_last_attempt_is_discarded(conn: Connection) -> None:
    worker = start_worker(conn)
    (job_id,) = held_by(conn, worker, 1)
    conn.execute("UPDATE worker.jobs SET max_attempts = 1 WHERE id = %s", (job_id,))

    processes.expire(conn, id=worker, started=[job_id], overdue={job_id: LIMIT_S})
    rescue(conn)

    job = get(conn, job_id)
    assert (job.state, job.attempt, job.max_attempts) == ("discarded", 1, 1)
    assert job.finished_at is not None


def test_the_error_of_a_suspect_names_the_cause(conn: Connection) -> None:
    worker = start_worker(conn)
    (job_id,) = held_by(conn, worker, 1)

    processes.expire(conn, id=worker, started=[job_id], cause="signal SIGSEGV")
    rescue(conn)

    error = get(conn, job_id).errors[-1]["error"]
    assert error == "The worker process died while it ran this job: signal SIGSEGV."


def test_a_job_asked_to_stop_is_cancelled_when_its_worker_died(conn: Connection) -> None:
    worker = start_worker(conn)
    (job_id,) = held_by(conn, worker, 1)
    conn.execute(
        "UPDATE worker.jobs SET cancel_requested_at = clock_timestamp() WHERE id = %s", (job_id,)
    )

    processes.expire(conn, id=worker, started=[job_id])
    rescue(conn)

    job = get(conn, job_id)
    assert job.state == "cancelled"
    assert job.finished_at is not None


def test_a_duplicate_that_came_while_it_ran_outlives_the_last_attempt(conn: Connection) -> None:
    """The duplicate was answered with this job's id: it must run after it was enqueued."""
    worker = start_worker(conn)
    (job_id,) = held_by(conn, worker, 1)
    conn.execute("UPDATE worker.jobs SET max_attempts = 1, rerun = true WHERE id = %s", (job_id,))

    processes.expire(conn, id=worker, started=[job_id], overdue={job_id: LIMIT_S})
    rescue(conn)

    job = get(conn, job_id)
    assert (job.state, job.attempt, job.max_attempts) == ("available", 1, 11)


def die_again(conn: Connection, job_id: int, **how: Any) -> Job:
    """The job's worker dies while it runs, in a crowded queue."""
    worker = start_worker(conn)
    claim(conn, worker, job_id)
    processes.expire(conn, id=worker, started=[job_id], **how)
    rescue(conn, crowded=["default"])
    return get(conn, job_id)


@pytest.mark.parametrize("overdue", [None, LIMIT_S])
def test_in_a_crowd_the_first_deaths_make_no_suspect_and_burn_nothing(
    conn: Connection, overdue: int | None
) -> None:
    job_id = jobs.enqueue(conn, "probe", {})

    for death in range(1, ALONE_FROM_IN_CROWD + 1):
        job = die_again(conn, job_id, overdue=overdue and {job_id: overdue})

        assert (job.state, job.max_attempts - job.attempt) == ("available", 10)
        assert suspicion(conn, job_id) == death


def test_in_a_crowd_too_a_job_that_kills_every_worker_ends_discarded(conn: Connection) -> None:
    job_id = jobs.enqueue(conn, "probe", {})

    deaths = 0
    while die_again(conn, job_id).state != "discarded":
        deaths += 1

    assert deaths == ALONE_FROM_IN_CROWD + 10 - 1


def test_a_renewal_shows_what_the_process_does(conn: Connection) -> None:
    worker = start_worker(conn)

    processes.renew(conn, id=worker, queues={}, stats={"rss_mb": 90, "running": [7]})

    (process,) = processes.list_live(conn)
    assert process.stats == {"rss_mb": 90, "running": [7]}


def test_rescuing_reads_what_runs_and_not_the_table_on_stale_statistics(conn: Connection) -> None:
    """Statistics were taken while everything ran; since then all but a few have completed."""
    conn.execute("ALTER TABLE worker.jobs SET (autovacuum_enabled = false)")
    conn.execute("""
        INSERT INTO worker.jobs (kind, queue, state, attempt, max_attempts)
        SELECT 'probe', 'default', 'running', 1, 10 FROM generate_series(1, 20000)""")
    conn.execute("ANALYZE worker.jobs")
    conn.execute("UPDATE worker.jobs SET state = 'completed' WHERE id > 20")

    with conn.transaction(force_rollback=True):
        rows = conn.execute(
            b"EXPLAIN " + jobs.SQL.rescue_running,
            {
                "rows_max": 1000,
                "errors_kept": 25,
                "crowded": ["webhooks"],
                "alone_from": 2,
                "alone_from_in_crowd": 5,
            },
        ).fetchall()

    plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using jobs_in_flight_idx" in plan
    assert "Seq Scan on jobs" not in plan
