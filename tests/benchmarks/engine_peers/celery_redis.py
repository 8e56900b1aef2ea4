"""Celery on Redis, set to lose no job: acks_late, one job prefetched a thread."""

from collections.abc import Sequence

from celery import Celery

from tests.benchmarks.engine_peers.peer import Form, Stamped, module, python, redis_url
from tests.benchmarks.engine_peers.stamps import work

SINGLE_JOBS = 1_000

app = Celery("bench", broker=redis_url().replace("unix://", "redis+socket://"))
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
task = app.task(work, name="work")


class Engine(Stamped):
    name = "celery"
    packages: Sequence[str] = ("celery", "kombu")
    settings = "Redis, acks_late, prefetch 1, results ignored; thread pool, one worker a process"
    jobs = 6_000
    io_jobs = 3_000

    def fill(self, jobs: int, *, sleep_ms: int) -> None:
        for number in range(jobs):
            task.delay(number)

    def put(self, number: int) -> None:
        task.delay(number)

    def forms(self) -> list[Form]:
        return [Form("one call a job", SINGLE_JOBS, lambda: self.fill(SINGLE_JOBS, sleep_ms=0))]

    def commands(self, processes: int, threads: int) -> list[list[str]]:
        start = python("celery", "-A", module("celery_redis"), "worker", "--pool=threads")
        return [
            [*start, f"--concurrency={threads}", f"--hostname=bench{place}@%h"]
            for place in range(processes)
        ]
