"""Real scheduler processes: one job a tick, whoever dies, and what the command says."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from db import jobs, processes, schedules
from db.pool import Connection
from pipelines.prune import DELETIONS
from tests.processes import Avivro, wait_until

SECOND = timedelta(seconds=1)
NOTHING_DELETED = {"deleted": dict.fromkeys(DELETIONS, 0), "complete": True}


class Pair:
    """Two schedulers with a schedule for every second, against one database."""

    def __init__(self, commands: Avivro, database_url: str, conn: Connection) -> None:
        self._commands = commands
        self._arguments = [sys.executable, "-m", "tests.every_second", database_url]
        self._conn = conn
        self.running = [self.start(), self.start()]

    def start(self) -> "subprocess.Popen[bytes]":
        with (self._commands.folder / "every-second.log").open("ab") as log:
            return subprocess.Popen(self._arguments, env=self._commands.env, stdout=log, stderr=log)

    def ticks(self) -> list[tuple[datetime, int]]:
        return self._conn.execute(
            "SELECT fire_at, job_id FROM worker.schedule_ticks ORDER BY fire_at"
        ).fetchall()

    def wait_for_ticks(self, count: int) -> None:
        """Until there are that many more."""
        wanted = len(self.ticks()) + count
        wait_until(lambda: len(self.ticks()) >= wanted, f"{count} more ticks")

    def stop(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(20)


@pytest.fixture
def pair(commands: Avivro, database_url: str, conn: Connection) -> Iterator[Pair]:
    two = Pair(commands, database_url, conn)
    two.wait_for_ticks(2)
    yield two
    two.stop()


def test_two_schedulers_fire_each_second_once(pair: Pair, conn: Connection) -> None:
    pair.wait_for_ticks(5)

    pair.stop()

    assert_gapless(pair, conn)


def test_a_killed_scheduler_is_not_missed(pair: Pair, conn: Connection) -> None:
    pair.running[0].kill()
    pair.wait_for_ticks(4)

    pair.stop()

    assert_gapless(pair, conn)


def test_a_lost_connection_loses_no_tick(pair: Pair, conn: Connection) -> None:
    conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'avivro scheduler' AND datname = current_database()"
    )
    pair.wait_for_ticks(4)

    pair.stop()

    assert_gapless(pair, conn)


def test_a_stall_of_seconds_loses_no_tick(pair: Pair, conn: Connection) -> None:
    for process in pair.running:
        process.send_signal(signal.SIGSTOP)
    last = pair.ticks()[-1][0]
    wait_until(lambda: schedules.read_clock(conn) > last + 3 * SECOND, "three seconds go by")
    for process in pair.running:
        process.send_signal(signal.SIGCONT)
    pair.wait_for_ticks(4)

    pair.stop()

    assert_gapless(pair, conn)


def assert_gapless(pair: Pair, conn: Connection) -> None:
    """Every second from the first to the last has one tick, and each tick has a job of its own."""
    found = pair.ticks()
    assert {later - earlier for (earlier, _), (later, _) in pairwise(found)} == {SECOND}
    assert [job_id for _, job_id in found] == sorted(
        job.id for job in jobs.list_jobs(conn, rows_max=1000)
    )


def test_the_command_holds_a_lease_and_ends_in_order(commands: Avivro, conn: Connection) -> None:
    scheduler = commands.start("scheduler")
    wait_until(lambda: processes.list_live(conn), "the scheduler is there")
    (process,) = processes.list_live(conn)

    scheduler.send_signal(signal.SIGTERM)
    code = scheduler.wait(20)

    assert (process.role, process.pid, code) == ("scheduler", scheduler.pid, 0)
    assert processes.list_live(conn) == []


def test_schedules_are_listed_run_paused_and_resumed(commands: Avivro, conn: Connection) -> None:
    run = commands.run("schedules", "run", "prune")
    commands.run("schedules", "pause", "prune")
    paused = json.loads(commands.run("schedules", "list", "--json").stdout)
    commands.run("schedules", "resume", "prune")
    resumed = json.loads(commands.run("schedules", "list", "--json").stdout)

    (job,) = jobs.list_jobs(conn)
    assert (run.stdout.strip(), job.kind) == (f"job {job.id}", "prune")
    assert ("prune", True, None) in [(e["name"], e["paused"], e["next"]) for e in paused]
    assert paused[0]["last"] is not None
    assert {(e["paused"], e["next"] is None) for e in resumed} == {(False, False)}


def test_times_are_edited_and_set_back(commands: Avivro) -> None:
    commands.run("schedules", "edit", "prune", "30 2 * * sun")
    edited = json.loads(commands.run("schedules", "list", "--json").stdout)
    refused = commands.run("schedules", "edit", "prune", "30 2 * * 7")
    commands.run("schedules", "reset", "prune")
    reset = json.loads(commands.run("schedules", "list", "--json").stdout)

    assert (edited[0]["cron"], edited[0]["cron_default"]) == ("30 2 * * sun", "7 * * * *")
    assert "T02:30:00" in edited[0]["next"]
    assert (refused.returncode, "weekday as mon" in refused.stderr) == (2, True)
    assert reset[0]["cron"] == "7 * * * *"
    assert {"late_s", "missed", "catch_up_s", "missed_1d", "made_up_1d"} <= reset[0].keys()


def test_an_unknown_schedule_is_answered_with_the_known_ones(commands: Avivro) -> None:
    answer = commands.run("schedules", "pause", "nightly")

    assert answer.returncode == 2
    assert "no schedule nightly; known are prune" in answer.stderr


def test_a_schedule_run_by_hand_is_done_by_a_worker(commands: Avivro, conn: Connection) -> None:
    commands.start("dispatcher")
    commands.start("worker", "--queue", "default:2")

    commands.run("schedules", "run", "prune")

    (job,) = wait_until(lambda: jobs.list_jobs(conn, state="completed"), "prune is done")
    assert (job.kind, job.result) == ("prune", NOTHING_DELETED)
