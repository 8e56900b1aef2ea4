"""Webhooks end to end: deliveries/s beside a raw client, a healthy endpoint's waits, memory.

A worker process and a dispatcher as they are deployed, on embedded Postgres and Valkey; the
receiver is a process of its own. The raw client posts the same bodies, signed before, to the same
receiver and keeps nothing. BENCH_PARTS (comma-separated) chooses: waits, speed, memory.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory
from uuid import UUID

import aiohttp
import psutil
from psycopg.types.json import Jsonb

from db import demo
from db.embedded import Services, serve
from db.migrate import migrate
from db.pool import Connection, connect
from pipelines.webhooks.signing import sign
from tests.processes import ROOT, Avivro, avivro, wait_until

REPETITIONS = 3
SPEED_AIM = 0.4
TENANTS = 10
ENDPOINTS = 25
EVENTS = 400
# What the raw client has in flight; the best of them counts.
RAW_IN_FLIGHT = (16, 64, 256)

MEMORY_DELIVERIES = 50_000
MEMORY_STEP = 10_000
MEMORY_GROWTH_MB_MAX = 20.0

DEAD = 1_000
SLOW = 500
HEALTHY_EVENTS = 300
HEALTHY_GAP_S = 0.1
P99_AIM_S = 1.0

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DATA = {
    "id": "00000000-0000-4000-8000-000000000001",
    "role": "user",
    "content": "When do you deliver to Tromsø, and what does it cost? " * 5,
}


@dataclass(frozen=True)
class World:
    """The servers, and where the receiver is."""

    services: Services
    conn: Connection
    origin: str

    def heard(self) -> tuple[int, dict[str, float]]:
        """The number of all posts, and when each came to /healthy, by webhook-id."""
        with urllib.request.urlopen(self.origin) as answer:
            told = json.load(answer)
            return told["count"], dict(told["kept"])

    def add_owner(self, name: str) -> UUID:
        return demo.ensure_user(self.conn, email=f"{name}@example.com", full_name=name)

    def add_webhooks(self, user_id: UUID, path: str, count: int) -> list[UUID]:
        rows = self.conn.execute(
            "INSERT INTO public.webhooks (user_id, name, url, secret, events)"
            " SELECT %s, %s || n, %s || n, %s, '{*}' FROM generate_series(1, %s) AS n"
            " RETURNING id",
            (user_id, path, f"{self.origin}{path}/", SECRET, count),
        ).fetchall()
        return [row[0] for row in rows]

    def send(self, webhook_ids: Sequence[UUID], *, times: int = 1) -> None:
        self.conn.execute(
            "INSERT INTO public.webhook_deliveries (webhook_id, event_type, event_data)"
            " SELECT w, 'message.created', %s FROM unnest(%s::uuid[]) AS w"
            " CROSS JOIN generate_series(1, %s)",
            (Jsonb(DATA), list(webhook_ids), times),
        )

    def emit(self, owners: Sequence[UUID], events: int) -> None:
        """Events in turn for each owner: each fans out to all of the owner's endpoints."""
        for number in range(events):
            self.conn.execute(
                "SELECT private.emit_user_event('message.created', %s, %s)",
                (owners[number % len(owners)], Jsonb(DATA)),
            )

    def wait_for(self, owners: Sequence[UUID], *, deadline_s: float = 600) -> None:
        """Until all deliveries of the owners are delivered."""

        def done() -> bool:
            waiting = self.conn.execute(
                "SELECT 1 FROM public.webhook_deliveries AS d WHERE status <> 'delivered'"
                " AND webhook_id IN (SELECT id FROM public.webhooks WHERE user_id = ANY(%s))"
                " LIMIT 1",
                (list(owners),),
            ).fetchone()
            return waiting is None

        wait_until(done, "all are delivered", deadline_s=deadline_s)


def main() -> None:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    chosen = [part for part in os.environ.get("BENCH_PARTS", "").split(",") if part]
    with prepared() as world:
        print_settings(world.conn)
        for name, part in PARTS.items():
            if not chosen or name in chosen:
                part(world)


@contextmanager
def prepared() -> Iterator[World]:
    with TemporaryDirectory(prefix="avivro-bench-") as home, serve(Path(home)) as services:
        assert services.database_url is not None
        migrate(services.database_url)
        with receiving() as origin, connect(services.database_url, autocommit=True) as conn:
            yield World(services, conn, origin)


@contextmanager
def receiving() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.receiving", "/healthy"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


