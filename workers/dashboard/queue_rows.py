"""What the pages of queues say of each queue and each of its kinds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from db.backlog import WAITING_MAX, Ended, Hold, KindLimit, Runs
from db.lanes import Pause
from pipelines.counting import plural
from workers.dashboard.flow import Brake, Brakes, Flow
from workers.dashboard.words import duration
from workers.jobs import KINDS, LOOP_QUEUES, QUEUES, Kind
from workers.outcome import Plan, RetryPlan
from workers.targets import TARGETS_S

TARGET_S = 60.0
HOUR = timedelta(hours=1)
STEPS = 30
STEP_S = HOUR.total_seconds() / STEPS
RETRIES_TOLD = 3

Verdict = Literal["paused", "stopped", "late", "full", "slow", "flows", "idle"]
WORST_FIRST: tuple[Verdict, ...] = ("stopped", "late", "paused", "full", "slow", "flows", "idle")


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves a queue; `job_ms` is None until it has measured."""

    id: UUID
    host: str
    threads: int
    job_ms: float | None


@dataclass(frozen=True, slots=True)
class KindRow:
    """`limit` is what the database says; the plan is the code's."""

    name: str
    kind: Kind | None
    limit: KindLimit | None
    pause: Pause | None
    waiting: int
    is_more: bool
    oldest_s: float | None
    running: int
    dispatched: int
    later: int
    retryable: int
    runs: Runs | None
    holds: Sequence[Hold]
    buckets: Sequence[tuple[str, float]]

    @property
    def plan(self) -> str:
        return "" if self.kind is None else plan_words(self.kind.retry)

    @property
    def cap(self) -> str:
        if self.limit is None or self.limit.cap is None:
            return "no cap"
        each = f" for each {self.limit.limit_by}" if self.limit.limit_by else ""
        return f"{self.limit.cap:,} at a time{each}"

    @property
    def rate(self) -> str:
        if self.limit is None or self.limit.rate_per_s is None:
            return ""
        return f"{self.limit.rate_per_s:g} a second, {self.limit.burst:,} at once"


@dataclass(frozen=True, slots=True)
class QueueRow:
    """`words` say why; `ended` are completed and discarded jobs by step of the last hour."""

    name: str
    verdict: Verdict
    words: str
    pause: Pause | None
    target_s: float
    oldest_s: float | None
    states: Mapping[str, int]
    is_more: bool
    threads: int
    servers: Sequence[Server]
    kinds: Sequence[KindRow]
    tenants: int
    priorities: Sequence[tuple[int, int]]
    completed: Sequence[int]
    discarded: Sequence[int]

    @property
    def is_loop(self) -> bool:
        return self.name in LOOP_QUEUES

    @property
    def paused_kinds(self) -> list[KindRow]:
        return [kind for kind in self.kinds if kind.pause is not None]

    @property
    def holds(self) -> list[Hold]:
        return [hold for kind in self.kinds for hold in kind.holds]

    @property
    def failed_last_hour(self) -> int:
        return sum(self.discarded)


def plan_words(plan: Plan) -> str:
    """5 tries; again after 5 s, 15 s, 45 s …"""
    waits = [plan.delay_s(n, luck=0.0) for n in range(1, plan.max_attempts)]
    if not waits:
        return plural(1, "try", "tries")
    told = ", ".join(duration(wait_s) for wait_s in waits[:RETRIES_TOLD])
    more = " …" if len(waits) > RETRIES_TOLD else ""
    late = f", up to {plan.jitter:.0%} later" if isinstance(plan, RetryPlan) and plan.jitter else ""
    return f"{plural(plan.max_attempts, 'try', 'tries')}; again after {told}{more}{late}"


def build(flow: Flow, runs: Mapping[str, Runs], ended: Sequence[Ended]) -> list[QueueRow]:
    """Every queue there is, the one in most trouble first."""
    served = {queue for process in flow.processes for queue in process.queues}
    names = [*QUEUES, *sorted((served | {row.queue for row in flow.counts.waiting}) - set(QUEUES))]
    rows = [build_row(name, flow, runs, ended) for name in names]
    return sorted(rows, key=lambda row: (WORST_FIRST.index(row.verdict), -overdue(row)))


def overdue(row: QueueRow) -> float:
    return (row.oldest_s or 0.0) / row.target_s


