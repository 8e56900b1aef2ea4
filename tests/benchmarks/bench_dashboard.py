"""The dashboard on much history while jobs flow: how fast each page answers, and what it costs.

BENCH_JOBS is how many job rows there are (2,000,000), BENCH_SHAPE how they are spread (even or
skewed), BENCH_REQUESTS how often each page is asked for (40), BENCH_PARTS chooses of pages, cost
and live. The slowest pages come first.
"""

import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory

import httpx
import psutil

from db import operators
from db.embedded import Services, serve
from db.migrate import migrate
from db.pool import Connection, connect
from tests.benchmarks.dashboard_addresses import addresses
from tests.benchmarks.dashboard_rows import SHAPES, fill
from tests.browsing import READY
from tests.processes import Avivro, avivro, wait_until
from workers.dashboard import sessions
from workers.dashboard.sessions import COOKIE

JOBS = 2_000_000
REQUESTS = 40
AIM_MS = 300.0
FLOW_PER_S = 50
# One drain of the cost's measure, and how often each way.
DRAINED = 20_000
REPETITIONS = 4
WATCHERS = 3
WATCHED = ("/", "/jobs", "/queues")
BEAT_S = 3.0
WINDOWS = 10
LIVE_S = 30.0


@dataclass(frozen=True)
class Timing:
    """Of one address, in milliseconds."""

    path: str
    times_ms: Sequence[float]
    kilobytes: float
    # Processor time of the dashboard and of its connections, a request: whatever else runs here.
    cpu_ms: float

    @property
    def p95_ms(self) -> float:
        return quantile(self.times_ms, 0.95)


def main() -> None:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    jobs = int(os.environ.get("BENCH_JOBS", JOBS))
    shape = os.environ.get("BENCH_SHAPE", SHAPES[0])
    parts = [part for part in os.environ.get("BENCH_PARTS", "pages,cost,live").split(",") if part]
    with TemporaryDirectory(prefix="avivro-bench-") as home, serve(Path(home)) as services:
        assert services.database_url is not None
        migrate(services.database_url)
        with connect(services.database_url, autocommit=True) as conn:
            print_settings(conn)
            print(f"{jobs:,} jobs, {shape}")
            fill(conn, jobs, shape=shape)
            with running(services, Path(home) / "run") as base:
                for name, part in PARTS.items():
                    if name in parts:
                        part(conn, services.database_url, base)


def print_settings(conn: Connection) -> None:
    names = ("server_version", "synchronous_commit", "shared_buffers", "work_mem")
    rows = [(name, conn.execute(f"SHOW {name}".encode()).fetchone()) for name in names]
    told = ", ".join(f"{name}={row[0] if row else ''}" for name, row in rows)
    print(f"Python {python_version()}, PostgreSQL {told}")
    print(f"{psutil.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


@contextmanager
def running(services: Services, folder: Path) -> Iterator[str]:
    """One worker process, a dispatcher and a dashboard; its address."""
    assert services.database_url is not None
    with avivro(
        folder,
        DATABASE_URL=services.database_url,
        REDIS_URL=services.redis_url or "",
        AVIVRO_HOME=str(folder / "home"),
        DASHBOARD_PORT="0",
    ) as commands:
        for role in ("worker", "dispatcher", "dashboard"):
            commands.start(role)
        yield wait_until(lambda: listening(commands), "the dashboard listens")


def listening(commands: Avivro) -> str | None:
    found = READY.search(commands.log("dashboard"))
    return None if found is None else found[1]


def log_in(url: str, base: str) -> httpx.Client:
    with connect(url) as conn:
        name = f"bench-{time.monotonic_ns()}"
        operator_id = operators.insert_operator(conn, name, role="admin")
        assert operator_id is not None
        token = sessions.begin(conn, operator_id, user_agent="bench")
    return httpx.Client(base_url=base, cookies={COOKIE: token}, timeout=60)


# Pages.


def print_pages(conn: Connection, url: str, base: str) -> None:
    requests = int(os.environ.get("BENCH_REQUESTS", REQUESTS))
    with flow(url), log_in(url, base) as client:
        timings = [measure(conn, client, path, requests) for path in addresses(conn)]
        timings.append(measure_beats(conn, client, requests))
    timings.sort(key=lambda timing: -timing.p95_ms)
    slow = [timing for timing in timings if timing.p95_ms >= AIM_MS]
    print(
        f"{len(slow)} of {len(timings)} addresses miss {AIM_MS:.0f} ms p95, while "
        f"{FLOW_PER_S} jobs/s flow; {requests} requests each, the slowest first"
    )
    print(f"load {os.getloadavg()[0]:.1f}")
    print(f"{'p50 ms':>8} {'p95 ms':>8} {'max ms':>8} {'cpu ms':>8} {'kB':>6}  address")
    for timing in timings:
        print(
            f"{quantile(timing.times_ms, 0.5):>8.0f} {timing.p95_ms:>8.0f} "
            f"{max(timing.times_ms):>8.0f} {timing.cpu_ms:>8.0f} {timing.kilobytes:>6.0f}"
            f"  {timing.path}"
        )


def measure(conn: Connection, client: httpx.Client, path: str, requests: int) -> Timing:
    times_ms = []
    answer = client.get(path)
    before = look_at(conn)
    for _ in range(requests):
        began_at = time.perf_counter()
        answer = client.get(path)
        times_ms.append(1_000 * (time.perf_counter() - began_at))
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])
    cpu_ms = 1_000 * sum(look_at(conn).since(before)) / requests
    return Timing(path, times_ms, len(answer.content) / 1_000, cpu_ms)


