"""The four measurements; each is done to every engine in the same way."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import psycopg
import redis

from tests.benchmarks.engine_peers import ours
from tests.benchmarks.engine_peers.ground import (
    RunFailed,
    Shape,
    cpu_s,
    tree,
    wait_for_all,
    working,
)
from tests.benchmarks.engine_peers.peer import Form, Peer, database_url, redis_url

# Left out at both ends: workers start one after another, and the last jobs leave threads idle.
EDGE_SHARE = 0.05
PICK_UP_SHAPE = Shape(1, 8)
PAUSE_S = (0.05, 0.4)
SETTLE_S = 1.5


@dataclass(frozen=True, slots=True)
class PickUp:
    """Seconds from commit to start, one by one, and the idle cost in ms of CPU a second."""

    waits_s: Sequence[float]
    workers_ms: float
    servers_ms: float
    claims_s: Sequence[float] = ()


def drain(engine: Peer, shape: Shape, *, jobs: int, sleep_ms: int = 0) -> float:
    """Jobs a second: all wait in the queue before the first worker starts."""
    engine.clear()
    engine.fill(jobs, sleep_ms=sleep_ms)
    with working(engine, shape, jobs=jobs, sleep_ms=sleep_ms) as pids:
        return steady_rate(list(wait_for_all(engine, pids, jobs=jobs).values()))


def steady_rate(moments: Sequence[float]) -> float:
    """Ends a second between the first and the last twentieth of them."""
    ordered = sorted(moments)
    edge = int(len(ordered) * EDGE_SHARE)
    last = len(ordered) - 1 - edge
    return (last - edge) / max(ordered[last] - ordered[edge], 1e-9)


def enqueue(engine: Peer, form: Form) -> float:
    """Jobs a second that one client enqueues; nobody works meanwhile."""
    engine.clear()
    begun = time.perf_counter()
    form.run()
    return form.jobs / (time.perf_counter() - begun)


def pick_up(engine: Peer, *, samples: int, idle_s: float) -> PickUp:
    """One job at a time, at random intervals, into an idle system; then nothing at all."""
    engine.clear()
    with working(engine, PICK_UP_SHAPE, jobs=samples + 1) as pids:
        warm_up(engine, pids)
        sent: dict[int, float] = {}
        for number in range(1, samples + 1):
            engine.put(number)
            sent[number] = time.time()
            time.sleep(random.uniform(*PAUSE_S))
        wait_for_all(engine, pids, jobs=samples + 1)
        workers_ms, servers_ms = idle_cost(pids, seconds=idle_s)
        return PickUp(
            waits_s=waits(sent, engine.begun()),
            workers_ms=workers_ms,
            servers_ms=servers_ms,
            claims_s=waits(sent, engine.claimed()) if isinstance(engine, ours.Engine) else (),
        )


def warm_up(engine: Peer, pids: Sequence[int]) -> None:
    """Job 0: when it has run, the workers are up."""
    engine.put(0)
    wait_for_all(engine, pids, jobs=1)
    time.sleep(SETTLE_S)


def waits(sent: dict[int, float], begun: dict[int, float]) -> list[float]:
    if missing := sent.keys() - begun.keys():
        raise RunFailed(f"{len(missing)} jobs never began")
    return [begun[number] - moment for number, moment in sent.items()]


def idle_cost(pids: Sequence[int], *, seconds: float) -> tuple[float, float]:
    """CPU in ms a second of the engine's own processes, and of Postgres and Redis."""
    time.sleep(SETTLE_S)
    workers, servers = tree(pids), server_processes()
    before = cpu_s(workers), cpu_s(servers)
    time.sleep(seconds)
    after = cpu_s(workers), cpu_s(servers)
    spent = [(b - a) * 1000 / seconds for a, b in zip(before, after, strict=True)]
    return spent[0], spent[1]


def server_processes() -> list[psutil.Process]:
    with psycopg.connect(database_url("postgres")) as conn:
        postmaster = psutil.Process(conn.info.backend_pid).parent()
    with redis.Redis.from_url(redis_url()) as client:
        cache = psutil.Process(client.info()["process_id"])
    assert postmaster is not None
    return [postmaster, *postmaster.children(recursive=True), cache]


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share does not exceed."""
    ordered = sorted(values)
    place = -(-len(ordered) * share // 1)
    return ordered[max(0, int(place) - 1)]
