"""Jobs that wait for other jobs, on a real Postgres."""

from collections.abc import Sequence
from uuid import UUID

import psycopg
import pytest

from db import jobs, waits
from db.jobs import Finish, Job
from db.pool import Connection, connect
from db.waits import Waited
from tests.queueing import claim_one, start_worker, state
from workers.chains import add_to_batch, enqueue_after, enqueue_batch
from workers.jobs import IndexSource, Probe, enqueue

MARKS_MAX = 1000
NEVER = "00000000-0000-0000-0000-000000000001"


def settle(conn: Connection) -> int:
    with conn.transaction():
        return waits.settle(conn, rows_max=MARKS_MAX)


def end(conn: Connection, job_ids: Sequence[int], state: str = "completed") -> None:
    """End jobs as their workers would."""
    worker_id = start_worker(conn)
    for _ in job_ids:
        job = claim_one(conn, worker_id)
        assert job.id in job_ids
        jobs.finish_jobs(conn, [Finish(job.id, job.attempt, state)])


def run_and_end(conn: Connection, job_id: int, state: str) -> None:
    """End this job, whatever else there is to run."""
    conn.execute(
        "UPDATE worker.jobs SET state = 'running', attempt = attempt + 1 WHERE id = %s", (job_id,)
    )
    job = load(conn, job_id)
    jobs.finish_jobs(conn, [Finish(job_id, job.attempt, state)])


def load(conn: Connection, job_id: int) -> Job:
    job = jobs.get_job(conn, job_id)
    assert job is not None
    return job


def probes(count: int) -> list[Probe]:
    return [Probe() for _ in range(count)]


def test_a_chain_runs_step_by_step(conn: Connection) -> None:
    first = enqueue(conn, Probe())
    second = enqueue_after(conn, Probe(), after=[first])
    third = enqueue_after(conn, Probe(), after=[second])

    seen = [(state(conn, second), state(conn, third))]
    for step in (first, second):
        end(conn, [step])
        settle(conn)
        seen.append((state(conn, second), state(conn, third)))

    assert seen == [
        ("scheduled", "scheduled"),
        ("available", "scheduled"),
        ("completed", "available"),
    ]


def test_a_failed_step_cancels_all_that_follow_and_says_which_it_was(conn: Connection) -> None:
    first = enqueue(conn, Probe())
    second = enqueue_after(conn, Probe(), after=[first])
    third = enqueue_after(conn, Probe(), after=[second])
    end(conn, [first], "discarded")

    moved = [settle(conn), settle(conn), settle(conn)]

    errors = [load(conn, step).errors[-1]["error"] for step in (second, third)]
    assert moved == [1, 1, 0]
    assert [state(conn, second), state(conn, third)] == ["cancelled", "cancelled"]
    assert f"job {first} (probe, discarded)" in errors[0]
    assert f"job {second} (probe, cancelled)" in errors[1]


def test_a_callback_runs_once_all_are_finished_and_knows_how(conn: Connection) -> None:
    batch = enqueue_batch(conn, probes(4), then=Probe())
    run_and_end(conn, batch.job_ids[0], "completed")
    run_and_end(conn, batch.job_ids[1], "discarded")
    jobs.cancel_jobs(conn, [batch.job_ids[2]], reason="not needed")
    early = (settle(conn), state(conn, batch.callback_id))
    run_and_end(conn, batch.job_ids[3], "completed")

    released = settle(conn)

    callback = load(conn, batch.callback_id)
    assert early == (0, "scheduled")
    assert (released, callback.state) == (1, "available")
    assert callback.waited == {"completed": 2, "discarded": 1, "cancelled": 1}


def test_the_counts_reach_the_worker_that_claims_the_callback(conn: Connection) -> None:
    batch = enqueue_batch(conn, probes(2), then=Probe())
    end(conn, batch.job_ids)
    settle(conn)

    claimed = claim_one(conn, start_worker(conn))

    assert (claimed.id, claimed.waited) == (
        batch.callback_id,
        {"completed": 2, "discarded": 0, "cancelled": 0},
    )


def test_the_callback_of_an_empty_batch_runs_at_once(conn: Connection) -> None:
    batch = enqueue_batch(conn, [], then=Probe())

    assert (batch.job_ids, state(conn, batch.callback_id)) == ([], "available")


def test_who_waits_for_finished_jobs_only_is_let_go(conn: Connection) -> None:
    first = enqueue(conn, Probe())
    end(conn, [first])

    second = enqueue_after(conn, Probe(), after=[first, first])

    assert (settle(conn), state(conn, second)) == (1, "available")


def test_a_job_for_later_keeps_its_time_after_its_waits(conn: Connection) -> None:
    first = enqueue(conn, Probe())
    row = conn.execute(
        "SELECT worker.enqueue_after('probe', '{}', %s, run_at => now() + interval '1 hour')",
        ([first],),
    ).fetchone()
    assert row is not None
    end(conn, [first])

    settle(conn)

    waiter = load(conn, row[0])
    assert (waiter.state, waiter.blocked) == ("scheduled", False)
    assert (waiter.run_at - waiter.created_at).total_seconds() == 3600


