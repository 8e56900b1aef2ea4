"""The queue's statements on a real Postgres: enqueue, dispatch, claim, finish, rescue."""

from dataclasses import asdict
from uuid import uuid4

import psycopg
import pytest

from db import jobs, processes
from db.jobs import Finish
from db.lanes import Limit
from db.pool import Connection, connect
from tests.queueing import claim_one, dispatch, start_worker, state
from workers.jobs import KINDS
from workers.payloads import args_schema

ALIVE = 60


def test_a_job_enqueued_by_sql_waits_as_available(conn: Connection) -> None:
    job_id = jobs.enqueue(conn, "probe", {"sleep_ms": 5})

    job = jobs.get_job(conn, job_id)

    assert job is not None
    assert (job.state, job.queue, job.attempt, job.max_attempts) == ("available", "default", 0, 10)


def test_a_job_for_later_is_scheduled_until_it_is_due(conn: Connection) -> None:
    row = conn.execute(
        "SELECT worker.enqueue('probe', run_at => now() + interval '0.2 s')"
    ).fetchone()
    assert row is not None
    early = state(conn, row[0])
    conn.execute("SELECT pg_sleep(0.25)")

    jobs.promote_due(conn, rows_max=10)

    assert (early, state(conn, row[0])) == ("scheduled", "available")


@pytest.mark.parametrize("at", ["-infinity", "0044-03-15 12:00+00 BC", "20000-01-01", "infinity"])
def test_a_time_that_no_clock_shows_is_refused(conn: Connection, at: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="jobs_run_at_check"):
        conn.execute("SELECT worker.enqueue('probe', run_at => %s)", [at])


@pytest.mark.parametrize(
    ("kind", "args", "says"),
    [
        ("prob", "{}", 'unknown job kind "prob"'),
        ("probe", '{"sleep": 1}', 'job kind "probe": unknown argument "sleep"'),
        ("probe", '{"sleep_ms": "1"}', 'argument "sleep_ms" must be of type int, not "1"'),
        ("probe", '{"sleep_ms": 1.5}', 'argument "sleep_ms" must be of type int, not 1.5'),
        ("probe", "[]", "args must be a JSON object, not array"),
        ("index_source", "{}", 'missing argument "source_id"'),
        ("index_source", '{"source_id": "7"}', 'argument "source_id" must be of type uuid'),
    ],
)
def test_a_wrong_job_is_refused_at_the_door(
    conn: Connection, kind: str, args: str, says: str
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=says):
        conn.execute("SELECT worker.enqueue(%s, %s)", (kind, args))


def test_the_kinds_in_sql_are_those_of_the_code(conn: Connection) -> None:
    in_sql = {row["kind"]: row for row in jobs.list_kinds(conn)}

    in_code = {
        name: {
            "kind": name,
            "queue": kind.queue,
            "args": args_schema(kind.payload),
            "max_attempts": kind.max_attempts,
            "unique_by": kind.unique_by,
            "rerun": kind.rerun,
            "limit_by": kind.limit_by,
            **asdict(kind.limit or Limit()),
        }
        for name, kind in KINDS.items()
    }
    assert in_sql == in_code


def test_a_rolled_back_enqueue_leaves_no_job(database_url: str, conn: Connection) -> None:
    with connect(database_url) as other:
        jobs.enqueue(other, "probe", {})
        other.rollback()

    assert jobs.list_jobs(conn) == []


def test_a_duplicate_keeps_the_first_job(conn: Connection) -> None:
    first = jobs.enqueue(conn, "probe", {"sleep_ms": 1}, unique_key="k")

    second = jobs.enqueue(conn, "probe", {"sleep_ms": 2}, unique_key="k")

    job = jobs.get_job(conn, first)
    assert job is not None
    assert (second, job.args) == (first, {"sleep_ms": 1})


def test_a_replacing_duplicate_brings_its_own_arguments(conn: Connection) -> None:
    first = jobs.enqueue(conn, "probe", {"sleep_ms": 1}, unique_key="k")

    second = jobs.enqueue(conn, "probe", {"sleep_ms": 2}, unique_key="k", on_conflict="replace")

    job = jobs.get_job(conn, first)
    assert job is not None
    assert (second, job.args) == (first, {"sleep_ms": 2})


