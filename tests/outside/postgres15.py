"""Debian's PostgreSQL 15, the oldest one we support, with plpgsql_check.

Debian 12 has no pgvector, so the extension `vector` is a stand-in there: migrations run and types
are checked, searches mean nothing.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

LIBRARY = Path("/usr/lib/postgresql/15")
SHARE = Path("/usr/share/postgresql/15")
PLPGSQL_CHECK = SHARE / "extension" / "plpgsql_check.control"
STAND_IN = Path(__file__).parent / "pgvector_stand_in"
# Debian's package makes this account; the server refuses to run as root.
ACCOUNT = "postgres"


@contextmanager
def serve_postgres_15() -> Iterator[str]:
    """A server of its own; the address is its superuser's, who needs no password."""
    assert PLPGSQL_CHECK.exists(), "PostgreSQL 15 and plpgsql_check are missing: .ci/install-tools"
    with TemporaryDirectory(prefix="avivro-pg15-") as name:
        home = Path(name)
        programs = copy_installation(home)
        data = home / "data"
        own(home)
        run(programs / "initdb", data, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-N")
        port = free_port()
        options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off"
        run(programs / "pg_ctl", data, "-w", "-l", str(home / "log"), "-o", options, "start")
        try:
            yield f"postgresql://{owner()}@127.0.0.1:{port}/postgres"
        finally:
            run(programs / "pg_ctl", data, "-w", "-m", "immediate", "stop")


def copy_installation(home: Path) -> Path:
    """A server finds its extensions beside its programs: ours gets one more, Debian's does not."""
    library = home / LIBRARY.relative_to("/")
    share = home / SHARE.relative_to("/")
    shutil.copytree(LIBRARY / "bin", library / "bin")
    (library / "lib").symlink_to(LIBRARY / "lib")
    shutil.copytree(SHARE, share)
    for path in STAND_IN.iterdir():
        shutil.copy(path, share / "extension")
    return library / "bin"


def own(home: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(home, ACCOUNT)


def owner() -> str:
    return ACCOUNT if os.geteuid() == 0 else os.environ["USER"]


def run(program: Path, data: Path, *arguments: str) -> None:
    result = subprocess.run(
        [str(program), "-D", str(data), *arguments],
        user=ACCOUNT if os.geteuid() == 0 else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=data.parent,
        check=False,
    )
    assert result.returncode == 0, f"{program.name}: {result.stderr}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
