"""What the overview is made of, read once for all who watch and never more often than is cheap."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
import redis

from db import health as health_rows
from db import history, metrics, overview
from db.history import Bucket, Call, CallTime, Finished, Oldest, Window
from db.metrics import Depth
from db.overview import Discard, NextSchedule, Slots
from workers import health, runway
from workers.dashboard.kept import Held, Kept, Pace
from workers.dashboard.scales import keep_top
from workers.dashboard.site import Site
from workers.finding import Finding
from workers.health_facts import Facts

# Counting takes 0.3 s for a million waiting jobs: at most a twentieth of the time goes there.
NOW = Pace(age_s=2.0, rest=20, grace_s=10.0)
# A Redis that is away takes its half second to say so, which weighs on nobody: its return shall
# not be told twenty times as late.
ASK = Pace(age_s=1.0, rest=2, grace_s=5.0)
# Full minutes change once a minute.
PAST = Pace(age_s=5.0, rest=20, grace_s=60.0)
HOUR_MIN = 60
SLOTS = 30
# Whole things: one failure shall not fill an axis.
TOP_MIN = 10.0


@dataclass(frozen=True, slots=True)
class Range:
    """A window that can be chosen: its name, and the minutes of it and of each of its slots."""

    name: str
    words: str
    span_min: int

    @property
    def step_min(self) -> int:
        return self.span_min // SLOTS


RANGES = {
    each.name: each
    for each in (
        Range("1h", "1 h", 60),
        Range("6h", "6 h", 360),
        Range("24h", "24 h", 1440),
    )
}


@dataclass(frozen=True, slots=True)
class RedisState:
    """What Redis said; `ms` is None where it said nothing, `bytes_max` 0 where it has no limit."""

    ms: float | None
    used_bytes: float
    bytes_max: float
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Pulse:
    """What holds now."""

    facts: Facts
    findings: Sequence[Finding]
    redis: RedisState
    postgres_ms: float
    slots: Mapping[str, Slots]
    hosts: int
    running: Mapping[str, int]
    next_schedule: NextSchedule | None
    discards: Sequence[Discard]
    discards_count: int
    has_jobs: bool


@dataclass(frozen=True, slots=True)
class Past:
    """What was counted in a window."""

    window: Window
    finished: Sequence[Finished]
    times: Sequence[Bucket]


@dataclass(frozen=True, slots=True)
class Hour:
    """The last hour by the minute."""

    window: Window
    finished: Sequence[Finished]
    oldest: Sequence[Oldest]
    calls: Sequence[Call]
    call_times: Sequence[CallTime]


class Figures:
    """One a process."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._tops: dict[tuple[str, ...], float] = {}
        url = site.config.redis_url
        self._redis = None if url is None else runway.connect(url, timeout_s=health.PING_S)
        self._redis_state = Kept(self._ask_redis, ASK)
        self.pulse = Kept(self._read_pulse, NOW)
        self.depths: Kept[Sequence[Depth] | None] = Kept(self._count_depths, NOW)
        self.hour = Kept(self._read_hour, PAST)
        self._pasts = {name: Kept(PastReader(site, each), PAST) for name, each in RANGES.items()}
        first = next(iter(self._pasts.values()))
        site.first_reads += [each.get for each in (self.pulse, self.depths, self.hour, first)]

    def past(self, chosen: Range) -> Held[Past]:
        return self._pasts[chosen.name].get()

    def top(self, most: float, *key: str) -> float:
        """The top of an axis, which stays while it fits."""
        top = keep_top(most, self._tops.get(key), least=TOP_MIN)
        self._tops[key] = top
        return top

    def _count_depths(self) -> Sequence[Depth] | None:
        """None where there are too many to count in time."""
        try:
            with self._site.read() as conn:
                return metrics.count_jobs(conn, with_discarded=False)
        except psycopg.errors.QueryCanceled:
            return None

    def _read_pulse(self) -> Pulse:
        state = self._redis_state.get().value
        with self._site.read() as conn:
            began_at = time.monotonic()
            health_rows.read_clock(conn)
            postgres_ms = (time.monotonic() - began_at) * 1_000
            facts = health.read_facts(conn)
            found = health.judge(facts, list(state.findings))
            return Pulse(
                facts=facts,
                findings=[finding for finding in found if finding.cause is None],
                redis=state,
                postgres_ms=postgres_ms,
                slots=overview.list_slots(conn),
                hosts=overview.count_hosts(conn),
                running=overview.list_running(conn),
                next_schedule=overview.read_next_schedule(conn),
                discards=overview.list_discards(conn),
                discards_count=overview.count_discards(conn),
                has_jobs=overview.has_jobs(conn),
            )

    def _ask_redis(self) -> RedisState:
        if self._redis is None:
            return RedisState(None, 0, 0, [])
        began_at = time.monotonic()
        try:
            self._redis.ping()
            ms = (time.monotonic() - began_at) * 1_000
            memory = dict(self._redis.info("memory"))
        except redis.ResponseError:
            return RedisState((time.monotonic() - began_at) * 1_000, 0, 0, [])
        except (redis.RedisError, OSError) as error:
            return RedisState(None, 0, 0, [health.redis_down(error)])
        used, most = (health.number(memory.get(name)) for name in ("used_memory", "maxmemory"))
        return RedisState(ms, used, most, health.judge_memory(memory))

    def _read_hour(self) -> Hour:
        with self._site.read() as conn:
            window = history.read_window(conn, span_min=HOUR_MIN, step_min=1)
            return Hour(
                window,
                history.read_finished(conn, window),
                history.read_oldest(conn, window),
                history.read_calls(conn, window),
                history.read_call_times(conn, window),
            )


@dataclass(frozen=True, slots=True)
class PastReader:
    site: Site
    chosen: Range

    def __call__(self) -> Past:
        with self.site.read() as conn:
            window = history.read_window(
                conn, span_min=self.chosen.span_min, step_min=self.chosen.step_min
            )
            return Past(
                window, history.read_finished(conn, window), history.read_times(conn, window)
            )
