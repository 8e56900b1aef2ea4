"""Dramatiq with its own Redis broker, as its guide sets it up."""

from collections.abc import Sequence
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks.engine_peers.peer import Form, Stamped, module, python, redis_url
from tests.benchmarks.engine_peers.stamps import work

SINGLE_JOBS = 3_000

broker: Any = RedisBroker(url=redis_url())  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)
actor = dramatiq.actor(work)


class Engine(Stamped):
    name = "dramatiq"
    packages: Sequence[str] = ("dramatiq",)
    settings = "Redis broker, default middleware and prefetch; threads as in the shape"
    jobs = 12_000
    io_jobs = 5_000

    def fill(self, jobs: int, *, sleep_ms: int) -> None:
        for number in range(jobs):
            actor.send(number)

    def put(self, number: int) -> None:
        actor.send(number)

    def forms(self) -> list[Form]:
        return [Form("one call a job", SINGLE_JOBS, lambda: self.fill(SINGLE_JOBS, sleep_ms=0))]

    def commands(self, processes: int, threads: int) -> list[list[str]]:
        shape = ["--processes", str(processes), "--threads", str(threads)]
        return [python("dramatiq", module("stock_dramatiq"), *shape)]
