"""What every process counts, and how it reaches the totals that /metrics shows.

Counting is in memory. Every few seconds the process adds what it counted to worker.metrics, so
totals outlive their processes; a process that is killed takes at most FLUSH_EVERY_S of its counts
with it. Labels are bounded: kinds, queues, outcomes, configured models; never ids or tenants.
"""

import logging
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import psycopg

from db import history, metrics
from db.metrics import Sample
from db.pool import Connection

FLUSH_EVERY_S = 5.0
CLOSE_S = 3.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Counter:
    """`labels` are the names of the values that `count` is given, in this order."""

    name: str
    labels: tuple[str, ...]
    about: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Of seconds; each bucket holds what is at most its bound and over the bound before it.

    `fine` are bounds besides those that /metrics shows: percentiles of pages need more of them
    than anybody wants to store series for.
    """

    name: str
    labels: tuple[str, ...]
    about: str
    told: tuple[float, ...]
    fine: tuple[float, ...] = ()
    bounds: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", tuple(sorted({*self.told, *self.fine})))

    @property
    def bucket(self) -> str:
        return f"{self.name}_bucket"

    @property
    def sum(self) -> str:
        return f"{self.name}_sum"


QUICK_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLOW_S = (30.0, 60.0, 300.0, 1800.0, 3600.0)
# None is more than a third over the one before it, up to an hour.
FINE_S = (
    *(round(10**power * part, 6) for power in (-3, -2, -1, 0) for part in
      (1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8)),
    12.0, 15.0, 20.0, 25.0, 40.0, 50.0, 80.0, 100.0, 120.0, 150.0, 180.0, 240.0, 400.0, 500.0,
    600.0, 800.0, 1000.0, 1200.0, 1500.0, 2400.0, 3000.0, 4800.0, 7200.0, 14400.0, 28800.0, 86400.0,
)  # fmt: skip

# fmt: off
ATTEMPTS = Counter(
    "avivro_attempts_total", ("kind", "outcome"), "Attempts that ended, by how they did.")
DISCARDS = Counter(
    "avivro_discards_total", ("kind",), "Jobs that were given up.")
RESCUES = Counter(
    "avivro_rescues_total", ("kind",), "Jobs taken back from processes that died.")
RENEWALS = Counter(
    "avivro_lease_renewals_total", ("role", "result"), "Renewals of leases, by ok or failed.")
EPOCH_CHANGES = Counter(
    "avivro_redis_epoch_changes_total", (), "How often Redis had lost its memory.")
PROVIDER_CALLS = Counter(
    "avivro_provider_calls_total", ("provider", "model", "result"), "Calls of model providers.")
PROVIDER_TOKENS = Counter(
    "avivro_provider_tokens_total", ("provider", "model"), "Tokens that providers billed.")
PROVIDER_TIME = Histogram(
    "avivro_provider_call_seconds", ("provider", "model"),
    "How long calls of model providers took, failed ones too.", (*QUICK_S, 30.0, 60.0), FINE_S)
STATS_DIFFERENCES = Counter(
    "avivro_stats_differences_total", (), "Days of daily_stats that a recount found wrong.")
USAGE_DIFFERENCES = Counter(
    "avivro_usage_differences_total", (), "Months of usage that were wrong, and nobody had marked.")
DISPATCH_LAG = Histogram(
    "avivro_dispatch_lag_seconds", ("queue", "kind"),
    "From when a job was due until it was sent to the workers.", QUICK_S + SLOW_S, FINE_S)
CLAIM_TO_START = Histogram(
    "avivro_claim_to_start_seconds", ("kind",),
    "From when a worker process took a job until a thread began it.", QUICK_S)
DURATION = Histogram(
    "avivro_job_duration_seconds", ("kind",), "How long attempts ran.", QUICK_S + SLOW_S,
    FINE_S)
# fmt: on

COUNTERS = (
    ATTEMPTS, DISCARDS, RESCUES, RENEWALS, EPOCH_CHANGES, PROVIDER_CALLS, PROVIDER_TOKENS,
    STATS_DIFFERENCES, USAGE_DIFFERENCES,
)  # fmt: skip
HISTOGRAMS = (DISPATCH_LAG, CLAIM_TO_START, DURATION, PROVIDER_TIME)
# What is kept by the minute, too: see db/history.py.
REMEMBERED = {
    ATTEMPTS.name, DISCARDS.name, PROVIDER_CALLS.name, PROVIDER_TIME.bucket, DISPATCH_LAG.bucket,
    DURATION.bucket,
}  # fmt: skip

# The name of a sample, and its labels with their values.
Key = tuple[str, tuple[tuple[str, str], ...]]
Borrow = Callable[[], AbstractContextManager[Connection]]


class Tally:
    """What was counted since the last flush; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
        self._times: dict[str, dict[tuple[str, ...], list[float]]] = defaultdict(dict)
        self._unsent: dict[Key, float] = {}

    def count(self, counter: Counter, *labels: str, by: float = 1) -> None:
        with self._lock:
            values = self._counts[counter.name]
            values[labels] = values.get(labels, 0) + by

    def observe(self, histogram: Histogram, seconds: float, *labels: str) -> None:
        place = bisect_left(histogram.bounds, seconds)
        with self._lock:
            values = self._times[histogram.name]
            times = values.get(labels)
            if times is None:
                times = values[labels] = [0.0] * (len(histogram.bounds) + 2)
            times[place] += 1
            times[-1] += seconds

    def take(self) -> dict[Key, float]:
        """Everything not yet flushed; it is forgotten here."""
        with self._lock:
            counts, self._counts = self._counts, defaultdict(dict)
            times, self._times = self._times, defaultdict(dict)
            taken, self._unsent = self._unsent, {}
        for key, value in (*counted(counts), *timed(times)):
            taken[key] = taken.get(key, 0) + value
        return taken

    def give_back(self, taken: dict[Key, float]) -> None:
        """Keep what could not be stored for the next flush."""
        with self._lock:
            for key, value in taken.items():
                self._unsent[key] = self._unsent.get(key, 0) + value


