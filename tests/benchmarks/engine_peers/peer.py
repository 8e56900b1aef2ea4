"""What the bench asks of an engine, ours or a peer's."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg
import redis

from tests.benchmarks.engine_peers import stamps

DATABASE_URL = "BENCH_DATABASE_URL"
REDIS_URL = "BENCH_REDIS_URL"


@dataclass(frozen=True, slots=True)
class Form:
    """A way to enqueue: `run()` adds `jobs` of them."""

    name: str
    jobs: int
    run: Callable[[], object]


class Peer(Protocol):
    """One engine. `jobs` and `io_jobs` are what takes it some seconds; 0: not measured."""

    name: str
    packages: Sequence[str]
    settings: str
    jobs: int
    io_jobs: int

    def prepare(self) -> None:
        """Make what the engine needs on the servers; once."""

    def clear(self) -> None:
        """Forget every job."""

    def fill(self, jobs: int, *, sleep_ms: int) -> None:
        """Enqueue jobs 0 to `jobs` - 1 by the quickest way there is."""

    def put(self, number: int) -> None:
        """Enqueue one job; when it returns, the job is committed."""

    def forms(self) -> list[Form]: ...

    def commands(self, processes: int, threads: int) -> list[list[str]]:
        """The command lines of workers of this shape."""

    def begun(self) -> dict[int, float]:
        """When each job began, in seconds since 1970."""

    def ended(self) -> dict[int, float]:
        """When each job's end was stored; where no table tells, when it began: then it is empty."""


class Stamped:
    """What peers have in common: their jobs stamp the board, their Redis is emptied."""

    def prepare(self) -> None:
        pass

    def clear(self) -> None:
        with redis.Redis.from_url(redis_url()) as client:
            client.flushall()

    def begun(self) -> dict[int, float]:
        return stamps.read(Path(os.environ[stamps.PATH]))

    def ended(self) -> dict[int, float]:
        return self.begun()


def redis_url() -> str:
    return os.environ[REDIS_URL]


def database_url(name: str) -> str:
    """Each engine that keeps its jobs in Postgres has a database of its own on the server."""
    return urlsplit(os.environ[DATABASE_URL])._replace(path=f"/{name}").geturl()


def create_database(name: str) -> None:
    with psycopg.connect(os.environ[DATABASE_URL], autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())


def execute(name: str, *statements: str) -> None:
    """Run statements in the database `name`, each in a transaction of its own."""
    with psycopg.connect(database_url(name), autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())


def moments(name: str, unfinished: str, ended: str) -> dict[int, float]:
    """What `ended` selects, by number; nothing while jobs are unfinished: counting slows them."""
    with psycopg.connect(database_url(name), autocommit=True) as conn:
        if conn.execute(unfinished.encode()).fetchall() == [(True,)]:
            return {}
        return {number: at for number, (at,) in enumerate(conn.execute(ended.encode()))}


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def module(name: str) -> str:
    return f"{__package__}.{name}"
