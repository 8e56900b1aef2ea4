"""Who asks again for an erasure: nobody waits in a circle, nothing that came since is missed."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from db import erasures
from db.acting import acting_as
from db.fence import Fence
from db.pool import Connection, connect
from pipelines import erase_visitor
from pipelines.erase_visitor import look
from tests.integration.schema_world import OWNER, insert
from tests.integration.visitor_world import (
    AGENT,
    VISITOR,
    build_owners,
    find,
    held,
    leave_traces,
    one,
    talk,
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


def test_who_asks_again_while_it_runs_has_it_run_again(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_owners(conn)
    leave_traces(conn)
    request_id = ask(conn)

    def look_and_be_asked(db: Fence, request_id: UUID) -> dict[str, int]:
        found = look(db, request_id)
        talk(conn, visitor=VISITOR)
        ask(conn)
        return found

    monkeypatch.setattr(erase_visitor, "look", look_and_be_asked)
    with held(conn, database_url, request_id) as fence:
        first = erase_visitor.run(fence, request_id=request_id)
        (will_rerun,) = one(conn, "SELECT rerun FROM worker.jobs WHERE id = %s", fence.job_id)
        monkeypatch.undo()
        second = erase_visitor.run(fence, request_id=request_id)

    assert (first["state"], will_rerun, second["state"]) == ("requested", True, "done")
    assert find(conn, [VISITOR]) == set()


def test_conversations_go_in_the_order_in_which_others_lock_them(
    conn: Connection, database_url: str
) -> None:
    build_owners(conn)
    first, *others = [UUID(int=number) for number in range(1, 41)]
    for id in [*others, first]:
        insert(conn, "conversations", {"id": id, "agent_id": AGENT, "visitor_id": VISITOR})
    request_id = ask(conn)
    erasures.gather(conn, request_id)
    lock = "SELECT FROM conversations WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"

    with (
        connect(database_url, autocommit=True) as erasing,
        ThreadPoolExecutor(1) as pool,
        connect(database_url) as scoring,
    ):
        scoring.execute(lock, ([first],))
        gone = pool.submit(erasures.delete_conversations, erasing, request_id, rows_max=99)
        wait_until_blocked(conn, erasing.info.backend_pid)
        scoring.execute(lock, (others,))
        scoring.commit()

        assert gone.result() == 40
