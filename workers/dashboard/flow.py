"""What waits, runs and is held back, as of one look; the pages of queues and tenants tell of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from db import backlog, lanes, processes
from db.backlog import Flying, Hold, KindLimit, Later, Started, Waiting
from db.lanes import Pause
from db.pool import Connection
from db.processes import Process
from workers.dashboard import masks
from workers.dashboard.kept import Pace
from workers.dashboard.words import duration

WINDOW = timedelta(minutes=15)
# Looking takes at most a tenth of the time, however many look; nobody sees what is seconds old.
PACE = Pace(age_s=0.0, rest=10.0, grace_s=2.0)
NAME_CHARS_MAX = 60


@dataclass(frozen=True, slots=True)
class Counts:
    """The costly part. Of what began, all since `since` is told."""

    at: datetime
    waiting: Sequence[Waiting]
    flying: Sequence[Flying]
    later: Sequence[Later]
    since: datetime
    started: Sequence[Started]

    @property
    def window_s(self) -> float:
        return max(1.0, (self.at - self.since).total_seconds())


@dataclass(frozen=True, slots=True)
class Flow:
    counts: Counts
    limits: Mapping[str, KindLimit]
    holds: Sequence[Hold]
    buckets: Sequence[tuple[str, float]]
    pauses: Sequence[Pause]
    weights: Mapping[UUID, float]
    processes: Sequence[Process]

    def pause_of(self, scope: str, name: str) -> Pause | None:
        return next((p for p in self.pauses if (p.scope, p.name) == (scope, name)), None)

    def threads_of(self, queue: str) -> int:
        """Of all live workers; for a queue whose jobs only wait, places in its loop."""
        return sum(
            int(process.queues[queue].get("threads", 0))
            for process in self.processes
            if process.role == "worker" and queue in process.queues
        )

    def flying_by_lane(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for row in self.counts.flying:
            counts[row.lane] += row.jobs
        return counts


def count(conn: Connection) -> Counts:
    now = datetime.now(UTC)
    since, started = backlog.list_started(conn, since=now - WINDOW)
    return Counts(
        now,
        backlog.list_waiting(conn),
        backlog.list_flying(conn),
        backlog.list_later(conn),
        since,
        started,
    )


def look(conn: Connection, counts: Counts) -> Flow:
    """What is held back now, beside counts that may be a moment old."""
    return Flow(
        counts,
        backlog.list_limits(conn),
        backlog.list_holds(conn),
        backlog.list_buckets(conn),
        lanes.list_pauses(conn),
        lanes.list_weights(conn),
        processes.list_live(conn),
    )


@dataclass(frozen=True, slots=True)
class Brake:
    """Why a lane that waits gets nothing; a cap lets it go on by itself, the others do not."""

    kind: Literal["held", "stopped", "capped"]
    words: str


class Brakes:
    """Says of each waiting lane what holds it back, if anything does."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._flying = flow.flying_by_lane()
        self._holds = {hold.lane: hold for hold in flow.holds}
        self._tokens = dict(flow.buckets)
        self._paused = {(pause.scope, pause.name): pause for pause in flow.pauses}
        self._threads = {queue: flow.threads_of(queue) for queue in known_queues(flow)}
        self._held = {p.name: Brake("held", told(p)) for p in flow.pauses if p.scope == "tenant"}
        self._found: dict[tuple[str, str], Brake | None] = {}

    def find(self, waiting: Waiting) -> Brake | None:
        if self._held and (brake := self._held.get(str(waiting.tenant))):
            return brake
        # Whatever else holds a lane back, holds back all tenants in it.
        place = waiting.queue, waiting.lane
        if place not in self._found:
            self._found[place] = (
                self._operators(waiting) or self._capacity(waiting) or self._limits(waiting)
            )
        return self._found[place]

    def _operators(self, waiting: Waiting) -> Brake | None:
        if ("queue", waiting.queue) in self._paused:
            return Brake("stopped", f"queue {waiting.queue} is paused")
        if ("kind", waiting.kind) in self._paused:
            return Brake("stopped", f"kind {waiting.kind} is paused")
        return None

    def _capacity(self, waiting: Waiting) -> Brake | None:
        if self._threads.get(waiting.queue, 0) == 0:
            return Brake("stopped", f"no worker for {waiting.queue}")
        return None

    def _limits(self, waiting: Waiting) -> Brake | None:
        hold = self._holds.get(waiting.lane)
        flying = self._flying[waiting.lane]
        if hold is not None and hold.cap == 0:
            return Brake("capped", f"{waiting.kind} held {until(hold)}")
        if hold is not None and flying >= hold.cap:
            return Brake("capped", f"{waiting.kind} slowed to {hold.cap} at a time")
        limit = self._flow.limits.get(waiting.kind)
        if limit is None:
            return None
        if limit.cap is not None and flying >= limit.cap:
            each = "" if limit.limit_by is None else f" for each {limit.limit_by}"
            return Brake("capped", f"{waiting.kind}: {limit.cap} at a time{each}")
        if limit.rate_per_s is not None and self._tokens.get(waiting.lane, 1.0) < 1:
            return Brake("capped", f"{waiting.kind}: {limit.rate_per_s:g} starts a second")
        return None


def known_queues(flow: Flow) -> set[str]:
    served = {queue for process in flow.processes for queue in process.queues}
    return served | {row.queue for row in flow.counts.waiting}


def told(pause: Pause) -> str:
    """Who paused it, and since when."""
    who = f"by {shorten(pause.paused_by)}, " if pause.paused_by else ""
    return f"{who}{duration((datetime.now(UTC) - pause.paused_at).total_seconds())} ago"


def shorten(text: str) -> str:
    """Without what cannot be seen: of such a name nothing is left."""
    return masks.cut(text, NAME_CHARS_MAX)


def until(hold: Hold) -> str:
    if hold.until_at is None:
        return "until somebody lets it go on"
    return f"for {duration((hold.until_at - datetime.now(UTC)).total_seconds())} more"
