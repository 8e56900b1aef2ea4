"""One tenant floods, another one adds a job now and then: how long does the second one wait?"""

import time
from dataclasses import dataclass
from uuid import UUID

from db import jobs
from db.pool import connect
from tests.chaos.world import World
from workers.jobs import Probe, enqueue_many
from workers.payloads import encode

FLOODER, GUEST = UUID(int=0xA), UUID(int=0xB)
WORK = Probe(sleep_ms=30)
EVERY_S = 1.0
P99_S_MAX = 2.0
TIME_S_MAX = 300.0


@dataclass(frozen=True, slots=True)
class Fairness:
    """`waits_s`: of the guest's jobs, from enqueue to start, shortest first."""

    flood_jobs: int
    took_s: float
    waits_s: list[float]

    @property
    def p99_s(self) -> float:
        return self.waits_s[min(len(self.waits_s) - 1, int(len(self.waits_s) * 0.99))]

    @property
    def holds(self) -> bool:
        return self.p99_s < P99_S_MAX


def measure(world: World, *, jobs: int) -> Fairness:
    """The guest comes once a second for as long as the flood lasts."""
    while not world.ask("SELECT 1 FROM worker.processes WHERE role = 'worker'"):
        time.sleep(0.2)
    with connect(world.database_url) as conn:
        enqueue_many(conn, [WORK] * jobs, tenant=FLOODER)
    began_at = time.monotonic()
    waiting = "SELECT 1 FROM worker.jobs WHERE tenant = %s AND state <> 'completed' LIMIT 1"
    while world.ask(waiting, FLOODER) and time.monotonic() - began_at < TIME_S_MAX:
        add_guest(world)
        time.sleep(EVERY_S)
    took_s = time.monotonic() - began_at
    while world.ask(waiting, GUEST):
        time.sleep(0.2)
    return Fairness(jobs, took_s, list_waits_s(world))


def add_guest(world: World) -> None:
    with connect(world.database_url, autocommit=True) as conn:
        jobs.enqueue(conn, "probe", encode(WORK), tenant=GUEST)


def list_waits_s(world: World) -> list[float]:
    rows = world.ask(
        "SELECT extract(epoch FROM started_at - created_at)::float8 FROM worker.jobs "
        "WHERE tenant = %s ORDER BY 1",
        GUEST,
    )
    return [row[0] for row in rows]


def describe(fair: Fairness) -> str:
    verdict = "" if fair.holds else "VIOLATION  "
    return (
        f"{verdict}fairness: one tenant floods {fair.flood_jobs} jobs ({fair.took_s:.0f} s), "
        f"another adds one a second: {len(fair.waits_s)} jobs wait p50 "
        f"{fair.waits_s[len(fair.waits_s) // 2] * 1000:.0f} ms, p99 {fair.p99_s * 1000:.0f} ms, "
        f"limit {P99_S_MAX:.0f} s"
    )
