"""This project's engine: jobs in Postgres, tickets in Redis, a dispatcher between them."""

from collections.abc import Sequence

import redis

from db.migrate import migrate
from db.pool import connect
from tests.benchmarks.engine_peers.peer import (
    Form,
    create_database,
    database_url,
    execute,
    moments,
    python,
    redis_url,
)
from workers import jobs
from workers.jobs import Probe

DATABASE = "bench_avivro"
EFFECT = "bench"
SINGLE_JOBS = 1_000
ARRAY_JOBS = 1_000
ARRAYS = 20
COPY_JOBS = 100_000

FILL = "SELECT count(worker.enqueue('probe', '{args}')) FROM generate_series(1, {jobs})"
ENQUEUE_ARRAYS = "SELECT worker.enqueue_many('probe', array_fill('{}'::jsonb, ARRAY[%s]))"
UNFINISHED = (
    "SELECT EXISTS (SELECT FROM worker.jobs WHERE state IN ('available', 'dispatched', 'running'))"
    " OR EXISTS (SELECT FROM worker.jobs WHERE state IN ('scheduled', 'retryable'))"
)
NEVER = "SELECT false"
BEGUN = "SELECT extract(epoch FROM at)::float8 FROM worker.probe_effects ORDER BY job_id"
CLAIMED = "SELECT extract(epoch FROM started_at)::float8 FROM worker.jobs ORDER BY id"
ENDED = (
    "SELECT extract(epoch FROM finished_at)::float8 FROM worker.jobs"
    " WHERE state = 'completed' ORDER BY id"
)


class Engine:
    name = "avivro"
    packages: Sequence[str] = ("psycopg", "dramatiq")
    settings = "dispatcher as one more process; kind probe; synchronous_commit=on"
    jobs = 40_000
    io_jobs = 5_000

    def prepare(self) -> None:
        create_database(DATABASE)
        migrate(database_url(DATABASE))
        self.conn = connect(database_url(DATABASE), autocommit=True)

    def clear(self) -> None:
        execute(
            DATABASE,
            "TRUNCATE worker.jobs, worker.probe_effects, worker.processes CASCADE",
            "UPDATE worker.runway SET idle = false",
        )
        with redis.Redis.from_url(redis_url()) as client:
            client.flushall()

    def fill(self, jobs: int, *, sleep_ms: int) -> None:
        args = f'{{"sleep_ms": {sleep_ms}}}' if sleep_ms else "{}"
        execute(DATABASE, FILL.format(args=args, jobs=jobs), "VACUUM ANALYZE", "CHECKPOINT")

    def put(self, number: int) -> None:
        jobs.enqueue(self.conn, Probe(effect=EFFECT))

    def forms(self) -> list[Form]:
        return [
            Form("one call a job", SINGLE_JOBS, lambda: list(map(self._put_empty, SINGLES))),
            Form("one call a job, 1,000 a transaction", SINGLE_JOBS, self._put_together),
            Form("1,000 jobs a call", ARRAYS * ARRAY_JOBS, self._put_arrays),
            Form(f"{COPY_JOBS:,} jobs by COPY", COPY_JOBS, self._copy),
        ]

    def _put_empty(self, number: int) -> None:
        jobs.enqueue(self.conn, Probe())

    def _put_together(self) -> None:
        with self.conn.transaction():
            for number in SINGLES:
                self._put_empty(number)

    def _put_arrays(self) -> None:
        for _ in range(ARRAYS):
            self.conn.execute(ENQUEUE_ARRAYS, (ARRAY_JOBS,))

    def _copy(self) -> None:
        with self.conn.transaction():
            jobs.enqueue_many(self.conn, [Probe()] * COPY_JOBS)

    def commands(self, processes: int, threads: int) -> list[list[str]]:
        shape = ["--processes", str(processes), "--queue", f"default:{threads}"]
        return [python("workers", "dispatcher"), python("workers", "worker", *shape)]

    def begun(self) -> dict[int, float]:
        """As the body of the job noted it, in the transaction in which it wrote that."""
        return moments(DATABASE, NEVER, BEGUN)

    def claimed(self) -> dict[int, float]:
        return moments(DATABASE, NEVER, CLAIMED)

    def ended(self) -> dict[int, float]:
        return moments(DATABASE, UNFINISHED, ENDED)


SINGLES = range(SINGLE_JOBS)
