"""The figures of all processes as Prometheus reads them: totals from rows, depths from jobs."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from db import alerts, metrics
from db.metrics import Depth, Sample
from workers.jobs import KINDS
from workers.metrics import COUNTERS, HISTOGRAMS, Borrow, Counter, Histogram

# Counting takes about 0.3 s for a million waiting jobs: at most a twentieth of the time goes there.
DEPTHS_AGE_S = 2.0
DEPTHS_REST = 20
STATES = ("scheduled", "available", "dispatched", "running", "retryable", "discarded")
ROLES = ("worker", "dispatcher", "scheduler", "dashboard")
SCOPES = ("queue", "kind", "tenant")
LEVELS = ("stop", "hold")


@dataclass(frozen=True, slots=True)
class Figures:
    """What one scrape shows."""

    depths: Sequence[Depth]
    processes: dict[str, int]
    pauses: dict[str, int]
    totals: Sequence[Sample]
    alerts: dict[str, int] = field(default_factory=dict)


class Reader:
    """Reads the figures; a count of jobs serves for as long as its cost demands."""

    def __init__(self, borrow: Borrow) -> None:
        self._borrow = borrow
        self._lock = Lock()
        self._depths: list[Depth] = []
        self._fresh_until = 0.0

    def read(self) -> Figures:
        """Raises OperationalError while Postgres is away."""
        with self._borrow() as conn:
            totals = metrics.read_totals(conn)
            processes = metrics.count_processes(conn)
            pauses = metrics.count_pauses(conn)
            standing = alerts.count_open(conn)
        return Figures(self._count_jobs(), processes, pauses, totals, standing)

    def _count_jobs(self) -> list[Depth]:
        # Two scrapes at once count once.
        with self._lock:
            began_at = time.monotonic()
            if began_at >= self._fresh_until:
                with self._borrow() as conn, conn.transaction():
                    self._depths = metrics.count_jobs(conn)
                ended_at = time.monotonic()
                rest_s = DEPTHS_REST * (ended_at - began_at)
                self._fresh_until = ended_at + max(DEPTHS_AGE_S, rest_s)
            return self._depths


def expose(figures: Figures) -> bytes:
    """Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families(figures))
    return generate_latest(registry)


class Families(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        yield depth(figures.depths)
        yield oldest_age(figures.depths)
        yield gauge(
            "avivro_processes",
            "Live processes.",
            "role",
            dict.fromkeys(ROLES, 0),
            figures.processes,
        )
        yield gauge(
            "avivro_paused", "What operators stopped.", "scope", dict.fromkeys(SCOPES, 0),
            figures.pauses,
        )  # fmt: skip
        yield gauge(
            "avivro_alerts_open", "Alerts that stand.", "level", dict.fromkeys(LEVELS, 0),
            figures.alerts,
        )  # fmt: skip
        samples: dict[str, list[Sample]] = defaultdict(list)
        for sample in figures.totals:
            samples[sample.name].append(sample)
        for counter in COUNTERS:
            yield counter_family(counter, samples[counter.name])
        for histogram in HISTOGRAMS:
            yield histogram_family(
                histogram, buckets=samples[histogram.bucket], sums=samples[histogram.sum]
            )


def depth(depths: Sequence[Depth]) -> Metric:
    """Every kind in every state, so that an empty queue is a 0 and no gap."""
    family = GaugeMetricFamily(
        "avivro_jobs", "Unfinished and discarded jobs.", labels=("queue", "kind", "state")
    )
    jobs = {(kind.queue, name, state): 0 for name, kind in KINDS.items() for state in STATES}
    for row in depths:
        jobs[row.queue, row.kind, row.state] = row.jobs
    for labels, value in jobs.items():
        family.add_metric(labels, value)
    return family


def oldest_age(depths: Sequence[Depth]) -> Metric:
    family = GaugeMetricFamily(
        "avivro_oldest_job_age_seconds",
        "How long the oldest job that is due has waited to begin.",
        labels=("queue", "kind"),
    )
    ages = {(kind.queue, name): 0.0 for name, kind in KINDS.items()}
    for row in depths:
        place = (row.queue, row.kind)
        ages[place] = max(ages.get(place, 0.0), row.waited_s or 0.0)
    for labels, value in ages.items():
        family.add_metric(labels, value)
    return family


def gauge(
    name: str, about: str, label: str, zeros: dict[str, int], values: dict[str, int]
) -> Metric:
    family = GaugeMetricFamily(name, about, labels=(label,))
    for value, number in {**zeros, **values}.items():
        family.add_metric((value,), number)
    return family


def counter_family(counter: Counter, samples: Sequence[Sample]) -> Metric:
    """From 0 on where the labels are known: Prometheus sees no rise in a series' first value."""
    family = CounterMetricFamily(counter.name, counter.about, labels=counter.labels)
    values: dict[tuple[str, ...], float] = {}
    if not counter.labels:
        values[()] = 0.0
    elif counter.labels == ("kind",):
        values = {(kind,): 0.0 for kind in KINDS}
    for sample in samples:
        values[tuple(sample.labels.get(name, "") for name in counter.labels)] = sample.value
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def histogram_family(
    histogram: Histogram, *, buckets: Sequence[Sample], sums: Sequence[Sample]
) -> Metric:
    """Rows hold each bucket by itself; Prometheus wants those below it counted in, and not all
    of them.
    """
    family = HistogramMetricFamily(histogram.name, histogram.about, labels=histogram.labels)
    bounds = [*map(str, histogram.bounds), "+Inf"]
    told = {*map(str, histogram.told), "+Inf"}
    values = {(of(histogram, row), row.labels.get("le")): row.value for row in buckets}
    for row in sums:
        labels, below, cumulated = of(histogram, row), 0.0, []
        for bound in bounds:
            below += values.get((labels, bound), 0.0)
            if bound in told:
                cumulated.append((bound, below))
        family.add_metric(labels, cumulated, sum_value=row.value)
    return family


def of(histogram: Histogram, row: Sample) -> tuple[str, ...]:
    return tuple(row.labels.get(name, "") for name in histogram.labels)
