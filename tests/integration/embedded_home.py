"""What the tests of the embedded servers share: a HOME, other users of it, and a look at both."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import psycopg
import redis

from db.embedded import Services, serve
from db.embedded.place import find_place, load_state

DEADLINE_S = 60.0
USER = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from db.embedded import serve
with serve(Path(sys.argv[1])) as services:
    print(json.dumps(asdict(services)), flush=True)
    sys.stdin.read()
"""


@contextmanager
def new_home() -> Iterator[Path]:
    """A HOME with spaces and accents, in a folder that `nobody` may pass."""
    base = Path(tempfile.mkdtemp(prefix="avivro test ", dir="/tmp"))
    base.chmod(0o755)
    yield base / "my höme"
    shutil.rmtree(base)


class User:
    """Another process that uses the servers until it is told to leave, or killed."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def services(self) -> Services:
        assert self.process.stdout is not None
        return Services(**json.loads(self.process.stdout.readline()))

    def start_leaving(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None

    def leave(self) -> None:
        self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> "User":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


def connect(services: Services) -> psycopg.Connection[tuple[Any, ...]]:
    assert services.database_url is not None
    return psycopg.connect(services.database_url, autocommit=True, connect_timeout=5)


def open_redis(services: Services) -> redis.Redis:
    assert services.redis_url is not None
    return redis.Redis.from_url(services.redis_url, decode_responses=True)


def store(services: Services, word: str) -> None:
    with connect(services) as conn, contextlib.closing(open_redis(services)) as cache:
        conn.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        conn.execute("INSERT INTO words VALUES (%s)", [word])
        cache.rpush("words", word)
        # Redis writes its log to the disk once a second; a kill before that costs what came after.
        cache.execute_command("WAITAOF", 1, 0, 5000)  # type: ignore[no-untyped-call]


def load(services: Services) -> tuple[list[str], list[str]]:
    with connect(services) as conn, contextlib.closing(open_redis(services)) as cache:
        rows = conn.execute("SELECT word FROM words ORDER BY word").fetchall()
        kept = cache.lrange("words", 0, -1)
    return [str(row[0]) for row in rows], sorted(str(word) for word in kept)


def wait_until(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < ends_at, "it did not come true in time"
        time.sleep(0.02)


def answers(services: Services) -> bool:
    try:
        load(services)
    except (psycopg.Error, redis.RedisError):
        return False
    return True


def find_processes(home: Path) -> list[psutil.Process]:
    """Everything that runs for this HOME: keepers by folder, servers by the tag they bear."""
    marks = [str(home)]
    for name in ("postgres", "redis"):
        place = find_place(home, name)
        marks.append(str(place.folder))
        marks.append(place.tag)
    return [
        process
        for process in psutil.process_iter(["cmdline", "name"])
        if process.pid != os.getpid()
        and any(mark in " ".join(process.info["cmdline"] or ()) for mark in marks)
    ]


def server_pid(home: Path, name: str) -> int | None:
    """None while the server is down."""
    state = load_state(find_place(home, name))
    return state.pid if state is not None else None


def find_keepers(home: Path) -> list[psutil.Process]:
    return [p for p in find_processes(home) if "db.embedded.keeper" in p.info["cmdline"]]


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def enter(home: Path) -> None:
    with serve(home, redis=False):
        pass
