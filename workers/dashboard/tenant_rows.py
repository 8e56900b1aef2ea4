"""What the page of tenants says of each: its verdict, and the figures that it rests on."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from db.backlog import NOBODY, WAITING_MAX, Flying, Started, Waiting
from db.lanes import Pause
from db.tenants import Account
from workers.dashboard.fairness import (
    MINUTE,
    WORST_FIRST,
    Share,
    Verdict,
    weigh,
)
from workers.dashboard.flow import Brake, Brakes, Flow, shorten
from workers.dashboard.words import percent

# With nothing of its queues begun for so long, what waits is not merely next.
PATIENCE_S = 60.0
WEIGHT_MIN = 0.01
WEIGHT_MAX = 100.0
WEIGHTS_SHOWN = (0.5, 1.0, 2.0, 4.0)
NO_SHARE = Share(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits of a tenant in one queue; `brake` only where all of it is held back."""

    queue: str
    jobs: int
    is_more: bool
    oldest_s: float
    priorities: Sequence[int]
    kinds: Mapping[str, int]
    brake: Brake | None


@dataclass(frozen=True, slots=True)
class Name:
    """Who a tenant is, in words; `sub` tells apart who is called alike."""

    id: UUID
    title: str
    sub: str
    is_account: bool = False


@dataclass(frozen=True, slots=True)
class TenantRow:
    """`words` say why, where the verdict needs it; `drains_s` is None where nothing moves."""

    name: Name
    verdict: Verdict
    words: str
    share: Share
    backlog: Sequence[Backlog]
    running: int
    dispatched: int
    by_minute: Sequence[int]
    drains_s: float | None
    weight: float
    is_paused: bool

    @property
    def jobs(self) -> int:
        return sum(part.jobs for part in self.backlog)

    @property
    def is_more(self) -> bool:
        return any(part.is_more for part in self.backlog)

    @property
    def oldest_s(self) -> float:
        return max((part.oldest_s for part in self.backlog), default=0.0)


def name(tenant: UUID, account: Account | None) -> Name:
    if tenant == NOBODY:
        return Name(tenant, "no tenant", "the platform's own work")
    if account is None:
        return Name(tenant, str(tenant), "no account any more")
    known = (account.company_name, account.full_name, account.email)
    parts = [part for part in (shorten(part or "") for part in known) if part]
    title = parts[0] if parts else str(tenant)
    unknown = "" if account.email else "no mail address"
    return Name(tenant, title, " · ".join(parts[1:]) or unknown, is_account=True)


def waiting_tenants(flow: Flow) -> set[UUID]:
    """Those with due work, and those that are paused: nobody shall forget them."""
    paused = (parse_tenant(pause.name) for pause in flow.pauses if pause.scope == "tenant")
    return {each for each in paused if each} | {row.tenant for row in flow.counts.waiting}


