"""Real processes for tests, and waiting with a deadline instead of sleeping for truth."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
# Of what takes a second: a machine that is ten times as busy must not fail it.
DEADLINE_S = 120.0
LOG_CHARS_MAX = 5000


@dataclass
class Avivro:
    """Starts `avivro` commands against one database, one Redis and one home."""

    env: dict[str, str]
    folder: Path
    started: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a command in the background; its output goes to a file of its name.

        Another one of the same name takes its place in `started`, and is for the test to end.
        """
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "workers", *arguments],
                env=self.env,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started[arguments[0]] = process
        return process

    def run(
        self, *arguments: str, stdin: str | None = None, timeout_s: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "workers", *arguments],
            env=self.env,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def stop(self) -> None:
        for process in self.started.values():
            kill_group(process, signal.SIGTERM)
        for process in self.started.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                kill_group(process, signal.SIGKILL)
                process.wait()
        for process in self.started.values():
            kill_group(process, signal.SIGKILL)
        # Shown by pytest with the test that failed.
        for log in sorted(self.folder.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text()[-LOG_CHARS_MAX:]}")


@contextmanager
def avivro(folder: Path, **env: str) -> Iterator[Avivro]:
    """Commands see no settings of this machine but PATH and the ones given."""
    folder.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    commands = Avivro({**kept, "PYTHONPATH": str(ROOT), **env}, folder)
    try:
        yield commands
    finally:
        commands.stop()


def kill_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def children(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def worker_children(commands: Avivro) -> list[psutil.Process]:
    """The processes of the worker command that run jobs; none that is dead and not yet buried."""
    found = []
    for child in children(commands.started["worker"]):
        with suppress(psutil.Error):
            if "worker-child" in child.cmdline():
                found.append(child)
    return found


def wait_until(look: Callable[[], T | None], what: str, *, deadline_s: float = DEADLINE_S) -> T:
    """The first true answer of `look`; fails with `what` when the time is up."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        answer = look()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {deadline_s:.0f} s: {what}")
