"""Draining a real worker process: it claims no more, ends what it runs, and is replaced."""

import json

import psutil

from db import processes
from db.pool import Connection
from db.processes import Process
from tests.e2e.test_watched_workers import get, start
from tests.e2e.test_workers import all_in, count_effects, enqueue
from tests.processes import Avivro, wait_until

LONG_MS = 12_000


def workers_of(conn: Connection) -> list[Process]:
    return [each for each in processes.list_live(conn) if each.role == "worker" and each.queues]


def replaced(conn: Connection, old: Process) -> list[Process]:
    return [each for each in workers_of(conn) if each.id != old.id]


def test_a_drained_worker_ends_what_it_runs_and_claims_nothing_more(
    commands: Avivro, conn: Connection
) -> None:
    start(commands, conn)
    (old,) = workers_of(conn)
    (long,) = enqueue(conn, 1, sleep_ms=LONG_MS, effect="long")
    wait_until(lambda: get(conn, long).state == "running", "the long job runs")

    listed = json.loads(commands.run("workers", "list", "--json").stdout)
    asked = commands.run("workers", "drain", str(old.id), "--why", "a test", "--json")
    wait_until(lambda: replaced(conn, old), "another process works in its place")
    later = enqueue(conn, 20, sleep_ms=20, effect="later")
    wait_until(all_in(conn, later, "completed"), "what came later")

    assert {each["role"] for each in listed} == {"worker", "dispatcher"}
    assert str(old.id) in {each["id"] for each in listed}
    assert json.loads(asked.stdout) == {"id": str(old.id), "host": old.host, "pid": old.pid}
    assert {get(conn, job_id).worker_id for job_id in later}.isdisjoint({old.id})
    wait_until(all_in(conn, [long], "completed"), "the long job ends")
    assert (get(conn, long).worker_id, get(conn, long).attempt) == (old.id, 1)
    wait_until(lambda: not psutil.pid_exists(old.pid), "its process ends")
    wait_until(
        lambda: (
            not conn.execute("SELECT FROM worker.processes WHERE id = %s", (old.id,)).fetchone()
        ),
        "its row is gone",
    )
    assert (count_effects(conn, "long"), count_effects(conn, "later")) == ((1, 1), (20, 20))