@contextmanager
def crew(world: World) -> Iterator[Avivro]:
    """One worker process and a dispatcher."""
    # The commands' logs are shown at their end, for tests that fail.
    with (
        redirect_stdout(StringIO()),
        TemporaryDirectory(prefix="avivro-bench-") as folder,
        avivro(
            Path(folder) / "run",
            DATABASE_URL=world.services.database_url or "",
            REDIS_URL=world.services.redis_url or "",
            AVIVRO_HOME=folder,
            EGRESS_ALLOW="127.0.0.1",
        ) as commands,
    ):
        commands.start("dispatcher")
        commands.start("worker", "--queue", "webhooks", "--processes", "1")
        warm_up(world)
        yield commands


def warm_up(world: World) -> None:
    """How long processes take to start is no part of what is measured."""
    owner = world.add_owner("warm")
    world.send(world.add_webhooks(owner, "/ok", 1))
    world.wait_for([owner])
    world.conn.execute("DELETE FROM public.webhooks WHERE user_id = %s", (owner,))


def print_settings(conn: Connection) -> None:
    settings = ("server_version", "synchronous_commit", "fsync", "full_page_writes")
    server, *durable = (conn.execute(f"SHOW {name}".encode()).fetchone() for name in settings)
    kept = ", ".join(
        f"{name}={row[0] if row else ''}" for name, row in zip(settings[1:], durable, strict=True)
    )
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "psycopg", "dramatiq"))
    print(
        f"Python {python_version()}, PostgreSQL {server[0] if server else ''} ({kept}), {packages}"
    )
    print(f"{psutil.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; one worker process")


# Speed: from the first event's insert to the last row that says delivered.


def print_speed(world: World) -> None:
    owners = [world.add_owner(f"tenant{number}") for number in range(TENANTS)]
    for owner in owners:
        world.add_webhooks(owner, "/ok", ENDPOINTS)
    letters = sign_letters(world, EVENTS * ENDPOINTS)
    ours: list[float] = []
    raw: list[float] = []
    inserts_s: list[float] = []
    with crew(world):
        world.emit(owners, TENANTS)
        world.wait_for(owners)
        for _ in range(REPETITIONS):
            begun = time.perf_counter()
            world.emit(owners, EVENTS)
            inserts_s.append(time.perf_counter() - begun)
            world.wait_for(owners)
            ours.append(len(letters) / (time.perf_counter() - begun))
            raw.append(max(post_raw(letters, in_flight) for in_flight in RAW_IN_FLIGHT))
    ratios = [mine / other for mine, other in zip(ours, raw, strict=True)]
    ratio = statistics.median(ratios)
    print(
        f"\n{EVENTS} events, each to {ENDPOINTS} endpoints, of {TENANTS} tenants;"
        f" {REPETITIONS} repetitions, alternating; medians (smallest to largest)"
    )
    print(
        f"{'LOSS' if ratio < SPEED_AIM else 'ok':4}  {ratio:.2f}x"
        f" ({min(ratios):.2f} to {max(ratios):.2f}; aim {SPEED_AIM:g}x)  row to delivered row"
        f" against a raw aiohttp loop: {spread(ours)} against {spread(raw)} a second"
    )
    print(f"      of it the inserts took {statistics.median(inserts_s):.2f} s, while work went on")


def sign_letters(world: World, count: int) -> list[tuple[str, dict[str, str], bytes]]:
    body = json.dumps({"type": "message.created", "timestamp": "", "data": DATA}).encode()
    now_s = int(time.time())
    return [
        (
            f"{world.origin}/ok/{number % (ENDPOINTS * TENANTS)}",
            {
                "Content-Type": "application/json",
                "webhook-id": f"msg_{number}",
                "webhook-timestamp": str(now_s),
                "webhook-signature": sign(f"msg_{number}", now_s, body, secrets=[SECRET]),
            },
            body,
        )
        for number in range(count)
    ]


def post_raw(letters: list[tuple[str, dict[str, str], bytes]], in_flight: int) -> float:
    """Posts a second."""

    async def post(session: aiohttp.ClientSession) -> None:
        waiting = iter(letters)

        async def work() -> None:
            for url, headers, body in waiting:
                async with session.post(url, data=body, headers=headers) as answer:
                    await answer.read()

        await asyncio.gather(*(work() for _ in range(in_flight)))

    async def run() -> None:
        connector = aiohttp.TCPConnector(limit=in_flight)
        async with aiohttp.ClientSession(connector=connector) as session:
            await post(session)

    begun = time.perf_counter()
    asyncio.run(run())
    return len(letters) / (time.perf_counter() - begun)


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