def test_a_blocked_job_is_never_due(conn: Connection) -> None:
    first = enqueue(conn, Probe(), priority=5)
    second = enqueue_after(conn, Probe(), after=[first])

    promoted = jobs.promote_due(conn, rows_max=10)

    assert (promoted, jobs.next_due_s(conn), state(conn, second)) == (0, None, "scheduled")


def test_a_retried_member_is_waited_for_again(conn: Connection) -> None:
    batch = enqueue_batch(conn, probes(2), then=Probe())
    run_and_end(conn, batch.job_ids[0], "discarded")
    settle(conn)
    jobs.retry_jobs(conn, [batch.job_ids[0]])
    run_and_end(conn, batch.job_ids[1], "completed")

    early = (settle(conn), state(conn, batch.callback_id))
    run_and_end(conn, batch.job_ids[0], "completed")
    settle(conn)

    assert early == (0, "scheduled")
    assert load(conn, batch.callback_id).waited == {
        "completed": 2,
        "discarded": 0,
        "cancelled": 0,
    }


def test_a_member_that_runs_again_afterwards_is_not_finished(conn: Connection) -> None:
    batch = enqueue_batch(conn, [IndexSource(UUID(NEVER))], then=Probe())
    worker_id = start_worker(conn, "knowledge")
    conn.execute(
        "UPDATE worker.jobs SET state = 'running', attempt = 1, worker_id = %s WHERE id = %s",
        (worker_id, batch.job_ids[0]),
    )
    again = enqueue_batch(conn, [IndexSource(UUID(NEVER))], then=Probe())
    jobs.finish_jobs(conn, [Finish(batch.job_ids[0], 1, "completed")])

    early = settle(conn)
    run_and_end(conn, batch.job_ids[0], "completed")

    assert again.job_ids == batch.job_ids
    assert (early, settle(conn)) == (0, 2)


def test_a_batch_of_batches_waits_for_the_inner_callback(conn: Connection) -> None:
    inner = enqueue_batch(conn, probes(1), then=Probe())
    outer = enqueue_after(conn, Probe(), after=[inner.callback_id], even_if_failed=True)
    end(conn, inner.job_ids)
    settle(conn)
    early = state(conn, outer)
    end(conn, [inner.callback_id])

    settle(conn)

    assert (early, state(conn, outer)) == ("scheduled", "available")


def test_a_running_job_adds_members_to_what_waits_for_it(conn: Connection) -> None:
    crawl = enqueue(conn, Probe(), priority=-1)
    batch = enqueue_batch(conn, [], then=Probe(), after=[crawl])
    claimed = claim_one(conn, start_worker(conn))
    with conn.transaction():
        jobs.hold(conn, job_id=crawl, attempt=claimed.attempt)
        pages = add_to_batch(conn, batch.callback_id, probes(3))
    jobs.finish_jobs(conn, [Finish(crawl, claimed.attempt, "completed")])
    early = settle(conn)
    end(conn, pages)

    assert (early, settle(conn)) == (0, 1)
    assert load(conn, batch.callback_id).waited == {
        "completed": 4,
        "discarded": 0,
        "cancelled": 0,
    }


def test_a_cancelled_callback_stays_cancelled(conn: Connection) -> None:
    batch = enqueue_batch(conn, probes(1), then=Probe())
    jobs.cancel_jobs(conn, [batch.callback_id], reason="not needed")
    end(conn, batch.job_ids)

    released = settle(conn)

    assert (released, state(conn, batch.callback_id)) == (0, "cancelled")


def test_a_deleted_job_blocks_nobody(conn: Connection) -> None:
    first, second = enqueue(conn, Probe()), enqueue(conn, Probe())
    waiter = enqueue_after(conn, Probe(), after=[first, second])
    end(conn, [first])
    conn.execute("DELETE FROM worker.jobs WHERE id = ANY(%s)", ([first, second],))

    settle(conn)

    assert load(conn, waiter).waited == {"completed": 2, "discarded": 0, "cancelled": 0}


def test_a_deleted_waiter_leaves_no_waits(conn: Connection) -> None:
    batch = enqueue_batch(conn, probes(3), then=Probe())

    conn.execute("DELETE FROM worker.jobs WHERE id = %s", (batch.callback_id,))

    assert waits.count_waits(conn, batch.callback_id) == Waited()


