"""What all engines of the bench share: the servers, worker processes, the clock of a run."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from db.embedded import serve
from tests.benchmarks.engine_peers import peer as names
from tests.benchmarks.engine_peers import stamps
from tests.benchmarks.engine_peers.peer import Peer

ROOT = Path(__file__).resolve().parents[3]
LOOK_EVERY_S = 0.2
DEADLINE_S = 180.0
TERM_GRACE_S = 4.0
LOG_LINES = 6


class RunFailed(Exception):
    """A run of an engine did not do all its jobs; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class Shape:
    processes: int
    threads: int

    def __str__(self) -> str:
        return f"{self.processes} x {self.threads}"


@contextmanager
def servers() -> Iterator[None]:
    """The embedded pair; engines and their workers find it in the environment."""
    with TemporaryDirectory(prefix="avivro-bench-") as home, serve(Path(home)) as found:
        assert found.database_url is not None
        assert found.redis_url is not None
        os.environ[names.DATABASE_URL] = found.database_url
        os.environ[names.REDIS_URL] = found.redis_url
        os.environ[stamps.PATH] = str(Path(home) / "stamps")
        yield


@contextmanager
def working(engine: Peer, shape: Shape, *, jobs: int, sleep_ms: int = 0) -> Iterator[list[int]]:
    """Workers of this shape for the length of the block; their process ids."""
    board = Path(os.environ[stamps.PATH])
    stamps.create(board, jobs)
    env = environment(sleep_ms)
    log = board.with_name("workers.log")
    with log.open("wb") as output:
        started = [
            subprocess.Popen(
                command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            for command in engine.commands(shape.processes, shape.threads)
        ]
    try:
        yield [process.pid for process in started]
    except RunFailed as error:
        tail = log.read_text(errors="replace").strip().splitlines()[-LOG_LINES:]
        raise RunFailed(f"{error}\n      " + "\n      ".join(tail)) from error
    finally:
        stop(started)


def environment(sleep_ms: int) -> dict[str, str]:
    """Ours reads its usual variables, its database being one of several on the server."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        stamps.SLEEP_MS: str(sleep_ms),
        "DATABASE_URL": names.database_url("bench_avivro"),
        "REDIS_URL": names.redis_url(),
        "AVIVRO_HOME": str(Path(os.environ[stamps.PATH]).with_name("home")),
    }


def stop(started: Sequence["subprocess.Popen[bytes]"]) -> None:
    """End all, children of children too: some engines move theirs to groups of their own."""
    family = tree([process.pid for process in started])
    for process in started:
        process.terminate()
    _, alive = psutil.wait_procs(family, timeout=TERM_GRACE_S)
    for member in alive:
        member.kill()
    psutil.wait_procs(alive, timeout=TERM_GRACE_S)
    for process in started:
        process.wait()


def tree(pids: Sequence[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return found


def wait_for_all(engine: Peer, pids: Sequence[int], *, jobs: int) -> dict[int, float]:
    """When each job ended. Raises RunFailed when they do not all end, or a worker does."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        moments = engine.ended()
        if len(moments) >= jobs:
            return moments
        if not all(map(psutil.pid_exists, pids)) or any(map(is_dead, pids)):
            raise RunFailed("a worker process ended")
        time.sleep(LOOK_EVERY_S)
    raise RunFailed(f"{len(engine.ended())} of {jobs} jobs ended within {DEADLINE_S:.0f} s")


def is_dead(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    """User and system time so far of those that still run."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
