"""RQ: it has no threads, so a shape of 8 threads is 8 worker processes of its pool."""

from collections.abc import Sequence

import redis
from rq import Queue

from tests.benchmarks.engine_peers.peer import Form, Stamped, python, redis_url
from tests.benchmarks.engine_peers.stamps import work

SINGLE_JOBS = 500
BATCH_JOBS = 1_000


class Engine(Stamped):
    packages: Sequence[str] = ("rq",)
    io_jobs = 0

    def __init__(self, name: str, worker_class: str, *, jobs: int) -> None:
        self.name = name
        self.settings = f"Redis, {worker_class.rpartition('.')[2]}, a process for each thread"
        self.jobs = jobs
        self._worker_class = worker_class

    def prepare(self) -> None:
        self.queue = Queue("bench", connection=redis.Redis.from_url(redis_url()))

    def fill(self, jobs: int, *, sleep_ms: int) -> None:
        self.queue.enqueue_many([Queue.prepare_data(work, (number,)) for number in range(jobs)])

    def put(self, number: int) -> None:
        self.queue.enqueue(work, number)

    def forms(self) -> list[Form]:
        if self.name != "rq":
            return []
        return [
            Form("one call a job", SINGLE_JOBS, lambda: list(map(self.put, range(SINGLE_JOBS)))),
            Form(
                f"{BATCH_JOBS:,} jobs a call", BATCH_JOBS, lambda: self.fill(BATCH_JOBS, sleep_ms=0)
            ),
        ]

    def commands(self, processes: int, threads: int) -> list[list[str]]:
        pool = ["-n", str(processes * threads), "-w", self._worker_class, "--url", redis_url()]
        return [python("rq.cli", "worker-pool", "bench", *pool, "--logging-level", "WARNING")]
