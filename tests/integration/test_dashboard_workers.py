"""The page of processes: who works, on what, who is ill; and asking one to drain."""

import re
from collections.abc import Iterator
from html import unescape
from uuid import UUID, uuid4

import pytest

from db import jobs, processes
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from tests.queueing import claim_one, start_worker

HOSTILE = "<script>alert(1)</script>\u202e" + "H" * 400


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def words(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", page)))


def start(conn: Connection, role: str) -> UUID:
    process_id = uuid4()
    processes.register(conn, id=process_id, role=role, host=f"{role}-a", pid=7, queues={})
    return process_id


def test_who_is_missing_is_said_first(desk: Desk) -> None:
    page = words(desk.browser("viewer").get("/workers"))

    for role in ("worker", "dispatcher", "scheduler"):
        assert f"No {role} runs" in page
    assert "No worker process lives" in page


def test_a_process_shows_what_it_runs_and_how_it_is(desk: Desk, conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    job = claim_one(conn, worker_id)
    processes.renew(
        conn,
        id=worker_id,
        queues={"default": {"threads": 8}},
        stats={"rss_mb": 212, "jobs_ended": 4711},
    )

    page = desk.browser("viewer").get("/workers")

    assert f'id="{worker_id}"' in page
    assert f'href="/jobs/{job.id}"' in page
    assert "default 1 of 8 threads" in words(page)
    assert "212 MB" in page
    assert "4,711" in page
    assert "Drain" not in re.sub("(?s)<p class=.q gap.>.*", "", page)


def test_a_job_that_runs_longer_than_its_kind_usually_does_is_marked(
    desk: Desk, conn: Connection
) -> None:
    worker_id = start_worker(conn)
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, max_attempts, started_at, finished_at)"
        " SELECT 'probe', 'default', 'completed', 1, now() - interval '2 s', now()"
        " FROM generate_series(1, 30)"
    )
    jobs.enqueue(conn, "probe", {})
    job = claim_one(conn, worker_id)
    conn.execute(
        "UPDATE worker.jobs SET started_at = now() - interval '9 min' WHERE id = %s", (job.id,)
    )

    assert "9.0 min, usually under 2 s" in words(desk.browser("viewer").get("/workers"))


def test_a_drain_is_asked_for_noted_and_shown(desk: Desk, conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    claim_one(conn, worker_id)
    browser = desk.browser("operator")
    assert "/workers/drain" in browser.get("/workers")

    browser.post("/workers/drain", id=worker_id, next="/workers")

    renewed = processes.renew(conn, id=worker_id, queues={})
    assert renewed is not None
    assert renewed.drains
    page = browser.get("/workers")
    assert "draining, 1 job left" in words(page)
    assert "/workers/drain" not in page
    assert conn.execute("SELECT action, target, details FROM worker.audit_log").fetchall() == [
        ("drain_worker", f"worker {worker_id}", {"host": "here", "pid": 1})
    ]


@pytest.mark.parametrize("role", ["dispatcher", "scheduler", "dashboard"])
def test_only_workers_are_drained(desk: Desk, conn: Connection, role: str) -> None:
    process_id = start(conn, role)
    browser = desk.browser("operator")
    page = browser.get("/workers")
    assert "/workers/drain" not in page

    status, text = browser.send(
        "/workers/drain", csrf=browser.token, why="x", id=process_id, next="/workers"
    )

    assert status == 404
    assert "No live worker has this id" in text
    assert conn.execute("SELECT count(*) FROM worker.audit_log").fetchone() == (0,)


def test_a_viewer_drains_nothing(desk: Desk, conn: Connection) -> None:
    viewer = desk.browser("viewer")

    status, _ = viewer.send("/workers/drain", csrf=viewer.token, why="x", id=start_worker(conn))

    assert status == 403


def test_the_dead_are_shown_with_what_they_held(desk: Desk, conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    job = claim_one(conn, worker_id)
    processes.expire(conn, id=worker_id, started=[job.id], cause="it used 900 MB")
    conn.execute("UPDATE worker.processes SET host = %s", (HOSTILE,))

    page = desk.browser("operator").get("/workers")

    assert "lease ran out" in words(page)
    assert "it used 900 MB" in page
    assert f'href="/jobs/{job.id}"' in page
    assert "<script>alert" not in page
    assert "H" * 60 not in page


def test_a_late_renewal_is_marked_before_the_lease_runs_out(desk: Desk, conn: Connection) -> None:
    start_worker(conn)
    conn.execute(
        "UPDATE worker.processes SET renewed_at = now() - interval '15 s',"
        " expires_at = now() + interval '5 s'"
    )

    assert "renewal late" in words(desk.browser("viewer").get("/workers"))
