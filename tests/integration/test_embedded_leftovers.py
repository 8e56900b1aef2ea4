"""The embedded servers meet what others left or broke: they cope, or say what to do."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.embedded import EmbeddedError, describe, postgres, serve
from db.embedded.account import postgres_account
from db.embedded.place import find_place, load_settings
from db.embedded.running import clean_environment
from tests.integration.embedded_home import (
    DEADLINE_S,
    connect,
    enter,
    find_keepers,
    find_processes,
    is_alive,
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


def test_a_stale_pid_file_that_names_a_stranger_is_not_believed(home: Path) -> None:
    with serve(home, redis=False):
        pass
    stranger = subprocess.Popen(["sleep", "60"], **postgres_account().popen_options())
    pid_file = find_place(home, "postgres").data / "postmaster.pid"
    pid_file.write_text(f"{stranger.pid}\n{pid_file.parent}\n0\n1\n\n127.0.0.1\n0 0\nready   \n")

    with serve(home, redis=False) as services, connect(services) as conn:
        version = conn.execute("SHOW server_version").fetchone()
    is_untouched = stranger.poll() is None
    stranger.kill()
    stranger.wait()

    assert version is not None
    assert is_untouched


def test_a_postgres_started_by_hand_on_our_data_is_left_alone_and_named(home: Path) -> None:
    with serve(home, redis=False):
        pass
    data = find_place(home, "postgres").data
    by_hand = subprocess.Popen(
        [str(postgres.find_programs() / "postgres"), "-D", str(data), "-c",
         f"port={postgres.pick_port()}", "-c", "unix_socket_directories="],
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
        cwd="/",
        **postgres_account().popen_options(),
    )  # fmt: skip
    wait_until(lambda: "ready" in read_or_empty(data / "postmaster.pid"))

    with pytest.raises(EmbeddedError, match=f"in use by the Postgres process {by_hand.pid}"):
        enter(home)

    assert by_hand.poll() is None
    by_hand.send_signal(signal.SIGINT)
    by_hand.wait(DEADLINE_S)


def test_a_port_that_somebody_took_is_given_up_for_another(home: Path) -> None:
    with serve(home, redis=False) as before:
        pass
    port = load_settings(find_place(home, "postgres")).port
    assert port is not None

    with socket.create_server(("127.0.0.1", port)), serve(home, redis=False) as after:
        pass

    assert after.database_url is not None
    assert after != before


def test_lost_settings_cost_a_new_password_and_no_data(home: Path) -> None:
    with serve(home) as before:
        store(before, "kept")
    find_place(home, "postgres").settings.unlink()

    with serve(home) as after:
        seen = load(after)

    assert after.database_url != before.database_url
    assert seen == (["kept"], ["kept"])


def test_a_copied_home_has_servers_of_its_own(home: Path) -> None:
    copy = home.with_name("copy")
    with serve(home) as services:
        store(services, "both")
    subprocess.run(["cp", "-r", str(home), str(copy)], check=True)

    with serve(home) as services, serve(copy) as copied:
        store(copied, "copy only")
        seen = load(services)

    assert copied != services
    assert seen == (["both"], ["both"])
    assert find_processes(home) == find_processes(copy) == []


def test_a_home_made_anew_is_not_disturbed_by_the_keepers_of_the_old_one(home: Path) -> None:
    with serve(home, redis=False):
        old_keepers = find_keepers(home)
        for keeper in old_keepers:
            keeper.suspend()
        home.rename(home.with_name("deleted"))

        with serve(home, redis=False):
            before = server_pid(home, "postgres")
            for keeper in old_keepers:
                keeper.resume()
            wait_until(lambda: not any(is_alive(keeper) for keeper in old_keepers))
            after = server_pid(home, "postgres")

    assert old_keepers
    assert after == before is not None


def test_servers_of_a_deleted_home_end(home: Path) -> None:
    with serve(home):
        running = find_processes(home)

        # The server, ending, takes away files of its own meanwhile.
        shutil.rmtree(home, ignore_errors=True)

        wait_until(lambda: not any(is_alive(process) for process in running))


def test_the_servers_ignore_the_callers_postgres_variables(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGPORT", "PGDATA", "PGDATABASE", "PGOPTIONS"):
        monkeypatch.setenv(name, "-1")
    monkeypatch.setenv("PGOPTIONS", "")

    with serve(home, redis=False) as services, connect(services) as conn:
        found = conn.execute("SELECT current_database()").fetchone()

    assert found == ("avivro",)


def read_or_empty(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_data_of_another_major_version_is_refused_with_the_way_out(home: Path) -> None:
    enter(home)
    (find_place(home, "postgres").data / "PG_VERSION").write_text("15\n")

    with pytest.raises(EmbeddedError, match=r"written by Postgres 15(.|\n)*pg_dump"):
        enter(home)

    assert "pg_dump" in str(describe(home)[0].problem)


def test_a_home_that_cannot_be_a_folder_is_refused_by_name(home: Path) -> None:
    home.write_text("a file")

    with pytest.raises(EmbeddedError, match=r"my höme \(AVIVRO_HOME\)"):
        enter(home)


def test_a_read_only_home_stays_so_and_is_named(home: Path) -> None:
    home.mkdir()
    home.chmod(0o500)

    with pytest.raises(EmbeddedError, match=r"my höme .* read-only"):
        enter(home)

    assert home.stat().st_mode & 0o777 == 0o500


def test_damaged_redis_data_is_refused_with_the_way_out(home: Path) -> None:
    with serve(home, postgres=False):
        pass
    data = find_place(home, "redis").data
    next(data.rglob("*.incr.aof")).write_text("not a log of Redis")

    with pytest.raises(EmbeddedError, match=f"remove {data}"), serve(home, postgres=False):
        pass


def test_a_folder_shared_with_others_is_never_made_private() -> None:
    before = Path("/tmp").stat().st_mode

    with pytest.raises(EmbeddedError, match="/tmp"):
        enter(Path("/tmp"))

    assert Path("/tmp").stat().st_mode == before


def test_a_server_that_cannot_start_says_why_at_once(home: Path) -> None:
    enter(home)
    (find_place(home, "postgres").data / "global" / "pg_control").unlink()

    with pytest.raises(EmbeddedError, match="pg_control"):
        enter(home)

    assert find_processes(home) == []