# Waits: a healthy endpoint beside a dead one and slow ones.


def print_waits(world: World) -> None:
    print(
        f"\n{DEAD:,} queued to an endpoint that never answers, {SLOW} endpoints that take 5-10 s;"
        f" a healthy one gets an event every {HEALTHY_GAP_S * 1000:.0f} ms, {HEALTHY_EVENTS} in all"
    )
    found = []
    for of_whom in ("of another tenant", "of the same tenant"):
        for each in (1, 4):
            waits_s = measure_waits(world, same=of_whom == "of the same tenant", each=each)
            found.append((quantile(waits_s, 0.99), of_whom, each, waits_s))
    for p99_s, of_whom, each, waits_s in sorted(found, reverse=True):
        print(
            f"{'LOSS' if p99_s >= P99_AIM_S else 'ok':4}  {of_whom:18}, {each} queued to each slow"
            f" one: from row to post p50 {quantile(waits_s, 0.5) * 1000:.0f} ms,"
            f" p99 {p99_s * 1000:.0f} ms, longest {max(waits_s) * 1000:.0f} ms (aim p99 < 1 s)"
        )


def measure_waits(world: World, *, same: bool, each: int) -> list[float]:
    name = f"{'same' if same else 'other'}{each}"
    sick = world.add_owner(f"sick-{name}")
    (dead,) = world.add_webhooks(sick, f"/dead/{name}", 1)
    slow = world.add_webhooks(sick, f"/slow/5-10/{name}", SLOW)
    owner = sick if same else world.add_owner(f"healthy-{name}")
    (healthy,) = world.add_webhooks(owner, f"/healthy/{name}", 1)
    with crew(world):
        world.send([dead], times=DEAD)
        world.send(slow, times=each)
        for number in range(HEALTHY_EVENTS):
            begun = time.perf_counter()
            world.send([healthy])
            if number % 50 == 25:
                world.send(slow)
            time.sleep(max(0.0, HEALTHY_GAP_S - (time.perf_counter() - begun)))
        waits_s = wait_for_healthy(world, healthy)
    # Unfinished work of this part is not the next one's.
    world.conn.execute("DELETE FROM public.webhooks")
    world.conn.execute("DELETE FROM worker.jobs")
    return waits_s


def wait_for_healthy(world: World, webhook_id: UUID) -> list[float]:
    """From each row's transaction to its post; the clocks are one machine's."""
    rows = world.conn.execute(
        "SELECT 'msg_' || event_id, extract(epoch FROM created_at)::float8"
        " FROM public.webhook_deliveries WHERE webhook_id = %s",
        (webhook_id,),
    ).fetchall()
    created_at: dict[str, float] = dict(rows)
    wait_until(lambda: created_at.keys() <= world.heard()[1].keys(), "all come", deadline_s=120)
    heard = world.heard()[1]
    return [heard[message_id] - at for message_id, at in created_at.items()]


def quantile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


# Memory: the worker process over many deliveries.


def print_memory(world: World) -> None:
    owner = world.add_owner("memory")
    world.add_webhooks(owner, "/ok", ENDPOINTS)
    with crew(world) as commands:
        world.emit([owner], 40)
        world.wait_for([owner])
        sizes = [resident_mb(commands)]
        for _ in range(MEMORY_DELIVERIES // MEMORY_STEP):
            world.emit([owner], MEMORY_STEP // ENDPOINTS)
            world.wait_for([owner])
            sizes.append(resident_mb(commands))
    grown_mb = sizes[-1] - sizes[1]
    print(f"\n{'LOSS' if grown_mb > MEMORY_GROWTH_MB_MAX else 'ok':4}  the worker process after")
    for step, size in enumerate(sizes):
        print(f"      {1000 + step * MEMORY_STEP:6,} deliveries: {size:6.1f} MB")


def resident_mb(commands: Avivro) -> float:
    """Of the process that delivers."""
    family = psutil.Process(commands.started["worker"].pid).children(recursive=True)
    sizes = [each.memory_info().rss for each in family if "worker-child" in each.cmdline()]
    return max(sizes) / 2**20


PARTS: dict[str, Callable[[World], None]] = {
    "waits": print_waits,
    "speed": print_speed,
    "memory": print_memory,
}


if __name__ == "__main__":
    main()