def counted(counts: dict[str, dict[tuple[str, ...], float]]) -> Iterator[tuple[Key, float]]:
    for counter in COUNTERS:
        for labels, value in counts.get(counter.name, {}).items():
            yield (counter.name, tuple(zip(counter.labels, labels, strict=True))), value


def timed(times: dict[str, dict[tuple[str, ...], list[float]]]) -> Iterator[tuple[Key, float]]:
    """A row for each bucket that grew, and one for the sum."""
    for histogram in HISTOGRAMS:
        bounds = [*map(str, histogram.bounds), "+Inf"]
        for labels, (*buckets, seconds) in times.get(histogram.name, {}).items():
            named = tuple(zip(histogram.labels, labels, strict=True))
            yield (histogram.sum, named), seconds
            for bound, value in zip(bounds, buckets, strict=True):
                if value:
                    yield (histogram.bucket, (*named, ("le", bound))), value


# One a process, as what it counts is the process' own.
TALLY = Tally()
count = TALLY.count
observe = TALLY.observe


def flush(conn: Connection, tally: Tally = TALLY) -> None:
    """Add what was counted to the totals; keeps it, and raises OperationalError, where it cannot.

    An answer that is lost after the commit counts twice: rather that than never.
    """
    taken = tally.take()
    if not taken:
        return
    deltas = [Sample(name, dict(labels), value) for (name, labels), value in taken.items()]
    try:
        with conn.transaction():
            metrics.add_deltas(conn, deltas)
            if kept := [delta for delta in deltas if delta.name in REMEMBERED]:
                history.add_deltas(conn, kept)
    except psycopg.Error:
        tally.give_back(taken)
        raise


def try_flush(conn: Connection, tally: Tally = TALLY) -> None:
    """Flush where that works now: figures end no process and hold up none."""
    try:
        flush(conn, tally)
    except psycopg.OperationalError as error:
        log.debug("cannot store figures yet: %s", error)
    except psycopg.Error as error:
        log.warning("cannot store figures: %s", error)


class Flusher(threading.Thread):
    """Flushes now and then over a connection borrowed for as long as that takes."""

    def __init__(
        self, borrow: Borrow, *, tally: Tally = TALLY, every_s: float = FLUSH_EVERY_S
    ) -> None:
        super().__init__(name="metrics", daemon=True)
        self._borrow = borrow
        self._tally = tally
        self._every_s = every_s
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(self._every_s):
            self._flush()
        self._flush()

    def close(self) -> None:
        """Flush once more, at the process' orderly end."""
        self._ended.set()
        if self.is_alive():
            self.join(CLOSE_S)

    def _flush(self) -> None:
        try:
            with self._borrow() as conn:
                try_flush(conn, self._tally)
        except psycopg.OperationalError as error:
            log.debug("cannot store figures yet: %s", error)