def measure_beats(conn: Connection, client: httpx.Client, requests: int) -> Timing:
    """How soon the stream tells something to a window that was just opened."""
    times_ms, told = [], ""
    before = look_at(conn)
    for _ in range(requests):
        began_at = time.perf_counter()
        with client.stream("GET", "/live") as answer:
            told = next(answer.iter_text())
        times_ms.append(1_000 * (time.perf_counter() - began_at))
    cpu_ms = 1_000 * sum(look_at(conn).since(before)) / requests
    return Timing("/live, its first beat", times_ms, len(told) / 1_000, cpu_ms)


@contextmanager
def flow(url: str) -> Iterator[None]:
    """Jobs that come and go all the time."""
    stopped = threading.Event()

    def enqueue() -> None:
        with connect(url, autocommit=True) as conn:
            while not stopped.wait(1 / FLOW_PER_S):
                conn.execute("SELECT worker.enqueue('probe', priority => -1)")

    thread = threading.Thread(target=enqueue)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


# Cost: the same drain with nobody and with some who watch.


def print_cost(conn: Connection, url: str, base: str) -> None:
    conn.execute("DELETE FROM worker.jobs WHERE state IN ('available', 'scheduled', 'retryable')")
    drain(conn)
    ratios, alone, spent_ms = [], [], []
    for _ in range(REPETITIONS):
        unwatched = drain(conn)
        with watching(url, base):
            began_at, before = time.monotonic(), look_at(conn)
            watched = drain(conn)
            spent = sum(look_at(conn).since(before))
            spent_ms.append(1_000 * spent / (time.monotonic() - began_at))
        alone.append(unwatched)
        ratios.append(watched / unwatched)
    print(
        f"jobs drained a second while {WATCHERS} windows watch {', '.join(WATCHED)} (each beat, "
        f"{BEAT_S:.0f} s) / while nobody does: {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f}-{max(ratios):.3f}), {REPETITIONS} alternating pairs of "
        f"{DRAINED:,} empty jobs; nobody watching: {statistics.median(alone):,.0f} jobs/s"
    )
    print(
        f"meanwhile the dashboard and its connections take {statistics.median(spent_ms):.0f} ms of "
        f"processor a second ({min(spent_ms):.0f}-{max(spent_ms):.0f}), whatever else runs here"
    )


@dataclass(frozen=True)
class Spent:
    """Processor time of the dashboard's process and of its connections, by process."""

    own_s: dict[int, float]
    postgres_s: dict[int, float]

    def since(self, before: "Spent") -> tuple[float, float]:
        """In seconds; what ended meanwhile is left out."""
        return difference(before.own_s, self.own_s), difference(before.postgres_s, self.postgres_s)


def look_at(conn: Connection) -> Spent:
    rows = conn.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'avivro dashboard%'"
    ).fetchall()
    own = [each for each in psutil.Process().children() if is_dashboard(each)]
    return Spent(spent_s(own), spent_s([psutil.Process(pid) for (pid,) in rows]))


def spent_s(processes: Sequence[psutil.Process]) -> dict[int, float]:
    return {each.pid: sum(each.cpu_times()[:2]) for each in processes}


def difference(before: dict[int, float], now: dict[int, float]) -> float:
    return sum(spent - before.get(pid, 0.0) for pid, spent in now.items())


def is_dashboard(process: psutil.Process) -> bool:
    try:
        return "dashboard" in process.cmdline()
    except psutil.Error:
        # It ended, or is about to.
        return False


def drain(conn: Connection) -> float:
    """Jobs a second."""
    began_at = time.monotonic()
    conn.execute(
        "SELECT worker.enqueue_many('probe', array_fill('{}'::jsonb, ARRAY[%s]), priority => -1)",
        (DRAINED,),
    )
    wait_until(lambda: is_drained(conn), "all jobs ended", deadline_s=300)
    return DRAINED / (time.monotonic() - began_at)


def is_drained(conn: Connection) -> bool:
    # Those of this drain alone: schedules and marks make others.
    found = conn.execute(
        "SELECT EXISTS (SELECT FROM worker.jobs WHERE kind = 'probe'"
        " AND state IN ('available', 'dispatched', 'running'))"
    ).fetchone()
    return found is not None and not found[0]


@contextmanager
def watching(url: str, base: str, windows: int = WATCHERS, *, ask: bool = True) -> Iterator[None]:
    """Windows with their stream, which ask for their page again at each beat, as live.js does."""
    stopped = threading.Event()

    def watch(path: str) -> None:
        with log_in(url, base) as client, client.stream("GET", "/live") as beats:
            for _ in beats.iter_text():
                if stopped.is_set():
                    return
                if ask:
                    client.get(path)

    threads = [
        threading.Thread(target=watch, args=(WATCHED[place % len(WATCHED)],))
        for place in range(windows)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


# Live updates: what windows cost that only stay open.


def print_live(conn: Connection, url: str, base: str) -> None:
    for words, windows, ask in (
        ("nobody watches", 0, False),
        (f"{WINDOWS} windows hear the beats alone", WINDOWS, False),
        (f"{WINDOWS} windows ask for {', '.join(WATCHED)} at each", WINDOWS, True),
    ):
        with flow(url), watching(url, base, windows, ask=ask):
            time.sleep(BEAT_S)
            began_at, before = time.monotonic(), look_at(conn)
            time.sleep(LIVE_S)
            own, postgres = (
                1_000 * spent / (time.monotonic() - began_at)
                for spent in look_at(conn).since(before)
            )
        print(f"{words}: {own:.0f} ms/s in the dashboard, {postgres:.0f} ms/s in Postgres")


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


PARTS = {"pages": print_pages, "cost": print_cost, "live": print_live}