def test_waits_are_counted_while_it_waits(conn: Connection) -> None:
    batch = enqueue_batch(conn, probes(3), then=Probe())
    run_and_end(conn, batch.job_ids[0], "discarded")
    settle(conn)

    counted = waits.count_waits(conn, batch.callback_id)
    failed = waits.list_failed(conn, batch.callback_id, rows_max=10)

    assert counted == Waited(completed=0, discarded=1, cancelled=0, open=2)
    assert [(job.id, job.ended_as) for job in failed] == [(batch.job_ids[0], "discarded")]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("worker.enqueue_after('prob', '{}', '{1}')", 'unknown job kind "prob"'),
        ("worker.enqueue_after('probe', '{\"x\": 1}', '{1}')", 'unknown argument "x"'),
        ("worker.enqueue_after('probe', '{}', '{1,99}')", "cannot wait for job 99: there is none"),
        ("worker.enqueue_after('probe', '{}', '{1,null}')", "cannot wait for job null"),
        ("worker.enqueue_after('probe', '{}', null)", "what it shall run after is null"),
        ("worker.add_waits(2, '{99}')", "cannot wait for job 99: there is none"),
        ("worker.add_waits(2, '{1,2}')", "job 2 cannot wait for itself"),
        ("worker.add_waits(2, '{3}')", "job 2 cannot wait for jobs that wait for it"),
        ("worker.add_waits(2, '{4}')", "job 2 cannot wait for jobs that wait for it"),
        ("worker.add_waits(1, '{5}')", "job 1 waits no longer, it is available"),
        ("worker.add_waits(99, '{1}')", "there is no job 99"),
    ],
)
def test_what_could_never_end_is_refused_at_the_door(
    conn: Connection, call: str, says: str
) -> None:
    enqueue(conn, Probe())
    for before in (1, 2, 3):
        enqueue_after(conn, Probe(), after=[before])
    enqueue(conn, Probe())

    with pytest.raises(psycopg.errors.InvalidParameterValue, match=says):
        conn.execute(f"SELECT {call}".encode())


def test_a_refused_chain_leaves_nothing(conn: Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        enqueue_after(conn, Probe(), after=[99])

    assert jobs.list_jobs(conn) == []


def test_only_the_service_may_make_chains(conn: Connection) -> None:
    allowed = conn.execute(
        "SELECT p.proname, r.role, has_function_privilege(r.role, p.oid, 'EXECUTE')"
        " FROM pg_proc AS p, unnest('{anon,authenticated,service_role}'::text[]) AS r (role)"
        " WHERE p.pronamespace = 'worker'::regnamespace"
        " AND p.proname IN ('enqueue_after', 'add_waits', 'settle', 'await_jobs')"
    ).fetchall()

    assert {(name, role) for name, role, yes in allowed if yes} == {
        ("enqueue_after", "service_role"),
        ("add_waits", "service_role"),
        ("settle", "service_role"),
    }


def test_a_mark_of_a_settler_that_rolled_back_is_still_there(
    database_url: str, conn: Connection
) -> None:
    batch = enqueue_batch(conn, probes(1), then=Probe())
    end(conn, batch.job_ids)
    with connect(database_url) as other:
        lost = waits.settle(other, rows_max=MARKS_MAX)
        other.rollback()

    assert (lost, settle(conn), state(conn, batch.callback_id)) == (1, 1, "available")


def test_two_settlers_that_each_end_one_of_two_waits_let_go_in_the_end(
    database_url: str, conn: Connection
) -> None:
    batch = enqueue_batch(conn, probes(2), then=Probe())
    end(conn, batch.job_ids)
    with connect(database_url) as one, connect(database_url) as two:
        early = [waits.settle(one, rows_max=1), waits.settle(two, rows_max=1)]
        one.commit()
        two.commit()

    assert early == [0, 0]
    assert (settle(conn), state(conn, batch.callback_id)) == (1, "available")


def test_a_settler_does_not_wait_for_a_transaction_that_adds_waits(
    database_url: str, conn: Connection
) -> None:
    batch = enqueue_batch(conn, probes(1), then=Probe())
    with connect(database_url) as other:
        added = add_to_batch(other, batch.callback_id, probes(1))
        end(conn, batch.job_ids)
        conn.execute("SET lock_timeout = '2s'")
        early = settle(conn)
        other.commit()
    late = settle(conn)
    end(conn, added)

    assert (early, late, settle(conn)) == (0, 0, 1)


def test_more_waits_than_one_turn_may_touch_are_settled_in_several(conn: Connection) -> None:
    first = enqueue(conn, Probe())
    followers = [enqueue_after(conn, Probe(), after=[first]) for _ in range(7)]
    end(conn, [first])

    turns = [waits.settle(conn, rows_max=3) for _ in range(4)]

    assert turns == [3, 3, 1, 0]
    assert {state(conn, follower) for follower in followers} == {"available"}


def test_a_settled_batch_leaves_no_marks(conn: Connection) -> None:
    batch = enqueue_batch(conn, probes(5), then=Probe())
    end(conn, batch.job_ids)

    settle(conn)

    assert conn.execute("SELECT count(*) FROM worker.ends").fetchone() == (0,)
