"""Real worker and dispatcher processes: jobs run, and survive what kills processes."""

import os
import signal
from collections.abc import Callable

import psutil

from db import jobs
from db.jobs import Job
from db.pool import Connection
from tests.processes import Avivro, wait_until, worker_children


def enqueue(conn: Connection, count: int, **args: object) -> list[int]:
    return [jobs.enqueue(conn, "probe", dict(args)) for _ in range(count)]


def all_in(conn: Connection, ids: list[int], *states: str) -> Callable[[], list[Job] | None]:
    """True when every one of these jobs is in one of the states."""

    def look() -> list[Job] | None:
        # Counted first: it is asked twenty times a second, beside the processes that are watched.
        row = conn.execute(
            "SELECT count(*) FROM worker.jobs WHERE id = ANY(%s) AND state = ANY(%s)",
            (ids, list(states)),
        ).fetchone()
        if row != (len(ids),):
            return None
        return [job for job in (jobs.get_job(conn, job_id) for job_id in ids) if job is not None]

    return look


def count_effects(conn: Connection, effect: str) -> tuple[int, int]:
    row = conn.execute(
        "SELECT count(*), count(DISTINCT job_id) FROM worker.probe_effects WHERE effect = %s",
        (effect,),
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def start(commands: Avivro, conn: Connection) -> None:
    commands.start("dispatcher")
    commands.start("worker", "--queue", "default:4")
    ready = enqueue(conn, 1)
    wait_until(all_in(conn, ready, "completed"), "the workers run a first job")


def test_jobs_run_once_each(commands: Avivro, conn: Connection) -> None:
    start(commands, conn)

    ids = enqueue(conn, 300, effect="once")

    done = wait_until(all_in(conn, ids, "completed"), "300 jobs")
    assert {job.attempt for job in done} == {1}
    assert count_effects(conn, "once") == (300, 300)


def test_a_failing_job_is_retried_until_it_works(commands: Avivro, conn: Connection) -> None:
    start(commands, conn)

    ids = enqueue(conn, 1, fail_times=2, effect="third")

    (job,) = wait_until(all_in(conn, ids, "completed", "discarded"), "a job that fails twice")
    assert (job.state, job.attempt) == ("completed", 3)
    assert [error["attempt"] for error in job.errors] == [1, 2]
    assert "asked to fail" in job.errors[0]["trace"]


def test_jobs_of_a_killed_worker_process_run_again(commands: Avivro, conn: Connection) -> None:
    start(commands, conn)
    ids = enqueue(conn, 12, sleep_ms=1500, effect="killed")
    wait_until(lambda: len(jobs.list_jobs(conn, state="running")) >= 4, "the worker took jobs")

    for child in worker_children(commands):
        child.kill()

    wait_until(all_in(conn, ids, "completed"), "all jobs, after the kill")
    assert count_effects(conn, "killed") == (12, 12)


def test_jobs_of_a_killed_worker_command_run_again(commands: Avivro, conn: Connection) -> None:
    """Parent and children at once: only the lease tells, and another worker takes over."""
    start(commands, conn)
    ids = enqueue(conn, 6, sleep_ms=1500, effect="all killed")
    wait_until(lambda: len(jobs.list_jobs(conn, state="running")) >= 4, "the worker took jobs")

    worker = commands.started["worker"]
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    commands.start("worker", "--queue", "default:4")

    wait_until(all_in(conn, ids, "completed"), "all jobs, after the kill")
    assert count_effects(conn, "all killed") == (6, 6)


def test_children_do_not_outlive_their_parent(commands: Avivro, conn: Connection) -> None:
    start(commands, conn)
    orphans = worker_children(commands)
    worker = commands.started["worker"]

    worker.kill()
    worker.wait()

    _, alive = psutil.wait_procs(orphans, timeout=20)
    assert alive == []


def test_a_job_that_kills_its_process_takes_no_other_with_it(
    commands: Avivro, conn: Connection
) -> None:
    start(commands, conn)
    (poison,) = enqueue(conn, 1, crash=True)
    # Three deaths tell as much as ten.
    conn.execute("UPDATE worker.jobs SET max_attempts = 3 WHERE id = %s", (poison,))
    others = enqueue(conn, 8, sleep_ms=800, effect="bystander")

    done = wait_until(all_in(conn, others, "completed"), "the other jobs")
    (dead,) = wait_until(all_in(conn, [poison], "discarded"), "the poison ends discarded")

    assert max(job.attempt for job in done) <= 2
    assert "died while it ran this job" in dead.errors[-1]["error"]
    assert count_effects(conn, "bystander") == (8, 8)


def test_sigterm_hands_back_what_has_not_begun(commands: Avivro, conn: Connection) -> None:
    start(commands, conn)
    ids = enqueue(conn, 20, sleep_ms=1000)
    wait_until(lambda: len(jobs.list_jobs(conn, state="running")) >= 4, "the worker took jobs")

    worker = commands.started["worker"]
    worker.terminate()
    code = worker.wait(30)

    found = [job for job in (jobs.get_job(conn, job_id) for job_id in ids) if job is not None]
    assert code == 0
    assert not [job for job in found if job.state == "running"]
    assert all(job.max_attempts - job.attempt >= 9 for job in found)


def test_work_goes_on_after_redis_lost_its_memory(
    commands: Avivro, conn: Connection, redis_url: str
) -> None:
    import redis

    start(commands, conn)
    ids = enqueue(conn, 60, sleep_ms=100, effect="flushed")
    wait_until(lambda: jobs.list_jobs(conn, state="completed", rows_max=9)[5:], "some are done")

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    wait_until(all_in(conn, ids, "completed"), "all jobs, after FLUSHALL")
    assert count_effects(conn, "flushed") == (60, 60)
