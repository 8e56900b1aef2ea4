"""A visitor is forgotten: in every table, nobody else with them, and it is looked at."""

from uuid import UUID

import pytest

from db import erasures
from db.acting import acting_as
from db.erasures import Request
from db.pool import Connection
from pipelines.erase_visitor import run
from tests.integration.schema_world import OWNER
from tests.integration.visitor_world import (
    AGENT,
    EMAIL,
    IP,
    NAME,
    SAID,
    VISITOR,
    build_owners,
    find,
    held,
    leave_traces,
    one,
)

NEEDLES = [VISITOR, EMAIL, "15550109999", "555) 010-9999", NAME, SAID, IP]


@pytest.fixture
def conn(conn: Connection) -> Connection:
    build_owners(conn)
    return conn


def ask(conn: Connection, agent: UUID = AGENT, **who: str) -> UUID:
    with acting_as(conn, OWNER):
        return erasures.request(conn, agent, **who)


def erase(conn: Connection, url: str, request_id: UUID) -> Request:
    with held(conn, url, request_id) as fence:
        run(fence, request_id=request_id)
    found = erasures.get(conn, request_id)
    assert found is not None
    return found


def rows(conn: Connection, table: str) -> int:
    return int(one(conn, f"SELECT count(*) FROM {table}")[0])


def test_nothing_is_left_of_the_visitor_in_any_table(conn: Connection, database_url: str) -> None:
    leave_traces(conn)
    request_id = ask(conn, visitor_id=VISITOR)

    done = erase(conn, database_url, request_id)

    assert (done.state, done.remains) == ("done", {})
    assert find(conn, NEEDLES) == set()
