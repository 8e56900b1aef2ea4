"""Rows that only SQL by hand makes: every page shows them, and no other row is lost over them."""

from collections.abc import Iterator

import pytest

from db import jobs
from db.jobs import Finish
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from tests.queueing import claim_one, start_worker

ENDLESS = ("infinity", "-infinity", "294276-12-31 23:59:59+00", "0044-03-15 00:00:00+00 BC")
ERRORS = (
    "null", '"boom"', "{}", "[null, 7, [{}]]", '[{"attempt": 1e300, "at": "infinity"}]',
    '[{"attempt": true, "at": 5, "error": {"a": 1}, "trace": [1], "started_at": true}]',
    '[{"attempt": 1, "started_at": "0001-01-01T00:00:00+14:00", "at": "9999-12-31T23:59:59-14:00",'
    ' "error": "\\u202eevil <script>alert(1)</script>", "worker_id": {"a": 1}}]',
)  # fmt: skip
ARGS = ("null", "7", '"text"', "[1]", '{"n": 1' + "0" * 5_000 + "}", "[" * 1_500 + "]" * 1_500)
PROGRESS = (
    '{"done": 1e400, "total": 1}',
    '{"done": true, "total": true}',
    '{"done": -5, "total": 9}',
)
PAGES = (
    "/", "/jobs", "/jobs?q=state:discarded", "/jobs?q=state:running", "/jobs?q=ran%3E1s",
    "/jobs?q=ran%3C3650d", "/jobs?q=waited%3E1s", "/jobs?q=age%3E1s", "/jobs?q=error:*",
    "/jobs?q=args.n:1", "/jobs?q=about:1", "/jobs?q=state:discarded&preview=retry&all=1",
    "/errors", "/errors/abcdef012345", "/queues", "/workers", "/tenants",
)  # fmt: skip


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def odd_jobs(conn: Connection) -> list[int]:
    """One for each that may be odd; unlike these, odd numbers are odd all at once."""
    given = [{name: at} for at in ENDLESS for name in ("created_at", "started_at", "finished_at")]
    given += [dict.fromkeys(("created_at", "started_at", "finished_at"), at) for at in ENDLESS]
    given += [{"errors": text} for text in ERRORS] + [{"args": text} for text in ARGS]
    given += [{"progress": text, "result": text} for text in PROGRESS]
    given += [{"kind": "../x\u202e<b>", "queue": "a/b?c#d%2f", "error_group": "no group"}]
    found = []
    for place, odd in enumerate(given):
        for state in ("discarded", "running" if place % 2 else "retryable"):
            names = {"kind": "probe", "queue": "default", "attempt": "5", "max_attempts": "-3",
                     "priority": "-2147483648", "run_at": "9997-12-31 23:59:59+00",
                     "error_group": "abcdef012345", "state": state, "started_at": "now",
                     "finished_at": "now" if state == "discarded" else None, **odd}  # fmt: skip
            columns = ", ".join(names)
            values = ", ".join(f"%({name})s" for name in names)
            row = conn.execute(
                f"INSERT INTO worker.jobs ({columns}) VALUES ({values}) RETURNING id", names
            ).fetchone()
            assert row is not None
            found.append(int(row[0]))
    return found


def test_no_odd_row_breaks_a_page(desk: Desk, conn: Connection) -> None:
    ids = odd_jobs(conn)
    client = desk.browser("operator").client

    paths = [*(f"/jobs/{id}" for id in ids), *PAGES]
    broken = {path: client.get(path).status_code for path in paths}

    assert {path: status for path, status in broken.items() if status != 200} == {}


@pytest.mark.parametrize("errors", ["{}", '"boom"', "null"])
def test_errors_that_are_no_list_hold_up_nobodys_finish(conn: Connection, errors: str) -> None:
    worker_id = start_worker(conn)
    ids = [jobs.enqueue(conn, "probe", {}) for _ in range(2)]
    conn.execute("UPDATE worker.jobs SET errors = %s WHERE id = %s", (errors, ids[0]))
    claimed = [claim_one(conn, worker_id) for _ in ids]

    ended = jobs.finish_jobs(
        conn,
        [Finish(job.id, job.attempt, "retryable", 60.0, {"error": "x"}) for job in claimed],
    )

    assert ended == dict.fromkeys(ids, "retryable")
