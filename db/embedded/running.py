"""Start, watch and stop one server process, and never a second one on the same data."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from db.embedded.account import Account
from db.embedded.errors import EmbeddedError
from db.embedded.locks import open_lock, take
from db.embedded.place import Place

START_TIMEOUT_S = 120.0
# Postgres 18 hangs when it is asked to stop while it recovers from a killed child. The second
# signal loses nothing either: the next start replays the log.
STOP_PATIENCE_S = (10.0, 5.0, 10.0)
# Others look at the lock for a moment, to see whether the server is down.
LOCK_PATIENCE_S = 2.0
LOOK_PERIOD_S = 0.02
LOG_TAIL_LINES = 8
LOG_BYTES_MAX = 5_000_000
PR_SET_PDEATHSIG = 1
# What a keeper reports when its server is up; anything else is the reason why not.
READY = "ready"


@dataclass(frozen=True)
class Command:
    argv: list[str]
    account: Account = field(default_factory=Account)
    stdin: bytes = b""


class Server(Protocol):
    """What the keeper needs to know of the server it keeps."""

    place: Place
    title: str
    # What to do when the server does not start.
    advice: str
    process_names: tuple[str, ...]
    # The polite way first; each gets its share of STOP_PATIENCE_S.
    stop_signals: tuple[signal.Signals, ...]
    # For children whose server is gone: they only have to end.
    orphan_signal: signal.Signals

    def install(self) -> None:
        """Make the data folder and choose the address."""

    def change_address(self) -> bool:
        """Choose another address if the present one is taken."""

    def clear_leftovers(self) -> None:
        """Remove what a killed server left; only called when none of its processes lives."""

    def command(self) -> Command: ...

    def is_ready(self, pid: int) -> bool: ...

    def is_child(self, argv: list[str]) -> bool:
        """Whether a process of this server is one that the server itself started."""

    def leave(self) -> None:
        """Remove what only a running server needs."""

    @property
    def url(self) -> str: ...

    @property
    def address(self) -> str: ...


Process = subprocess.Popen[bytes]


def start(server: Server) -> Process:
    """Start the server and wait until it answers. Raises EmbeddedError with the end of its log."""
    end_survivors(server)
    server.clear_leftovers()
    process = launch(server)
    try:
        wait_until_ready(server, process)
    except BaseException:
        stop(server, process)
        end_survivors(server)
        raise
    return process


def launch(server: Server) -> Process:
    command = server.command()
    lock = open_lock(server.place.server_lock)
    try:
        if not wait_for(lock, LOCK_PATIENCE_S):
            raise EmbeddedError(still_in_use(server))
        with server.place.log.open("ab") as log:
            process = subprocess.Popen(
                command.argv,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                env=clean_environment(),
                pass_fds=(lock,),
                start_new_session=True,
                preexec_fn=end_with_parent(server.stop_signals[0]),
                **command.account.popen_options(),
            )
    finally:
        os.close(lock)
    feed(process, command.stdin)
    return process


def feed(process: Process, text: bytes) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(text)


def clean_environment() -> dict[str, str]:
    """None of the caller's PG* variables: they would change what the server does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def end_with_parent(ending: signal.Signals) -> Callable[[], None] | None:
    """Linux only: a keeper killed with -9 takes its server along, in the orderly way.

    Elsewhere the server outlives it, and the next keeper ends it before it starts its own.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    keeper = os.getpid()

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, ending, 0, 0, 0)
        if os.getppid() != keeper:
            os._exit(1)

    return ask_kernel


def wait_until_ready(server: Server, process: Process) -> None:
    ends_at = time.monotonic() + START_TIMEOUT_S
    while not server.is_ready(process.pid):
        if process.poll() is not None:
            raise EmbeddedError(
                f"The embedded {server.title} did not start. Its log {server.place.log} ends:\n"
                f"{read_log_tail(server.place.log)}\n{server.advice}"
            )
        if time.monotonic() > ends_at:
            raise EmbeddedError(
                f"The embedded {server.title} was not ready after {START_TIMEOUT_S:.0f} s. "
                f"See its log {server.place.log}."
            )
        time.sleep(LOOK_PERIOD_S)


def read_log_tail(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])


def stop(server: Server, process: Process) -> None:
    """Stop the server, harder each time it does not listen."""
    for ending, patience_s in zip(server.stop_signals, STOP_PATIENCE_S, strict=True):
        if process.poll() is not None:
            break
        process.send_signal(ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)


def end_survivors(server: Server) -> None:
    """End every process that still holds the server's lock. Raises EmbeddedError if one stays."""
    lock = open_lock(server.place.server_lock)
    try:
        if take(lock):
            return
        for ending, patience_s in zip(server.stop_signals, STOP_PATIENCE_S, strict=True):
            signal_survivors(server, ending)
            if wait_for(lock, patience_s):
                return
        raise EmbeddedError(still_in_use(server))
    finally:
        os.close(lock)


def wait_for(lock: int, patience_s: float) -> bool:
    ends_at = time.monotonic() + patience_s
    while not take(lock):
        if time.monotonic() > ends_at:
            return False
        time.sleep(LOOK_PERIOD_S)
    return True


def signal_survivors(server: Server, ending: signal.Signals) -> None:
    """A live server ends its children itself: what SIGINT means to them is another thing."""
    found = find_survivors(server)
    heads = [process for process in found if not server.is_child(process.info["cmdline"])]
    if not heads and ending != signal.SIGKILL:
        ending = server.orphan_signal
    for process in heads or found:
        with contextlib.suppress(psutil.Error):
            process.send_signal(ending)


def find_survivors(server: Server) -> list[psutil.Process]:
    """The server's processes by name and by the tag in their command lines, never by a pid file."""
    return [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] in server.process_names
        and any(server.place.tag in word for word in process.info["cmdline"] or ())
    ]


def still_in_use(server: Server) -> str:
    return (
        f"The data folder {server.place.data} is in use by another {server.title} that cannot be "
        "stopped. End that process, then try again."
    )


def trim_log(log: Path) -> None:
    """Keep one older log. The server appends to the open file, so it is copied, then emptied."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_BYTES_MAX:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)