def parse_tenant(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Rivals:
    """Other tenants that wait in a queue, and the sum of their weights."""

    queue: str
    number: int
    weight: float


class Tally:
    """What is told of a flow, by tenant."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.brakes = Brakes(flow)
        self.waiting: dict[UUID, list[Waiting]] = defaultdict(list)
        self.flying: dict[UUID, list[Flying]] = defaultdict(list)
        self.started: dict[UUID, list[Started]] = defaultdict(list)
        self._waiters: dict[str, set[UUID]] = defaultdict(set)
        paused = {pause.name for pause in flow.pauses if pause.scope == "tenant"}
        for waiter in flow.counts.waiting:
            self.waiting[waiter.tenant].append(waiter)
            if str(waiter.tenant) not in paused:
                self._waiters[waiter.queue].add(waiter.tenant)
        self._busy = {row.queue for row in flow.counts.flying}
        self._weights = {
            queue: sum(flow.weights.get(each, 1.0) for each in waiters)
            for queue, waiters in self._waiters.items()
        }
        for flyer in flow.counts.flying:
            self.flying[flyer.tenant].append(flyer)
        for starter in flow.counts.started:
            self.started[starter.tenant].append(starter)
        # What is held back was owed nothing meanwhile.
        is_open = [row for row in flow.counts.waiting if self.brakes.find(row) is None]
        self.shares = weigh(flow.counts.started, is_open, flow.weights)

    def describe(self, tenant: UUID) -> TenantRow:
        """Without its name and its minutes, which only few are shown with."""
        parts = build_backlog(self.waiting.get(tenant, ()), self.brakes, self.flow.counts.at)
        share = self.shares.get(tenant, NO_SHARE)
        pause = self.flow.pause_of("tenant", str(tenant))
        is_busy = any(part.queue in self._busy for part in parts)
        verdict, words = judge(share, parts, pause, is_busy=is_busy)
        flying = self.flying.get(tenant, ())
        return TenantRow(
            name(tenant, None),
            verdict,
            words,
            share,
            parts,
            sum(row.running for row in flying),
            sum(row.dispatched for row in flying),
            (),
            self.drain_s(tenant, parts) if verdict not in ("held", "stopped") else None,
            self.flow.weights.get(tenant, 1.0),
            pause is not None,
        )

    def drain_s(self, tenant: UUID, parts: Sequence[Backlog]) -> float | None:
        """At the pace of these queues since the oldest of it came; None where nothing moves.

        A longer look back would hold the time before against it.
        """
        if not parts:
            return None
        counts = self.flow.counts
        from_at = max(counts.since, counts.at - timedelta(seconds=max(p.oldest_s for p in parts)))
        first = from_at.replace(second=0, microsecond=0)
        queues = {part.queue for part in parts}
        begun: Counter[datetime] = Counter()
        for row in self.started.get(tenant, ()):
            if row.queue in queues:
                begun[row.minute] += row.jobs
        if begun[first - MINUTE]:
            # It had work before: then whole minutes tell more.
            first -= MINUTE
            from_at = max(counts.since, first)
        jobs = sum(number for minute, number in begun.items() if minute >= first)
        spent_s = max(1.0, (counts.at - from_at).total_seconds())
        return sum(part.jobs for part in parts) * spent_s / jobs if jobs else None

    def rivals(self, tenant: UUID) -> Rivals | None:
        """Who waits beside it in the queue in which most of its work waits; None without any."""
        jobs: Counter[str] = Counter()
        for row in self.waiting.get(tenant, ()):
            jobs[row.queue] += row.jobs
        if not jobs:
            return None
        queue = jobs.most_common(1)[0][0]
        waiters = self._waiters.get(queue, set())
        weight = self._weights.get(queue, 0.0)
        if tenant in waiters:
            weight -= self.flow.weights.get(tenant, 1.0)
        return Rivals(queue, len(waiters - {tenant}), weight)

    def by_minute(self, tenant: UUID) -> list[int]:
        """Jobs begun, the oldest minute first."""
        counts = self.flow.counts
        first = counts.since.replace(second=0, microsecond=0)
        begun = [0] * (int((counts.at - first) / MINUTE) + 1)
        for row in self.started.get(tenant, ()):
            place = int((row.minute - first) / MINUTE)
            if 0 <= place < len(begun):
                begun[place] += row.jobs
        return begun


def build(tally: Tally) -> list[TenantRow]:
    """Everybody that has something waiting, the worst first."""
    rows = [tally.describe(tenant) for tenant in waiting_tenants(tally.flow)]
    return sorted(rows, key=lambda r: (WORST_FIRST.index(r.verdict), -r.oldest_s, r.name.id))


def complete(tally: Tally, row: TenantRow, account: Account | None) -> TenantRow:
    tenant = row.name.id
    return replace(row, name=name(tenant, account), by_minute=tally.by_minute(tenant))


def told_by(who: str | None) -> str:
    return f"by {shorten(who)}" if who else "by nobody named"


def quoted(reason: str | None) -> str:
    return f": {shorten(reason)}" if reason else ""


def judge(
    share: Share, parts: Sequence[Backlog], pause: Pause | None, *, is_busy: bool
) -> tuple[Verdict, str]:
    """The first that holds, and why; what waits longest counts for what is held back.

    `is_busy`: its queues have something in flight, be it of others.
    """
    if pause is not None:
        return "held", f"{told_by(pause.paused_by)}{quoted(pause.reason)}"
    waits_most = max(parts, key=lambda part: part.oldest_s, default=None)
    brake = waits_most.brake if waits_most else None
    if brake is not None and brake.kind != "capped":
        return "stopped", brake.words
    if share.is_behind:
        return "behind", ""
    if brake is not None:
        return "capped", brake.words
    if share.is_over:
        return "over", ""
    waits_s = max((part.oldest_s for part in parts if part.brake is None), default=0.0)
    if share.got == share.fair == 0 and waits_s > PATIENCE_S:
        if is_busy:
            return "capped", "what runs is long, and began before"
        return "stopped", "nothing of its queues and priorities was begun"
    return "even", ""


def build_backlog(own: Iterable[Waiting], brakes: Brakes, at: datetime) -> list[Backlog]:
    by_queue: dict[str, list[Waiting]] = {}
    for row in own:
        by_queue.setdefault(row.queue, []).append(row)
    parts = [build_part(queue, rows, brakes, at) for queue, rows in by_queue.items()]
    return sorted(parts, key=lambda part: -part.oldest_s)


def build_part(queue: str, rows: Sequence[Waiting], brakes: Brakes, at: datetime) -> Backlog:
    found = [brakes.find(row) for row in rows]
    kinds: Counter[str] = Counter()
    for row in rows:
        kinds[row.kind] += min(row.jobs, WAITING_MAX)
    return Backlog(
        queue,
        kinds.total(),
        any(row.jobs > WAITING_MAX for row in rows),
        max((at - row.oldest_at).total_seconds() for row in rows),
        sorted({row.priority for row in rows}),
        dict(kinds.most_common()),
        found[0] if all(brake is not None for brake in found) else None,
    )


def foresee(tally: Tally, tenant: UUID, weights: Iterable[float]) -> list[tuple[float, str]]:
    """What each weight would mean, in words."""
    rivals = tally.rivals(tenant)
    return [(weight, foresee_one(weight, rivals)) for weight in weights]


def foresee_one(weight: float, rivals: Rivals | None) -> str:
    if rivals is None:
        part = percent(weight / (weight + 1.0))
        return f"{part} beside one other tenant of weight 1; it has nothing waiting now"
    if not rivals.number:
        return f"100% of what {rivals.queue} starts, as now: nobody else waits there"
    part = percent(weight / (weight + rivals.weight))
    others = "one other waits" if rivals.number == 1 else f"{rivals.number:,} others wait"
    return f"{part} of what {rivals.queue} starts, while {others} there"
