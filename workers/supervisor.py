"""Keeps processes alive: starts them, replaces the ones that die, ends them in order."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

# A process that dies within HEALTHY_AFTER_S of its start is restarted ever more slowly.
HEALTHY_AFTER_S = 10.0
BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
POLL_S = 0.1
TERM_GRACE_S = 35.0
# glibc keeps an arena per thread and gives little of it back: a worker would stay as large as its
# largest documents.
LEAN = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072"}

log = logging.getLogger(__name__)


class Post(Protocol):
    """One place to fill with a process."""

    name: str
    backoff_s: Sequence[float]

    def wanted(self) -> bool:
        """Whether an empty post shall be filled now."""

    def start(self, env: Mapping[str, str]) -> "subprocess.Popen[bytes]": ...

    def ended(self) -> None:
        """Called once for each process of this post that ended by itself."""


class Command:
    """A post that is always filled with the same command line."""

    backoff_s: Sequence[float] = BACKOFF_S

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self._arguments = arguments

    def wanted(self) -> bool:
        return True

    def start(self, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        return spawn(self._arguments, env)

    def ended(self) -> None:
        pass


class Seat:
    """A post and the process that fills it now."""

    def __init__(self, post: Post, env: Mapping[str, str]) -> None:
        self.post = post
        self.process: subprocess.Popen[bytes] | None = None
        self._env = env
        self._started_at = 0.0
        self._due_at = 0.0
        self._quick_deaths = 0

    def tend(self) -> None:
        if self.process is not None and self.process.poll() is not None:
            self._bury(self.process)
        if self.process is None and time.monotonic() >= self._due_at and self.post.wanted():
            self._started_at = time.monotonic()
            self.process = self.post.start(self._env)

    def _bury(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = None
        self.post.ended()
        if process.returncode == 0:
            return
        lived_s = time.monotonic() - self._started_at
        self._quick_deaths = 0 if lived_s > HEALTHY_AFTER_S else self._quick_deaths + 1
        backoff_s = self.post.backoff_s
        wait_s = backoff_s[min(self._quick_deaths, len(backoff_s) - 1)]
        self._due_at = time.monotonic() + wait_s
        what = cause(process.returncode)
        log.warning("%s ended (%s); a new one starts in %.1f s", self.post.name, what, wait_s)


class Supervisor:
    """Keeps every post filled until told to stop. Children stay in this process group."""

    def __init__(self, posts: Sequence[Post], env: Mapping[str, str]) -> None:
        self._seats = [Seat(post, env) for post in posts]
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run_until_signal(self) -> None:
        """Run until SIGTERM or SIGINT; for the main thread."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda number, frame: self.stop())
        self.run()

    def run(self) -> None:
        while not self._stopped.is_set():
            for seat in self._seats:
                seat.tend()
            self._stopped.wait(POLL_S)
        end([seat.process for seat in self._seats if seat.process is not None])


def end(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Ask all to end, wait for them together, kill those that do not."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + TERM_GRACE_S
    for process in processes:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def spawn(
    arguments: Sequence[str], env: Mapping[str, str], *, pass_fds: Sequence[int] = ()
) -> "subprocess.Popen[bytes]":
    """Start `avivro ARGUMENTS`. Its standard input is a pipe that closes when we die."""
    command = [sys.executable, "-m", "workers", *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, env={**LEAN, **os.environ, **env}, pass_fds=pass_fds
    )


def cause(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
