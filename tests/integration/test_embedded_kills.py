"""The embedded servers are back, with everything they had, after every kind of kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from db.embedded import postgres, serve
from db.embedded.place import find_place
from tests.integration.embedded_home import (
    DEADLINE_S,
    User,
    answers,
    connect,
    enter,
    find_keepers,
    find_processes,
    is_alive,
    kill_all,
    load,
    new_home,
    server_pid,
    store,
    wait_until,
)


@pytest.fixture
def home() -> Iterator[Path]:
    with new_home() as folder:
        yield folder


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_killed_server_is_back_at_the_same_address(home: Path, name: str) -> None:
    with serve(home) as services:
        store(services, "before")
        killed = server_pid(home, name)
        assert killed is not None

        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: server_pid(home, name) not in (None, killed))
        seen = load(services)

    assert seen == (["before"], ["before"])


def test_a_postmaster_killed_under_a_busy_query_is_back(home: Path) -> None:
    with serve(home, redis=False) as services, connect(services) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 1 AS one")
        busy = subprocess.Popen(
            [str(postgres.find_programs() / "psql"), str(services.database_url), "-qc",
             "SELECT count(*) FROM generate_series(1, 1000000000)"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(
            lambda: (
                conn.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%generate_series%' "
                    "AND state = 'active' AND pid <> pg_backend_pid()"
                ).fetchone()
                is not None
            )
        )

        killed = server_pid(home, "postgres")
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: server_pid(home, "postgres") not in (None, killed))
        busy.wait(DEADLINE_S)
        with connect(services) as again:
            kept = again.execute("SELECT one FROM kept").fetchone()

    assert kept == (1,)
    assert find_processes(home) == []


def test_killed_keepers_are_replaced_while_a_user_lives(home: Path) -> None:
    with serve(home) as services:
        store(services, "before")
        killed = find_keepers(home)

        kill_all(killed)
        wait_until(lambda: len(set(find_keepers(home)) - set(killed)) == 2)
        wait_until(lambda: answers(services))
        seen = load(services)

    assert seen == (["before"], ["before"])
    assert find_processes(home) == []


def test_a_killed_user_leaves_no_process_behind(home: Path) -> None:
    with User(home) as user:
        user.services()

        user.kill()

        wait_until(lambda: find_processes(home) == [])


def test_servers_end_when_their_keepers_and_users_are_killed(home: Path) -> None:
    with User(home) as user:
        store(user.services(), "before")
        user.kill()
        kill_all(find_keepers(home))

        # Where the kernel cannot tell a server of its keeper's death, the next start ends it.
        if not sys.platform.startswith("linux"):
            enter(home)
        wait_until(lambda: find_processes(home) == [])


def test_after_a_kill_of_everything_at_once_nothing_is_lost(home: Path) -> None:
    with User(home) as user:
        store(user.services(), "before")
        kill_all(find_processes(home))

    with serve(home) as services:
        seen = load(services)

    assert seen == (["before"], ["before"])
    assert find_processes(home) == []


def test_a_keeper_killed_during_the_first_start_leaves_a_folder_that_starts(home: Path) -> None:
    folder = find_place(home, "postgres").folder
    with User(home):
        wait_until(lambda: any(folder.glob("data.new.*")))
        kill_all(find_processes(home))
    left = folder / "data.new.left"
    left.mkdir()

    with serve(home) as services:
        store(services, "after")
        seen = load(services)

    assert seen == (["after"], ["after"])
    assert not left.exists()


def test_a_server_that_outlived_its_keeper_is_ended_before_the_next_starts(home: Path) -> None:
    with serve(home) as services:
        store(services, "before")
    abandon = (
        "import os, sys; from pathlib import Path; from db.embedded import postgres, running\n"
        "running.end_with_parent = lambda ending: None\n"
        "server = postgres.Postgres(running.Place(Path(sys.argv[1]))); server.install()\n"
        "print(running.start(server).pid, flush=True); os._exit(0)"
    )
    folder = find_place(home, "postgres").folder
    said = subprocess.run(
        [sys.executable, "-c", abandon, str(folder)], stdout=subprocess.PIPE, check=True
    )
    outlived = psutil.Process(int(said.stdout))

    with serve(home) as services:
        is_gone = not is_alive(outlived)
        seen = load(services)

    assert is_gone
    assert seen == (["before"], ["before"])
