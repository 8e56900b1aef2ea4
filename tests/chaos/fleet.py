"""Commands that a process manager would keep alive: whichever ends is started again at once."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.processes import LOG_CHARS_MAX, ROOT, kill_group

TEND_EVERY_S = 0.1
STOP_S_MAX = 45.0


class Fleet:
    """`posts` are the arguments of `avivro` by name."""

    def __init__(
        self, folder: Path, env: Mapping[str, str], posts: Mapping[str, Sequence[str]]
    ) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.env = {**kept, "PYTHONPATH": str(ROOT), **env}
        self.folder = folder
        self.posts = posts
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.restarts = 0
        self._ended = threading.Event()
        self._tending = threading.Thread(target=self._tend, daemon=True)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in self.posts:
            self.running[name] = self._start(name)
        self._tending.start()

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        with self.log_file(name).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "workers", *self.posts[name]],
                env=self.env,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _tend(self) -> None:
        while not self._ended.wait(TEND_EVERY_S):
            for name, process in self.running.items():
                if process.poll() is not None:
                    self.restarts += 1
                    self.running[name] = self._start(name)

    def log_file(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def workers(self) -> list[str]:
        return [name for name, arguments in self.posts.items() if arguments[0] == "worker"]

    def dispatchers(self) -> list[str]:
        return [name for name, arguments in self.posts.items() if arguments[0] == "dispatcher"]

    def children(self, *names: str) -> list[psutil.Process]:
        """The processes that run jobs, of these worker commands or of all."""
        found: list[psutil.Process] = []
        for name in names or self.workers():
            with suppress(psutil.Error):
                family = psutil.Process(self.running[name].pid).children(recursive=True)
                found += [each for each in family if "worker-child" in each.cmdline()]
        return found

    def stop(self) -> None:
        self._ended.set()
        self._tending.join()
        for process in self.running.values():
            kill_group(process, signal.SIGCONT)
            kill_group(process, signal.SIGTERM)
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S_MAX)
            kill_group(process, signal.SIGKILL)
            process.wait()

    def show_logs(self) -> None:
        """Shown by pytest with the test that failed."""
        for log in sorted(self.folder.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text()[-LOG_CHARS_MAX:]}")


@contextmanager
def fleet(
    folder: Path, env: Mapping[str, str], posts: Mapping[str, Sequence[str]]
) -> Iterator[Fleet]:
    """Started, and ended with the block."""
    started = Fleet(folder, env, posts)
    started.start()
    try:
        yield started
    finally:
        started.stop()
        started.show_logs()
