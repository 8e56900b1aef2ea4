"""Who asks for an erasure and who does it never wait for each other in a circle."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from db import erasures
from db.acting import acting_as
from db.pool import Connection, connect
from tests.integration.schema_world import OWNER
from tests.integration.visitor_world import (
    AGENT,
    VISITOR,
    build_owners,
    held,
    leave_traces,
    one,
)

WAIT_S = 20


def ask(conn: Connection) -> UUID:
    with acting_as(conn, OWNER):
        return erasures.request(conn, AGENT, visitor_id=VISITOR)


def wait_until_blocked(conn: Connection, backend_pid: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while one(conn, "SELECT pg_blocking_pids(%s)", backend_pid) == ([],):
        assert time.monotonic() < deadline, "never waited for the job"
        time.sleep(0.01)


def test_who_asks_again_while_it_runs_stops_nobody(conn: Connection, database_url: str) -> None:
    build_owners(conn)
    leave_traces(conn)
    request_id = ask(conn)

    with (
        held(conn, database_url, request_id) as fence,
        connect(database_url, autocommit=True) as asking,
        ThreadPoolExecutor(1) as pool,
        fence.write() as worker,
    ):
        again = pool.submit(ask, asking)
        wait_until_blocked(conn, asking.info.backend_pid)
        erasures.begin(worker, request_id)

    assert again.result() == request_id
    (found,) = erasures.list_requests(conn, agent_id=AGENT, rows_max=10)
    assert found.state == "running"