def build_row(name: str, flow: Flow, runs: Mapping[str, Runs], ended: Sequence[Ended]) -> QueueRow:
    waiting = [row for row in flow.counts.waiting if row.queue == name]
    states = count_states(name, flow)
    oldest_s = age_s(flow.counts.at, [row.oldest_at for row in waiting])
    target_s = TARGETS_S.get(name, TARGET_S)
    pause = flow.pause_of("queue", name)
    threads = flow.threads_of(name)
    brakes = Brakes(flow)
    found = [brakes.find(row) for row in waiting]
    braked = next(iter(found), None) if all(found) else None
    free = [row.oldest_at for row, brake in zip(waiting, found, strict=True) if brake is None]
    late_s = (age_s(flow.counts.at, free) or 0.0) - target_s
    verdict, words = judge(pause, states, threads=threads, late_s=late_s, braked=braked)
    if verdict == "flows" and (oldest_s or 0.0) > target_s:
        words = "what waits longest is held"
    own = [row for row in ended if row.queue == name]
    priorities: Counter[int] = Counter()
    for row in waiting:
        priorities[row.priority] += min(row.jobs, WAITING_MAX)
    return QueueRow(
        name,
        verdict,
        words,
        pause,
        target_s,
        oldest_s,
        states,
        any(row.jobs > WAITING_MAX for row in waiting),
        threads,
        list_servers(name, flow),
        [build_kind(kind, name, flow, runs) for kind in kinds_of(name, flow)],
        len({row.tenant for row in waiting}),
        sorted(priorities.items()),
        by_step([(row.step, row.completed) for row in own]),
        by_step([(row.step, row.discarded) for row in own]),
    )


def judge(
    pause: Pause | None,
    states: Mapping[str, int],
    *,
    threads: int,
    late_s: float,
    braked: Brake | None,
) -> tuple[Verdict, str]:
    """The first that holds, and why. `braked` holds back all that waits."""
    if pause is not None:
        return "paused", ""
    if not states["available"]:
        return "idle" if not states["running"] else "flows", ""
    if not threads:
        return "stopped", "no live worker serves it"
    if braked is not None:
        return "stopped" if braked.kind != "capped" else "slow", braked.words
    full = states["running"] >= threads
    if late_s > 0:
        return "late", "every thread is busy" if full else "its oldest job waits too long"
    return ("full", "every thread is busy") if full else ("flows", "")


def count_states(name: str, flow: Flow) -> dict[str, int]:
    later = [row for row in flow.counts.later if row.queue == name]
    flying = [row for row in flow.counts.flying if row.queue == name]
    return {
        "scheduled": sum(row.jobs for row in later if row.state == "scheduled"),
        "available": sum(
            min(row.jobs, WAITING_MAX) for row in flow.counts.waiting if row.queue == name
        ),
        "dispatched": sum(row.dispatched for row in flying),
        "running": sum(row.running for row in flying),
        "retryable": sum(row.jobs for row in later if row.state == "retryable"),
    }


def list_servers(name: str, flow: Flow) -> list[Server]:
    return [
        Server(
            process.id,
            process.host,
            int(process.queues[name].get("threads", 0)),
            process.queues[name].get("job_ms"),
        )
        for process in flow.processes
        if process.role == "worker" and name in process.queues
    ]


def kinds_of(queue: str, flow: Flow) -> list[str]:
    """Those of the code, and those that wait although the code knows them no more."""
    known = [kind.name for kind in KINDS.values() if kind.queue == queue]
    strange = {row.kind for row in flow.counts.waiting if row.queue == queue} - set(known)
    return [*known, *sorted(strange)]


def build_kind(name: str, queue: str, flow: Flow, runs: Mapping[str, Runs]) -> KindRow:
    waiting = [row for row in flow.counts.waiting if (row.queue, row.kind) == (queue, name)]
    flying = [row for row in flow.counts.flying if (row.queue, row.kind) == (queue, name)]
    later = [row for row in flow.counts.later if (row.queue, row.kind) == (queue, name)]
    return KindRow(
        name,
        KINDS.get(name),
        flow.limits.get(name),
        flow.pause_of("kind", name),
        sum(min(row.jobs, WAITING_MAX) for row in waiting),
        any(row.jobs > WAITING_MAX for row in waiting),
        age_s(flow.counts.at, [row.oldest_at for row in waiting]),
        sum(row.running for row in flying),
        sum(row.dispatched for row in flying),
        sum(row.jobs for row in later if row.state == "scheduled"),
        sum(row.jobs for row in later if row.state == "retryable"),
        runs.get(name),
        [hold for hold in flow.holds if hold.kind == name],
        [(lane, tokens) for lane, tokens in flow.buckets if lane.partition(":")[0] == name],
    )


def age_s(at: datetime, times: Sequence[datetime]) -> float | None:
    return (at - min(times)).total_seconds() if times else None


def by_step(counted: Sequence[tuple[int, int]]) -> list[int]:
    steps = [0] * STEPS
    for step, jobs in counted:
        steps[min(max(step, 0), STEPS - 1)] += jobs
    return steps
