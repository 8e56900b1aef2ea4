"""`avivro jobs cancel`, `avivro queues` and `avivro top`, as an operator uses them."""

import json
from uuid import uuid4

import pytest

from db import jobs
from db.pool import Connection
from tests.processes import Avivro
from tests.queueing import claim_one, start_worker, state


def test_a_waiting_job_is_cancelled_and_a_running_one_asked(
    conn: Connection, commands: Avivro
) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    running = claim_one(conn, worker_id).id
    waiting = jobs.enqueue(conn, "probe", {})

    ended = commands.run("jobs", "cancel", str(waiting), str(running), "999999")

    assert (state(conn, waiting), state(conn, running)) == ("cancelled", "running")
    assert f"job {running} was asked to stop" in ended.stdout
    assert (ended.returncode, "999999" in ended.stderr) == (1, True)


def test_pausing_shows_in_the_list_until_it_is_resumed(conn: Connection, commands: Avivro) -> None:
    jobs.enqueue(conn, "probe", {})
    commands.run("queues", "pause", "default", "--reason", "incident 7")
    commands.run("queues", "pause", "--kind", "index_source")

    paused = json.loads(commands.run("queues", "list", "--json").stdout)
    commands.run("queues", "resume", "default")
    resumed = json.loads(commands.run("queues", "list", "--json").stdout)

    found = {queue["name"]: queue for queue in paused}
    assert (found["default"]["reason"], found["default"]["jobs"]["available"]) == ("incident 7", 1)
    assert found["default"]["paused_by"].startswith("cli:")
    assert found["knowledge"]["paused_kinds"] == ["index_source"]
    assert {q["name"]: q["paused_at"] for q in resumed}["default"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name one of"),
        (("default", "--kind", "probe"), "name one of"),
        (("defualt",), "there is no queue defualt"),
        (("--kind", "prob"), "there is no kind prob"),
    ],
)
def test_pausing_what_is_not_there_is_refused(
    commands: Avivro, arguments: tuple[str, ...], says: str
) -> None:
    ended = commands.run("queues", "pause", *arguments)

    assert (ended.returncode, says in ended.stderr) == (2, True)


def test_a_paused_tenant_is_named_in_the_list(commands: Avivro) -> None:
    tenant = str(uuid4())
    commands.run("queues", "pause", "--tenant", tenant)

    assert f"tenant {tenant} is paused" in commands.run("queues", "list").stdout


def test_resuming_what_is_not_paused_says_so(commands: Avivro) -> None:
    assert commands.run("queues", "resume", "default").returncode == 1


def test_top_shows_one_look_as_json(conn: Connection, commands: Avivro) -> None:
    start_worker(conn)

    look = json.loads(commands.run("top", "--json").stdout)

    assert [process["role"] for process in look["processes"]] == ["worker"]
    assert {queue["name"]: queue["threads"] for queue in look["queues"]}["default"] == 8


def test_top_says_what_an_empty_database_lacks(empty_database_url: str, commands: Avivro) -> None:
    commands.env["DATABASE_URL"] = empty_database_url

    ended = commands.run("top", "--json")

    assert ended.returncode == 3
    assert "run avivro migrate" in ended.stderr
    assert "Traceback" not in ended.stderr
