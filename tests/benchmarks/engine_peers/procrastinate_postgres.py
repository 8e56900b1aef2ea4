"""Procrastinate: jobs in Postgres, asyncio workers with LISTEN."""

from collections.abc import Sequence

from procrastinate import App, PsycopgConnector

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

DATABASE = "bench_procrastinate"
CONNECTIONS_MAX = 10
SINGLE_JOBS = 300
BATCH_JOBS = 1_000
BATCHES = 3

UNFINISHED = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))"
ENDED = "SELECT extract(epoch FROM at)::float8 FROM procrastinate_events WHERE type = 'succeeded'"

app = App(connector=PsycopgConnector(conninfo=database_url(DATABASE), max_size=CONNECTIONS_MAX))
task = app.task(work_async, name="work")


class Engine(Stamped):
    name = "procrastinate"
    packages: Sequence[str] = ("procrastinate",)
    settings = f"asyncio jobs, threads = concurrency, LISTEN, pool of {CONNECTIONS_MAX}"
    jobs = 2_000
    io_jobs = 1_500

    def prepare(self) -> None:
        create_database(DATABASE)
        app.open()
        app.schema_manager.apply_schema()

    def clear(self) -> None:
        execute(
            DATABASE,
            "TRUNCATE procrastinate_jobs, procrastinate_events, procrastinate_workers CASCADE",
        )

    def fill(self, jobs: int, *, sleep_ms: int) -> None:
        task.batch_defer(*({"number": number} for number in range(jobs)))
        execute(DATABASE, "VACUUM ANALYZE", "CHECKPOINT")

    def put(self, number: int) -> None:
        task.defer(number=number)

    def ended(self) -> dict[int, float]:
        """Once all are stored, which is later than their bodies' end."""
        return moments(DATABASE, UNFINISHED, ENDED)

    def forms(self) -> list[Form]:
        batch = [{"number": number} for number in range(BATCH_JOBS)]
        return [
            Form("one call a job", SINGLE_JOBS, lambda: list(map(self.put, range(SINGLE_JOBS)))),
            Form(
                f"{BATCH_JOBS:,} jobs a call",
                BATCHES * BATCH_JOBS,
                lambda: [task.batch_defer(*batch) for _ in range(BATCHES)],
            ),
        ]

    def commands(self, processes: int, threads: int) -> list[list[str]]:
        start = python("procrastinate", f"--app={module('procrastinate_postgres')}.app", "worker")
        return [[*start, f"--concurrency={threads}"]] * processes
