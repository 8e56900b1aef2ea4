"""`avivro visitors`, as an operator uses it."""

import json

import pytest

from db.pool import Connection
from tests.integration.visitor_world import (
    AGENT,
    EMAIL,
    SECOND_AGENT,
    VISITOR,
    build_owners,
    find,
    talk,
)
from tests.processes import Avivro


@pytest.fixture
def conn(conn: Connection) -> Connection:
    build_owners(conn)
    return conn


def test_a_visitor_is_erased_by_workers_that_the_command_starts(
    conn: Connection, commands: Avivro
) -> None:
    talk(conn)

    ended = commands.run("visitors", "erase", str(AGENT), VISITOR, "--wait", "--json")
    listed = json.loads(commands.run("visitors", "requests", "--json").stdout)

    done = json.loads(ended.stdout)
    assert (done["state"], done["counts"]["public.conversations"]) == ("done", 1)
    assert listed == [done]
    assert find(conn, [VISITOR, EMAIL]) == set()


def test_requests_are_listed_and_wrong_ones_refused(conn: Connection, commands: Avivro) -> None:
    asked = commands.run("visitors", "erase", str(AGENT), "--email", EMAIL)
    refused = commands.run("visitors", "erase", str(AGENT), "--email", "ann")
    listed = commands.run("visitors", "requests", "--agent", str(SECOND_AGENT), "--json")

    assert "is requested" in asked.stdout
    assert (refused.returncode, refused.stderr.strip()) == (2, '"ann" is no email address')
    assert json.loads(listed.stdout) == []
