"""The dashboard process by itself: ready or not and why, and its end."""

import json
import socket

import pytest

from db import processes
from db.pool import Connection
from tests.processes import Avivro, avivro, wait_until
from tests.scraping import get


@pytest.fixture
def running(commands: Avivro) -> Avivro:
    commands.env["DASHBOARD_PORT"] = "0"
    commands.start("dashboard")
    return commands


def test_it_is_ready_where_all_is_there(running: Avivro, conn: Connection) -> None:
    assert get(running, "/healthz") == (200, "ok\n")
    status, body = get(running, "/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "problems": []})
    assert get(running, "/")[0] == 303
    wait_until(
        lambda: [p for p in processes.list_live(conn) if p.role == "dashboard"], "its own row"
    )


def test_it_ends_on_sigterm_and_takes_its_row_away(running: Avivro, conn: Connection) -> None:
    wait_until(lambda: processes.list_live(conn), "its row")
    process = running.started["dashboard"]

    process.terminate()

    assert process.wait(30) == 0
    assert processes.list_live(conn) == []


def test_what_is_missing_is_named_with_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = server.getsockname()[1]
    with avivro(
        tmp_path_factory.mktemp("run"),
        DATABASE_URL=f"postgresql://nobody@127.0.0.1:{nobody}/none",
        REDIS_URL=f"redis://127.0.0.1:{nobody}/0",
        DASHBOARD_PORT="0",
    ) as alone:
        alone.start("dashboard")

        assert get(alone, "/healthz") == (200, "ok\n")
        status, body = get(alone, "/readyz")
        assert status == 503
        postgres, redis = json.loads(body)["problems"]
        assert postgres["what"].startswith("Postgres does not answer")
        assert "DATABASE_URL" in postgres["do"]
        assert redis["what"].startswith("Redis does not answer")
        assert get(alone, "/metrics")[0] == 503


def test_a_database_without_migrations_is_not_ready(
    empty_database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with avivro(
        tmp_path_factory.mktemp("run"),
        DATABASE_URL=empty_database_url,
        REDIS_URL=redis_url,
        DASHBOARD_PORT="0",
    ) as alone:
        alone.start("dashboard")

        status, body = get(alone, "/readyz")

    (problem,) = json.loads(body)["problems"]
    assert status == 503
    assert "create_worker_jobs" in problem["what"]
    assert problem["do"] == "run `avivro migrate`"


def test_a_taken_port_is_named(commands: Avivro) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        commands.env["DASHBOARD_PORT"] = str(server.getsockname()[1])

        result = commands.run("dashboard")

    assert result.returncode == 3
    assert "DASHBOARD_PORT" in result.stderr
