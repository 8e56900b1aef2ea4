"""Worker processes that hang, block, grow or are frozen: replaced, and no job is lost."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from db import jobs, processes
from db.jobs import Job
from db.pool import Connection, connect
from tests.e2e.test_workers import all_in, count_effects, enqueue
from tests.processes import ROOT, Avivro, children, kill_group, wait_until, worker_children
from workers.heartbeat import EXIT_LEASE_LOST

PATCHES = Path(__file__).parent / "patches"
LIMIT_S = 2


@pytest.fixture
def patched(commands: Avivro) -> Avivro:
    """Commands whose probes can block, hold the interpreter or grow; see patches/."""
    commands.env["PYTHONPATH"] = f"{PATCHES}{os.pathsep}{ROOT}"
    return commands


def start(commands: Avivro, conn: Connection, *options: str) -> None:
    commands.start("dispatcher")
    commands.start("worker", "--queue", "default:4", *options)
    ready = enqueue(conn, 1)
    wait_until(all_in(conn, ready, "completed"), "the workers run a first job")


def get(conn: Connection, job_id: int) -> Job:
    job = jobs.get_job(conn, job_id)
    assert job is not None
    return job


def running(conn: Connection, *ids: int) -> bool:
    return all(get(conn, job_id).state == "running" for job_id in ids)


def errors_of(conn: Connection, job_id: int) -> list[str]:
    return [error["error"] for error in get(conn, job_id).errors]


def leave_attempts(conn: Connection, job_id: int, number: int) -> None:
    """Leave the job so few attempts that its end is soon seen."""
    conn.execute("UPDATE worker.jobs SET max_attempts = %s WHERE id = %s", (number, job_id))


def kill_all(commands: Avivro) -> None:
    """An orderly end would wait for a long job."""
    for process in commands.started.values():
        kill_group(process, signal.SIGKILL)


def test_a_slow_job_is_interrupted_at_its_limit(patched: Avivro, conn: Connection) -> None:
    patched.env["PATCH_LIMIT_S"] = str(LIMIT_S)
    start(patched, conn)
    (before,) = worker_children(patched)

    (slow,) = enqueue(conn, 1, sleep_ms=60_000)
    wait_until(lambda: errors_of(conn, slow), "the slow job has an error")

    assert errors_of(conn, slow) == ["The job ran longer than its time limit."]
    assert before.is_running()


def test_a_job_blocked_in_c_is_ended_at_its_limit_and_it_alone_is_blamed(
    patched: Avivro, conn: Connection
) -> None:
    patched.env["PATCH_LIMIT_S"] = str(LIMIT_S)
    start(patched, conn)

    (blocked,) = enqueue(conn, 1, effect="block in C")
    leave_attempts(conn, blocked, 2)
    wait_until(lambda: running(conn, blocked), "the job blocks")
    # Short jobs run beside it all the time, so some run when the process is ended.
    beside = enqueue(conn, 60, sleep_ms=500, effect="beside")

    wait_until(all_in(conn, beside, "completed"), "what ran beside it")
    # Its second attempt runs alone, in a process that is watched as well.
    wait_until(all_in(conn, [blocked], "discarded"), "the blocked job ends")
    assert errors_of(conn, blocked) == 2 * [
        "The job ran longer than its time limit of 2 s and could not be interrupted; "
        "its worker process was ended."
    ]
    assert all(not get(conn, job_id).errors for job_id in beside)
    assert count_effects(conn, "beside") == (60, 60)


def test_a_process_whose_interpreter_is_held_is_replaced(patched: Avivro, conn: Connection) -> None:
    start(patched, conn)
    (before,) = worker_children(patched)

    (holding,) = enqueue(conn, 1, effect="hold the interpreter")
    wait_until(lambda: running(conn, holding), "the job holds the interpreter")
    others = enqueue(conn, 8, effect="after it")

    wait_until(lambda: not before.is_running(), "the process is ended")
    wait_until(all_in(conn, others, "completed"), "a new process works")
    wait_until(lambda: errors_of(conn, holding), "the job is a suspect")
    assert errors_of(conn, holding)[0] == (
        "The worker process died while it ran this job: "
        "it gave no sign of life for 12 s and was ended."
    )
    assert count_effects(conn, "after it") == (8, 8)


def test_a_job_that_eats_memory_ends_discarded_and_the_others_complete(
    patched: Avivro, conn: Connection
) -> None:
    start(patched, conn, "--max-memory", "256")

    (hog,) = enqueue(conn, 1, effect="hog memory")
    leave_attempts(conn, hog, 1)
    others = enqueue(conn, 20, sleep_ms=200, effect="beside a hog")

    wait_until(all_in(conn, [hog], "discarded"), "the hog ends")
    wait_until(all_in(conn, others, "completed"), "the others")
    assert "MB of memory, the limit is 384 MB" in errors_of(conn, hog)[-1]
    assert count_effects(conn, "beside a hog") == (20, 20)


def test_a_process_over_its_ceiling_finishes_its_jobs_and_is_replaced(
    patched: Avivro, conn: Connection
) -> None:
    start(patched, conn, "--max-memory", "256")
    (before,) = worker_children(patched)

    leaking = enqueue(conn, 3, effect="leak memory")
    wait_until(lambda: not before.is_running(), "the process leaves")
    others = enqueue(conn, 4, effect="in the next process")

    done = wait_until(all_in(conn, leaking + others, "completed"), "all jobs")
    assert [job for job in done if job.errors or job.attempt != 1] == []
    assert "MB of memory, the limit is 256 MB" in patched.log("worker")
    assert "ended (" not in patched.log("worker")


def test_a_process_that_did_its_share_is_replaced_and_nothing_is_burnt(
    commands: Avivro, conn: Connection
) -> None:
    start(commands, conn, "--max-jobs", "20")

    ids = enqueue(conn, 80, sleep_ms=20, effect="shares")

    done = wait_until(all_in(conn, ids, "completed"), "all jobs")
    assert len({job.worker_id for job in done}) >= 3
    assert {job.max_attempts - job.attempt for job in done} == {9}
    assert [job for job in done if job.errors] == []
    assert count_effects(conn, "shares") == (80, 80)


def test_a_frozen_process_is_replaced_before_its_lease_runs_out(
    commands: Avivro, conn: Connection
) -> None:
    start(commands, conn)
    (frozen,) = worker_children(commands)
    ids = enqueue(conn, 6, sleep_ms=1000, effect="frozen")
    wait_until(lambda: len(jobs.list_jobs(conn, state="running")) >= 4, "it runs jobs")

    frozen.suspend()

    wait_until(lambda: not frozen.is_running(), "the frozen process is ended")
    wait_until(all_in(conn, ids, "completed"), "all jobs, elsewhere")
    assert count_effects(conn, "frozen") == (6, 6)


def test_what_thaws_after_its_jobs_were_rescued_stores_nothing(
    commands: Avivro, conn: Connection
) -> None:
    """Parent and child freeze together, so that nobody ends the child: the fence must hold."""
    start(commands, conn)
    worker = commands.started["worker"]
    (child,) = worker_children(commands)
    (job_id,) = enqueue(conn, 1, sleep_ms=3000, effect="thawed")
    wait_until(lambda: running(conn, job_id), "the job runs")

    os.killpg(worker.pid, signal.SIGSTOP)
    second = commands.start("worker", "--queue", "default:4")
    wait_until(all_in(conn, [job_id], "completed"), "the job, at the second worker")
    finished = get(conn, job_id)
    os.killpg(worker.pid, signal.SIGCONT)
    wait_until(lambda: not child.is_running(), "the thawed process ends by itself")

    assert get(conn, job_id) == finished
    assert count_effects(conn, "thawed") == (1, 1)
    assert second.poll() is None
    os.killpg(worker.pid, signal.SIGTERM)
    worker.wait(60)


def test_when_one_of_two_processes_dies_the_other_goes_on(
    commands: Avivro, conn: Connection
) -> None:
    start(commands, conn, "--processes", "2")
    wait_until(lambda: len(worker_children(commands)) == 2, "two processes")
    wait_until(lambda: len(live_workers(conn)) == 2, "both are there")
    ids = enqueue(conn, 40, sleep_ms=300, effect="two")
    wait_until(lambda: len(jobs.list_jobs(conn, state="running")) >= 6, "both run jobs")
    dead, alive = worker_children(commands)

    dead.kill()

    wait_until(all_in(conn, ids, "completed"), "all jobs")
    assert alive.is_running()
    wait_until(lambda: len(worker_children(commands)) == 2, "the dead one is replaced")
    assert commands.started["worker"].poll() is None
    assert count_effects(conn, "two") == (40, 40)


def live_workers(conn: Connection) -> list[processes.Process]:
    return [process for process in processes.list_live(conn) if process.role == "worker"]


def test_sigterm_under_load_loses_and_doubles_nothing(commands: Avivro, conn: Connection) -> None:
    start(commands, conn)
    ids = enqueue(conn, 400, sleep_ms=30, effect="deployed")

    for _ in range(3):
        wait_until(lambda: len(jobs.list_jobs(conn, state="running")) >= 2, "jobs run")
        worker = commands.started["worker"]
        worker.terminate()
        commands.start("worker", "--queue", "default:4")
        assert worker.wait(40) == 0

    done = wait_until(all_in(conn, ids, "completed"), "all jobs")
    assert count_effects(conn, "deployed") == (400, 400)
    assert [job for job in done if job.errors] == []
    assert {job.max_attempts - job.attempt for job in done} == {9}


def test_what_waits_behind_long_jobs_is_given_back_when_the_drain_begins(
    commands: Avivro, conn: Connection
) -> None:
    start(commands, conn)
    worker = commands.started["worker"]
    # Quick ones first: then the worker claims many ahead, and the long ones hold up the rest.
    enqueue(conn, 100)
    long = enqueue(conn, 4, sleep_ms=15_000)
    behind = enqueue(conn, 20, sleep_ms=100, effect="behind")
    wait_until(lambda: running(conn, *long), "the long ones run")

    worker.terminate()
    commands.start("worker", "--queue", "default:4")

    wait_until(all_in(conn, behind, "completed"), "what lay behind them")
    assert running(conn, *long)
    assert worker.poll() is None


def test_a_second_sigterm_waits_for_nothing_and_hands_back(
    commands: Avivro, conn: Connection
) -> None:
    start(commands, conn)
    ids = enqueue(conn, 4, sleep_ms=300_000)
    wait_until(lambda: running(conn, *ids), "all run")
    worker = commands.started["worker"]
    family = children(worker)

    worker.terminate()
    wait_until(lambda: "drains" in commands.log("worker"), "the drain has begun")
    for _ in range(200):
        worker.terminate()
        if is_gone(worker):
            break

    assert worker.wait(20) == 0
    assert psutil.wait_procs(family, timeout=20)[1] == []
    found = [get(conn, job_id) for job_id in ids]
    assert {job.state for job in found} <= {"available", "dispatched"}
    assert {job.max_attempts - job.attempt for job in found} == {10}


def is_gone(process: "subprocess.Popen[bytes]") -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.1)
    return process.returncode is not None


def test_the_page_of_processes_shows_what_a_worker_does(commands: Avivro, conn: Connection) -> None:
    start(commands, conn)
    (job_id,) = enqueue(conn, 1, sleep_ms=60_000)
    wait_until(lambda: running(conn, job_id), "the job runs")

    def shown() -> dict[str, object] | None:
        (worker,) = live_workers(conn)
        return worker.stats if worker.stats and worker.stats["running"] else None

    stats = wait_until(shown, "the next renewal")

    assert stats["running"] == [job_id]
    assert stats["jobs_ended"] == 1
    assert isinstance(stats["rss_mb"], int)
    assert stats["rss_mb"] > 20
    kill_all(commands)


def test_a_process_whose_renewal_hangs_ends_by_itself_and_its_jobs_are_innocent(
    commands: Avivro, conn: Connection, database_url: str
) -> None:
    start(commands, conn)
    (before,) = worker_children(commands)
    (job_id,) = enqueue(conn, 1, sleep_ms=30_000)
    wait_until(lambda: running(conn, job_id), "the job runs")

    with connect(database_url) as blocking:
        blocking.execute("SELECT FROM worker.processes WHERE pid = %s FOR UPDATE", (before.pid,))
        wait_until(lambda: not before.is_running(), "it ends without an answer")

    wait_until(lambda: get(conn, job_id).attempt == 2, "the job runs again")
    assert f"exit code {EXIT_LEASE_LOST}" in commands.log("worker")
    assert errors_of(conn, job_id) == []
    kill_all(commands)
