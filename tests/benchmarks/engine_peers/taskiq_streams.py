"""Taskiq on a Redis stream, its broker that acknowledges."""

import asyncio
from collections.abc import Sequence

import redis
from taskiq_redis import RedisStreamBroker

from tests.benchmarks.engine_peers.peer import Form, Stamped, module, python, redis_url
from tests.benchmarks.engine_peers.stamps import work_async

SINGLE_JOBS = 2_000

broker = RedisStreamBroker(redis_url())
task = broker.task(task_name="work")(work_async)


class Engine(Stamped):
    name = "taskiq"
    packages: Sequence[str] = ("taskiq", "taskiq-redis")
    settings = "Redis stream broker, asyncio jobs, threads = max-async-tasks"
    jobs = 20_000
    io_jobs = 5_000

    def prepare(self) -> None:
        self.loop = asyncio.new_event_loop()

    def clear(self) -> None:
        with redis.Redis.from_url(redis_url()) as client:
            client.flushall()
        # Makes the consumer group: it sees only what is sent from then on.
        self.loop.run_until_complete(broker.startup())

    def fill(self, jobs: int, *, sleep_ms: int) -> None:
        self.loop.run_until_complete(self._send(range(jobs)))

    def put(self, number: int) -> None:
        self.loop.run_until_complete(task.kiq(number))

    async def _send(self, numbers: range) -> None:
        for number in numbers:
            await task.kiq(number)

    def forms(self) -> list[Form]:
        return [Form("one call a job", SINGLE_JOBS, lambda: self.fill(SINGLE_JOBS, sleep_ms=0))]

    def commands(self, processes: int, threads: int) -> list[list[str]]:
        shape = ["--workers", str(processes), "--max-async-tasks", str(threads)]
        quiet = ["--log-level", "WARNING"]
        return [python("taskiq", "worker", f"{module('taskiq_streams')}:broker", *shape, *quiet)]
