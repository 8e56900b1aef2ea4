"""PgQueuer: jobs in Postgres, asyncio workers over psycopg or asyncpg."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pgqueuer
import psycopg
import uvloop
from pgqueuer import PgQueuer, PsycopgDriver, Queries
from pgqueuer.db import SyncPsycopgDriver
from pgqueuer.queries import SyncQueries

from tests.benchmarks.engine_peers.peer import (
    Form,
    Stamped,
    create_database,
    database_url,
    execute,
    module,
    moments,
    python,
)
from tests.benchmarks.engine_peers.stamps import work_async

DATABASE = "bench_pgqueuer"
BATCH_JOBS = 200
SINGLE_JOBS = 1_000
LIST_JOBS = 1_000
LISTS = 10

UNFINISHED = "SELECT EXISTS (SELECT FROM pgqueuer)"
ENDED = "SELECT extract(epoch FROM created)::float8 FROM pgqueuer_log WHERE status = 'successful'"


def run(driver: str, batch: int, cap: int) -> None:
    """As `pgq run` does; that command itself fails with the locked typer."""
    factory = {"psycopg": work_psycopg, "asyncpg": work_asyncpg}[driver]
    uvloop.run(pgqueuer.run(factory, batch_size=batch, max_concurrent_tasks=cap or None))


@asynccontextmanager
async def work_psycopg() -> AsyncIterator[Any]:
    conn = await psycopg.AsyncConnection.connect(database_url(DATABASE), autocommit=True)
    yield with_job(PgQueuer.from_psycopg_connection(conn))


@asynccontextmanager
async def work_asyncpg() -> AsyncIterator[Any]:
    yield with_job(PgQueuer.from_asyncpg_connection(await asyncpg.connect(database_url(DATABASE))))


def with_job(pgq: Any) -> Any:
    async def work(job: Any) -> None:
        await work_async(int(job.payload))

    pgq.entrypoint("work")(work)
    return pgq


async def install() -> None:
    conn = await psycopg.AsyncConnection.connect(database_url(DATABASE), autocommit=True)
    async with conn:
        await Queries(PsycopgDriver(conn)).install()


class Engine(Stamped):
    packages: Sequence[str] = ()

    def __init__(self, driver: str, *, jobs: int, io_jobs: int) -> None:
        self.driver = driver
        self.name = f"pgqueuer {driver}"
        self.settings = f"asyncio jobs over {driver}, batch {BATCH_JOBS} (32 at I/O); no threads"
        self.packages = ("pgqueuer", driver)
        self.jobs = jobs
        self.io_jobs = io_jobs

    def prepare(self) -> None:
        if self.driver == "psycopg":
            create_database(DATABASE)
            asyncio.run(install())
        conn = psycopg.connect(database_url(DATABASE), autocommit=True)
        self.queries = SyncQueries(SyncPsycopgDriver(conn))

    def clear(self) -> None:
        execute(DATABASE, "TRUNCATE pgqueuer, pgqueuer_log, pgqueuer_statistics")

    def fill(self, jobs: int, *, sleep_ms: int) -> None:
        self.put_list(range(jobs))
        execute(DATABASE, "VACUUM ANALYZE", "CHECKPOINT")

    def put(self, number: int) -> None:
        self.queries.enqueue("work", str(number).encode())

    def put_list(self, numbers: range) -> None:
        payloads = [str(number).encode() for number in numbers]
        self.queries.enqueue(["work"] * len(numbers), payloads, [0] * len(numbers))

    def ended(self) -> dict[int, float]:
        """Once all are stored: its jobs' bodies run ahead of that."""
        return moments(DATABASE, UNFINISHED, ENDED)

    def forms(self) -> list[Form]:
        if self.driver != "psycopg":
            return []
        return [
            Form("one call a job", SINGLE_JOBS, lambda: list(map(self.put, range(SINGLE_JOBS)))),
            Form(
                f"{LIST_JOBS:,} jobs a call",
                LISTS * LIST_JOBS,
                lambda: list(map(self.put_list, [range(LIST_JOBS)] * LISTS)),
            ),
        ]

    def commands(self, processes: int, threads: int) -> list[list[str]]:
        # It refuses a cap on concurrent jobs below twice the batch.
        batch, cap = (BATCH_JOBS, 0) if threads <= 8 else (threads // 2, threads)
        start = python(module("pgqueuer_postgres"), self.driver, str(batch), str(cap))
        return [start] * processes


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
