"""The jobs of a chaos run: a mix of probes, the same for the same seed, fed over its length."""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import psycopg

from db import jobs
from db.pool import Connection, connect
from workers import chains
from workers.jobs import Probe
from workers.payloads import encode

PARCEL_JOBS = 50
BATCH_JOBS = 9
TENANTS = [UUID(int=number) for number in range(1, 6)]
UNIQUE_KEYS = [f"key-{number}" for number in range(40)]
PRIORITIES = (0, 0, 0, 5, 10)
EFFECT = "chaos"
RETRY_S = 0.2


@dataclass(frozen=True, slots=True)
class Item:
    """One call of enqueue."""

    probe: Probe
    tenant: UUID
    priority: int
    unique_key: str | None
    delay_s: float


def make_parcel(seed: int, number: int) -> Iterator[Item]:
    luck = random.Random(f"{seed}:{number}")
    for _ in range(PARCEL_JOBS):
        yield Item(
            make_probe(luck),
            tenant=luck.choice(TENANTS),
            priority=luck.choice(PRIORITIES),
            unique_key=luck.choice(UNIQUE_KEYS) if luck.random() < 0.05 else None,
            delay_s=luck.uniform(0.1, 5) if luck.random() < 0.08 else 0.0,
        )


def make_probe(luck: random.Random) -> Probe:
    (kind,) = luck.choices(
        ["no-op", "effect", "sleep", "long", "cpu", "fail"], weights=[18, 36, 24, 6, 8, 8]
    )
    match kind:
        case "no-op":
            return Probe()
        case "sleep":
            return Probe(sleep_ms=luck.randint(20, 400), effect=EFFECT)
        case "long":
            return Probe(sleep_ms=luck.randint(1000, 2000), effect=EFFECT)
        case "cpu":
            return Probe(cpu_ms=luck.randint(1, 10), effect=EFFECT)
        case "fail":
            return Probe(fail_times=luck.randint(1, 2), effect=EFFECT)
        case _:
            return Probe(effect=EFFECT)


class Feeder(threading.Thread):
    """Enqueues `jobs_min` jobs evenly over `duration_s`, however often Postgres goes away.

    Goes on at that pace until `close`.
    """

    def __init__(self, database_url: str, *, seed: int, jobs_min: int, duration_s: float) -> None:
        super().__init__(name="feeder", daemon=True)
        self._database_url = database_url
        self._seed = seed
        self._parcels = -(-jobs_min // PARCEL_JOBS)
        self._pause_s = duration_s / self._parcels
        self._ended = threading.Event()

    def close(self) -> None:
        """Returns when at least `jobs_min` jobs are stored."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        began_at = time.monotonic()
        for number in count():
            if self._ended.is_set() and number >= self._parcels:
                return
            while not self._send(number):
                time.sleep(RETRY_S)
            time.sleep(max(0.0, began_at + (number + 1) * self._pause_s - time.monotonic()))

    def _send(self, number: int) -> bool:
        """False when it is not known to be stored; a parcel that was stored is not sent again."""
        try:
            with connect(self._database_url, name="chaos feeder") as conn:
                new = conn.execute(
                    "INSERT INTO chaos.parcels VALUES (%s) ON CONFLICT DO NOTHING", (number,)
                )
                if new.rowcount:
                    store_parcel(conn, self._seed, number)
        except psycopg.OperationalError:
            return False
        return True


def store_parcel(conn: Connection, seed: int, number: int) -> None:
    for item in make_parcel(seed, number):
        due = datetime.now(UTC) + timedelta(seconds=item.delay_s) if item.delay_s else None
        job_id = jobs.enqueue(
            conn,
            "probe",
            encode(item.probe),
            tenant=item.tenant,
            unique_key=item.unique_key,
            run_at=due,
            priority=item.priority,
        )
        note(conn, [job_id], has_effect=item.unique_key is None and item.probe.effect is not None)
    if number % 5 == 0:
        store_batch(conn)


def store_batch(conn: Connection) -> None:
    members = [Probe(sleep_ms=20, effect=EFFECT)] * BATCH_JOBS
    batch = chains.enqueue_batch(conn, members, then=Probe(effect=EFFECT), tenant=TENANTS[0])
    note(conn, [*batch.job_ids, batch.callback_id], has_effect=True)
    conn.execute("INSERT INTO chaos.batches VALUES (%s, %s)", (batch.callback_id, batch.job_ids))


def note(conn: Connection, ids: list[int], *, has_effect: bool) -> None:
    """A unique job may be there already: then it is the same one."""
    conn.cursor().executemany(
        "INSERT INTO chaos.cargo VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [(job_id, has_effect) for job_id in ids],
    )