def test_a_finished_job_frees_its_unique_key(conn: Connection) -> None:
    worker_id = start_worker(conn)
    first = jobs.enqueue(conn, "probe", {}, unique_key="k")
    job = claim_one(conn, worker_id)
    jobs.finish_jobs(conn, [Finish(job.id, job.attempt, "completed")])

    second = jobs.enqueue(conn, "probe", {}, unique_key="k")

    assert second != first


def test_a_ticket_claims_its_job_once(conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    tickets = dispatch(conn)

    first = jobs.claim_jobs(conn, tickets, worker_id=worker_id)
    second = jobs.claim_jobs(conn, tickets, worker_id=worker_id)

    assert ([job.attempt for job in first], second) == ([1], [])


def test_two_tickets_of_one_job_in_a_batch_claim_it_once(conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {}, unique_key="k")
    old = dispatch(conn)
    jobs.enqueue(conn, "probe", {}, unique_key="k", on_conflict="replace")
    new = dispatch(conn)

    claimed = jobs.claim_jobs(conn, [*old, *new], worker_id=worker_id)

    assert [job.attempt for job in claimed] == [1]


def test_a_replacement_of_a_running_job_that_runs_again_brings_its_arguments(
    conn: Connection,
) -> None:
    conn.execute("UPDATE worker.kinds SET rerun = true WHERE kind = 'probe'")
    worker_id = start_worker(conn)
    job_id = jobs.enqueue(conn, "probe", {"sleep_ms": 1}, unique_key="k")
    claimed = claim_one(conn, worker_id)
    jobs.enqueue(conn, "probe", {"sleep_ms": 2}, unique_key="k", on_conflict="replace")

    jobs.finish_jobs(conn, [Finish(claimed.id, claimed.attempt, "completed")])

    job = jobs.get_job(conn, job_id)
    assert job is not None
    assert (job.state, job.args) == ("available", {"sleep_ms": 2})


def test_an_old_ticket_claims_nothing(conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    old = dispatch(conn)
    jobs.recall_jobs(conn, old)
    dispatch(conn)

    claimed = jobs.claim_jobs(conn, old, worker_id=worker_id)

    assert claimed == []


def test_only_the_running_attempt_can_finish(conn: Connection) -> None:
    worker_id = start_worker(conn)
    job_id = jobs.enqueue(conn, "probe", {})
    first = claim_one(conn, worker_id)
    jobs.finish_jobs(conn, [Finish(first.id, first.attempt, "available", spared=True)])
    claim_one(conn, worker_id)

    stored = jobs.finish_jobs(conn, [Finish(first.id, first.attempt, "completed")])

    assert (stored, state(conn, job_id)) == ({}, "running")


def test_the_second_of_two_finishes_is_refused(conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    job = claim_one(conn, worker_id)
    jobs.finish_jobs(conn, [Finish(job.id, job.attempt, "completed")])

    stored = jobs.finish_jobs(conn, [Finish(job.id, job.attempt, "discarded")])

    assert (stored, state(conn, job.id)) == ({}, "completed")


def test_a_retry_waits_for_its_delay_and_keeps_the_error(conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    claimed = claim_one(conn, worker_id)
    error = {"attempt": 1, "error": "no", "trace": None}

    jobs.finish_jobs(conn, [Finish(claimed.id, 1, "retryable", 30.0, error)])

    job = jobs.get_job(conn, claimed.id)
    assert job is not None
    assert job.state == "retryable"
    assert job.errors[0]["error"] == "no"
    assert 29 < (job.run_at - job.created_at).total_seconds() < 60


def test_a_handed_back_job_burns_no_attempt(conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    claimed = claim_one(conn, worker_id)

    jobs.finish_jobs(conn, [Finish(claimed.id, 1, "available", spared=True)])

    job = jobs.get_job(conn, claimed.id)
    assert job is not None
    assert (job.state, job.attempt, job.max_attempts) == ("available", 1, 11)


def test_a_source_changed_while_it_is_indexed_is_indexed_again(conn: Connection) -> None:
    worker_id = start_worker(conn)
    args = {"source_id": str(uuid4())}
    job_id = jobs.enqueue(conn, "index_source", args)
    tickets = dispatch(conn, room=1, queue="knowledge")
    (claimed,) = jobs.claim_jobs(conn, tickets, worker_id=worker_id)

    twin = jobs.enqueue(conn, "index_source", args)
    jobs.finish_jobs(conn, [Finish(claimed.id, claimed.attempt, "completed")])

    job = jobs.get_job(conn, job_id)
    assert job is not None
    assert (twin, job.state, job.max_attempts - job.attempt) == (job_id, "available", 3)


def test_what_a_dead_worker_only_held_is_innocent(conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    claimed = claim_one(conn, worker_id)
    processes.expire(conn, id=worker_id, started=[])

    jobs.rescue_running(conn, rows_max=10)

    job = jobs.get_job(conn, claimed.id)
    assert job is not None
    assert (job.state, job.max_attempts, job.errors) == ("available", 11, [])


def test_what_a_dead_worker_ran_is_next_run_alone(conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    claimed = claim_one(conn, worker_id)
    processes.expire(conn, id=worker_id, started=[claimed.id])

    jobs.rescue_running(conn, rows_max=10)

    assert [ticket.alone for ticket in dispatch(conn)] == [True]


def test_a_job_that_kills_every_worker_is_discarded_in_the_end(conn: Connection) -> None:
    job_id = jobs.enqueue(conn, "probe", {})
    claims = 0
    while state(conn, job_id) == "available" and claims < 50:
        worker_id = start_worker(conn)
        claim_one(conn, worker_id)
        claims += 1
        processes.expire(conn, id=worker_id, started=[job_id])
        jobs.rescue_running(conn, rows_max=10)

    assert (state(conn, job_id), claims) == ("discarded", 11)


def test_a_live_worker_is_not_rescued_from(conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    claim_one(conn, worker_id)

    assert jobs.rescue_running(conn, rows_max=10) == []


def test_an_expired_lease_cannot_be_renewed(conn: Connection) -> None:
    worker_id = start_worker(conn)
    processes.expire(conn, id=worker_id, started=[])

    assert not processes.renew(conn, id=worker_id, queues={})


def test_a_lost_attempt_cannot_begin_a_transaction(conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    claimed = claim_one(conn, worker_id)
    processes.expire(conn, id=worker_id, started=[])
    jobs.rescue_running(conn, rows_max=10)

    assert not jobs.hold(conn, job_id=claimed.id, attempt=claimed.attempt)


def test_two_dispatchers_never_send_the_same_job(database_url: str, conn: Connection) -> None:
    for _ in range(20):
        jobs.enqueue(conn, "probe", {})
    with connect(database_url) as one, connect(database_url) as two:
        first = dispatch(one, room=15)
        second = dispatch(two, room=15)
        one.commit()
        two.commit()
    third = dispatch(conn, room=100)

    sent = [ticket.job_id for ticket in (*first, *second, *third)]
    assert len(sent) == len(set(sent)) == 20


def test_a_lower_priority_number_goes_first(conn: Connection) -> None:
    late = jobs.enqueue(conn, "probe", {}, priority=5)
    soon = jobs.enqueue(conn, "probe", {}, priority=-5)

    assert [ticket.job_id for ticket in dispatch(conn)] == [soon, late]


def test_a_retried_job_gets_its_whole_plan_again(conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    claimed = claim_one(conn, worker_id)
    jobs.finish_jobs(conn, [Finish(claimed.id, 1, "discarded")])

    jobs.retry_jobs(conn, [claimed.id])

    job = jobs.get_job(conn, claimed.id)
    assert job is not None
    assert (job.state, job.max_attempts - job.attempt, job.finished_at) == ("available", 10, None)


def test_batched_statements_keep_to_the_primary_key_on_stale_statistics(conn: Connection) -> None:
    """Statistics from before the dispatch make the planner expect one dispatched row."""
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, max_attempts)"
        " SELECT 'probe', 'default', 10 FROM generate_series(1, 20000)"
    )
    conn.execute("ANALYZE worker.jobs")
    tickets = dispatch(conn, room=10_000)

    with conn.transaction():
        conn.execute(jobs.SQL.plan_by_key)
        plan = conn.execute(
            b"EXPLAIN " + jobs.SQL.claim_jobs,
            {
                "ids": [ticket.job_id for ticket in tickets[:200]],
                "seqs": [ticket.seq for ticket in tickets[:200]],
                "worker_id": uuid4(),
            },
        ).fetchall()

    text = "\n".join(line for (line,) in plan)
    assert text.count("Index Scan using jobs_pkey") == 2
    assert "jobs_in_flight_idx" not in text
