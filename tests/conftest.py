"""Real servers for every test that asks: one embedded pair a session, a fresh database a test."""

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import psutil
import pytest
import redis
from hypothesis import settings
from psycopg import sql

from db.embedded import Services, serve
from db.migrate import migrate
from db.pool import Connection, connect
from tests.processes import Avivro, avivro

if TYPE_CHECKING:
    from pipelines.knowledge.sandbox import Parser
    from tests.knowledge import Indexing

# A developer looks for new examples; CI answers for the change it was given, each time alike.
settings.register_profile("ci", derandomize=True)
# `make stress`: tests that take EXAMPLES from their profile's name try many more.
settings.register_profile("stress", print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

TEMPLATE = "avivro_template"
MEMORY = Path("/dev/shm")
# Each of a few processes at once takes about a hundred megabytes, now and then some hundred.
MEMORY_BYTES_MIN = 2 * 1024**3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait lie between files that compute, so that the processors are never idle.

    The last quarter only computes: a file that waits long must not be the last. The order within
    a file stays.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waiting = [path for path in files if "e2e" in path.parts]
    computing = [path for path in files if "e2e" not in path.parts]
    order = sorted(
        [(0.75 * place / len(waiting), path) for place, path in enumerate(reversed(waiting))]
        + [(place / len(computing), path) for place, path in enumerate(computing)]
    )
    items[:] = [item for _, path in order for item in files[path]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed may hold lone surrogates, which do not travel between processes."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """An embedded Postgres and Redis of their own, gone with the session."""
    with (
        TemporaryDirectory(prefix="avivro-tests-", dir=find_memory()) as home,
        serve(Path(home)) as running,
    ):
        yield running


def find_memory() -> Path | None:
    """A folder that is kept in memory, where there is room for one; None is the usual place.

    A test's database is a thousand files: on a disk, making and deleting them cost more than most
    tests do. What must survive a crash is tested with homes of its own.
    """
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return None
    room = min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available)
    return MEMORY if room >= MEMORY_BYTES_MIN else None


@pytest.fixture(scope="session")
def template(services: Services) -> str:
    """The name of a migrated database that is only copied."""
    assert services.database_url is not None
    with administer(services) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    migrate(with_database(services.database_url, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(services: Services, template: str) -> Iterator[str]:
    """A fresh, migrated database."""
    with fresh_database(services, template=template) as url:
        yield url


@pytest.fixture
def empty_database_url(services: Services) -> Iterator[str]:
    """A fresh database without any of our objects."""
    with fresh_database(services, template="template1") as url:
        yield url


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    """An autocommitting connection to the test's database."""
    with connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def redis_url(services: Services) -> str:
    """The session's Redis, emptied."""
    assert services.redis_url is not None
    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
    return services.redis_url


@contextmanager
def fresh_database(services: Services, *, template: str) -> Iterator[str]:
    """A copy of the template, file by file: by way of the log it costs twice as much."""
    assert services.database_url is not None
    name = f"test_{uuid4().hex[:12]}"
    with administer(services) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    yield with_database(services.database_url, name)
    with administer(services) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def administer(services: Services) -> Connection:
    assert services.database_url is not None
    return connect(with_database(services.database_url, "postgres"), autocommit=True)


def with_database(url: str, name: str) -> str:
    """The same address with another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@pytest.fixture
def commands(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Avivro]:
    """`avivro` commands on this test's database; what they started ends with the test."""
    with avivro(
        tmp_path / "run",
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        AVIVRO_HOME=str(tmp_path / "home"),
    ) as started:
        yield started


@pytest.fixture(scope="session")
def parser() -> "Iterator[Parser]":
    """One parser for all tests: its child process is slow to start."""
    from pipelines.knowledge.sandbox import Parser

    with closing(Parser()) as shared:
        yield shared


@pytest.fixture
def knowledge(
    conn: Connection, database_url: str, tmp_path: Path, parser: "Parser"
) -> "Iterator[Indexing]":
    """An agent whose sources are indexed in this process."""
    from tests.knowledge import indexing

    with indexing(conn, database_url, tmp_path, parser) as prepared:
        yield prepared
