"""The embedded servers, for real: shared by all who need them, durable, private, configured."""

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from db.embedded import Services, describe, postgres, serve
from db.embedded.place import find_place, load_state
from db.embedded.valkey import SOCKET_PATH_BYTES_MAX
from tests.integration.embedded_home import (
    DEADLINE_S,
    User,
    connect,
    find_keepers,
    find_processes,
    load,
    new_home,
    open_redis,
    store,
)


@pytest.fixture
def home() -> Iterator[Path]:
    with new_home() as folder:
        yield folder


def test_both_servers_answer_and_end_with_their_only_user(home: Path) -> None:
    with serve(home) as services:
        store(services, "here")
        seen = load(services)

    assert seen == (["here"], ["here"])
    assert find_processes(home) == []


def test_data_is_there_at_the_next_start_at_the_same_address(home: Path) -> None:
    with serve(home) as first:
        store(first, "kept")

    with serve(home) as second:
        seen = load(second)

    assert second == first
    assert seen == (["kept"], ["kept"])


def test_a_server_that_nobody_asked_for_is_not_started(home: Path) -> None:
    with serve(home, redis=False) as services:
        titles = {process.info["name"] for process in find_processes(home)}

    assert services.redis_url is None
    assert "postgres" in titles
    assert "valkey-server" not in titles


def test_servers_stay_until_the_last_user_leaves(home: Path) -> None:
    with User(home) as other:
        theirs = other.services()
        with serve(home) as ours:
            store(ours, "shared")

        after_us = load(theirs)
        other.leave()

    assert ours == theirs
    assert after_us == (["shared"], ["shared"])
    assert find_processes(home) == []


def test_users_that_start_at_one_instant_share_one_server(home: Path) -> None:
    with contextlib.ExitStack() as stack:
        users = [stack.enter_context(User(home)) for _ in range(4)]

        services = {user.services() for user in users}
        keepers = find_keepers(home)
        for user in users:
            user.leave()

    assert len(services) == 1
    assert len(keepers) == 2
    assert find_processes(home) == []


def test_a_user_that_arrives_while_the_servers_stop_gets_running_ones(home: Path) -> None:
    with serve(home) as services:
        store(services, "first")

    for _ in range(3):
        with User(home) as leaving:
            leaving.services()
            leaving.start_leaving()

            with serve(home) as services:
                seen = load(services)

            leaving.process.wait(DEADLINE_S)
        assert seen == (["first"], ["first"])
    assert find_processes(home) == []


def test_a_home_too_deep_for_a_socket_path_works(home: Path) -> None:
    deep = home.joinpath(*["a folder of some length"] * 8)

    with serve(deep) as services:
        store(services, "deep")
        seen = load(services)
        state = load_state(find_place(deep, "redis"))

    assert seen == (["deep"], ["deep"])
    assert state is not None
    assert len(os.fsencode(state.address)) <= SOCKET_PATH_BYTES_MAX
    assert not Path(state.address).parent.exists()


def test_nobody_else_can_look_into_home(home: Path) -> None:
    home.mkdir(mode=0o777)
    home.chmod(0o777)

    with serve(home):
        modes = {path: path.lstat().st_mode for path in (home, *home.glob("*"), *home.glob("*/*"))}

    open_to_all = [path for path, mode in modes.items() if stat.S_IMODE(mode) & 0o007]
    assert open_to_all == []


def test_postgres_refuses_who_does_not_know_the_password(services: Services) -> None:
    assert services.database_url is not None
    address = services.database_url.split("@")[1]

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres:wrong@{address}")


def test_psql_takes_the_url_as_it_is(services: Services) -> None:
    said = subprocess.run(
        [str(postgres.find_programs() / "psql"), str(services.database_url), "-Atc",
         "CREATE EXTENSION IF NOT EXISTS vector; SELECT '[1,2]'::vector"],
        capture_output=True,
        text=True,
    )  # fmt: skip

    assert said.stdout.splitlines() == ["CREATE EXTENSION", "[1,2]"]


def test_nothing_acknowledged_is_lost_or_evicted_by_configuration(services: Services) -> None:
    with connect(services) as conn:
        rows = conn.execute(
            "SELECT name, setting FROM pg_settings WHERE name IN "
            "('fsync', 'synchronous_commit', 'TimeZone', 'jit', 'shared_preload_libraries')"
        ).fetchall()
    with contextlib.closing(open_redis(services)) as cache:
        policy = cache.config_get("maxmemory*")

    assert dict(rows) == {
        "fsync": "on",
        "synchronous_commit": "on",
        "TimeZone": "UTC",
        "jit": "off",
        "shared_preload_libraries": "pg_stat_statements",
    }
    assert policy["maxmemory-policy"] == "noeviction"
    assert policy["maxmemory"] != "0"


def test_letters_are_letters_in_every_language(services: Services) -> None:
    with connect(services) as conn:
        conn.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")

        lowered = conn.execute("SELECT lower('ÄÑЖ')").fetchone()
        likeness = conn.execute("SELECT similarity('жизнь', 'жизни') > 0.3").fetchone()

    assert lowered == ("äñж",)
    assert likeness == (True,)


def test_data_lies_under_home_unless_root_keeps_nobody_out(home: Path) -> None:
    home.parent.chmod(0o700)

    with serve(home, redis=False) as services:
        with connect(services) as conn:
            folder = conn.execute("SHOW data_directory").fetchone()
        kept = find_place(home, "postgres")
    with serve(home, redis=False) as again:
        pass
    is_moved = (home / "postgres").is_symlink()
    if is_moved:
        shutil.rmtree(kept.folder)

    assert folder == (str(kept.data),)
    assert again == services
    assert is_moved == (os.geteuid() == 0)


def test_the_doctor_tells_running_from_stopped(home: Path) -> None:
    before = [server.is_running for server in describe(home)]
    with serve(home):
        during = describe(home)
    after = [server.is_running for server in describe(home)]

    assert before == after == [False, False]
    assert [(server.name, server.is_running, server.problem) for server in during] == [
        ("Postgres", True, None),
        ("Redis", True, None),
    ]
    assert all(server.version and server.address for server in during)
