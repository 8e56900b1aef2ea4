"""Whose job is next: strictly by priority, then round-robin over tenants, by weight.

Start-time fair queueing (Goyal, Vin and Cheng, 1996) on counts: each tenant has a virtual time
that grows by 1/weight with each of its jobs, and the one that is furthest behind is next. A
tenant that had nothing to do begins at the present, so it can save up no claims. Within a tenant
its lanes (kinds, endpoints) take turns; within a lane the oldest job is first.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import groupby
from types import MappingProxyType
from typing import Self
from uuid import UUID

from db.lanes import Dispatched, Lane, Limit

TENANTS_KEPT_MAX = 10_000
# One thread in so many is not given to a tenant that has all the others.
SPARE_SHARE = 5
NO_LIMIT = Limit()


@dataclass
class Shares:
    """Of one queue: the virtual time of each tenant that was served lately."""

    now: float = 0.0
    served: dict[UUID, float] = field(default_factory=dict)

    def start(self, tenant: UUID) -> float:
        return max(self.now, self.served.get(tenant, 0.0))

    def charge(self, jobs: Mapping[UUID, int], weights: Mapping[UUID, float]) -> None:
        """Note what was really dispatched."""
        for tenant, number in jobs.items():
            self.served[tenant] = self.start(tenant) + number / weights.get(tenant, 1.0)

    def advance(self, waiting: Iterable[UUID]) -> None:
        """Time goes on to the tenant that is furthest behind of those that were dealt to."""
        starts = [self.start(tenant) for tenant in waiting]
        self.now = min(starts, default=self.now)
        if len(self.served) > TENANTS_KEPT_MAX:
            self.served = {t: at for t, at in self.served.items() if at > self.now}


@dataclass(frozen=True, slots=True)
class InFlight:
    """What a queue has dispatched or running; `tenant_max` is what one tenant may have of it.

    `late` are lanes of which a job has run for over a second.
    """

    jobs: int
    by_lane: Mapping[str, int]
    by_tenant: Mapping[UUID, int]
    by_both: Mapping[tuple[UUID, str], int]
    late: frozenset[str]
    tenant_max: int | None

    @classmethod
    def of(
        cls, queue: str, counts: Sequence[tuple[str, UUID, str, int, bool]], *, threads: int | None
    ) -> Self:
        """From rows of (queue, tenant, lane, jobs, whether one of them is late); with `threads`
        no tenant may fill them all.
        """
        own = [row[1:] for row in counts if row[0] == queue]
        by_lane: Counter[str] = Counter()
        by_tenant: Counter[UUID] = Counter()
        for tenant, lane, number, _ in own:
            by_lane[lane] += number
            by_tenant[tenant] += number
        by_both = {(tenant, lane): number for tenant, lane, number, _ in own}
        late = frozenset(lane for _, lane, _, is_late in own if is_late)
        tenant_max = None if threads is None else tenant_cap(threads)
        return cls(by_lane.total(), by_lane, by_tenant, by_both, late, tenant_max)

    def tenants_left(self, found: Sequence[Lane]) -> dict[UUID, int]:
        if self.tenant_max is None:
            return {}
        tenants = {lane.tenant for lane in found}
        return {tenant: self.tenant_max - self.by_tenant.get(tenant, 0) for tenant in tenants}


@dataclass(frozen=True, slots=True)
class Rules:
    """What operators and kinds hold back."""

    limits: Mapping[str, Limit]
    weights: Mapping[UUID, float]
    paused: frozenset[tuple[str, str]]

    @property
    def rated(self) -> dict[str, Limit]:
        """The limits of kinds that have a rate."""
        return {k: limit for k, limit in self.limits.items() if limit.rate_per_s is not None}

    def lets(self, lane: Lane) -> bool:
        return ("kind", lane.kind) not in self.paused and (
            "tenant",
            str(lane.tenant),
        ) not in self.paused


@dataclass(slots=True)
class Offer:
    """What one queue may still be dealt in this turn: `left` by lane, `tenants_left` by tenant.

    `slots` is None but for queues of a loop.
    """

    lanes: list[Lane]
    left: dict[str, float]
    tenants_left: dict[UUID, int]
    holds: Mapping[str, int]
    tokens: Mapping[str, float]
    slots: int | None

    def open_tenants(self) -> Iterator[UUID]:
        """Of lanes that may have one more."""
        return (lane.tenant for lane in self.lanes if self.left.get(lane.lane, 1) >= 1)

    def next_look_s(self, limits: Mapping[str, Limit], *, longest_s: float) -> float | None:
        """When a limit lets go that holds others back; None where nothing is held back."""
        if any(number < 1 for number in self.tenants_left.values()):
            return longest_s
        return held_s(self.lanes, self.left, limits, self.holds, longest_s=longest_s)


def deal(
    lanes: Iterable[Lane],
    *,
    room: int,
    left: Mapping[str, float],
    shares: Shares,
    weights: Mapping[UUID, float],
    tenants_left: Mapping[UUID, int] = MappingProxyType({}),
) -> list[Lane]:
    """Whom the next `room` jobs come from, in order, as if no lane ever ran out of jobs.

    `left` is what the caps and rates of a lane still allow, by name, and `tenants_left` what a
    tenant may still have in flight; no entry: no limit.
    """
    picks: list[Lane] = []
    left = dict(left)
    tenants_left = dict(tenants_left)
    begun: dict[UUID, float] = {}
    by_priority = sorted(lanes, key=lambda lane: lane.priority)
    for _, group in groupby(by_priority, key=lambda lane: lane.priority):
        queues: dict[UUID, deque[Lane]] = {}
        for member in group:
            queues.setdefault(member.tenant, deque()).append(member)
        heap = [(begun.get(tenant, shares.start(tenant)), tenant) for tenant in queues]
        heapify(heap)
        while heap and len(picks) < room:
            at, tenant = heappop(heap)
            if tenants_left.get(tenant, 1) < 1:
                continue
            lane = next_open(queues[tenant], left)
            if lane is None:
                continue
            picks.append(lane)
            if tenant in tenants_left:
                tenants_left[tenant] -= 1
            begun[tenant] = at + 1 / weights.get(tenant, 1.0)
            heappush(heap, (begun[tenant], tenant))
    return picks


def next_open(turns: deque[Lane], left: dict[str, float]) -> Lane | None:
    """The tenant's next lane that may have one more, taken off its limit; None without one."""
    while turns:
        lane = turns.popleft()
        if left.get(lane.lane, 1) < 1:
            continue
        if lane.lane in left:
            left[lane.lane] -= 1
        turns.append(lane)
        return lane
    return None


def order(picks: Sequence[Lane], dispatched: Iterable[Dispatched]) -> list[Dispatched]:
    """The dispatched jobs as they were dealt: lane after lane, each lane's oldest first."""
    queues: dict[Lane, deque[Dispatched]] = {}
    for job in sorted(dispatched, key=lambda job: (job.run_at, job.ticket.job_id)):
        queues.setdefault(job.lane, deque()).append(job)
    return [queues[lane].popleft() for lane in picks if queues.get(lane)]


def exhausted(picks: Sequence[Lane], dispatched: Iterable[Dispatched]) -> set[Lane]:
    """Lanes that gave fewer jobs than they were dealt: they have no more."""
    given = Counter(job.lane for job in dispatched)
    return {lane for lane, quota in Counter(picks).items() if given[lane] < quota}


def allowances(
    lanes: Iterable[Lane],
    limits: Mapping[str, Limit],
    *,
    in_flight: Mapping[str, int],
    tokens: Mapping[str, float],
    holds: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, float]:
    """What caps, rates and holds still allow, by lane name; lanes without any are left out."""
    left: dict[str, float] = {}
    for lane in lanes:
        if (limit := limits.get(lane.kind, NO_LIMIT)) is NO_LIMIT and lane.lane not in holds:
            continue
        caps = [cap for cap in (limit.cap, holds.get(lane.lane)) if cap is not None]
        by_cap = min(caps, default=float("inf")) - in_flight.get(lane.lane, 0)
        by_rate = float("inf")
        if limit.rate_per_s is not None:
            by_rate = min(limit.burst, tokens.get(lane.lane, limit.burst))
        left[lane.lane] = min(by_cap, by_rate)
    return left


def tenant_cap(threads: int) -> int | None:
    """How many jobs of one tenant a queue of long jobs holds in flight; None: any number.

    The rest of its threads stay free for whoever comes next, however long the flood.
    """
    spare = threads // SPARE_SHARE
    return threads - spare if spare else None


def held_s(
    lanes: Sequence[Lane],
    left: Mapping[str, float],
    limits: Mapping[str, Limit],
    holds: Mapping[str, int],
    *,
    longest_s: float,
) -> float | None:
    """Seconds until a limit may let one of these lanes go on; None when no limit holds one.

    Nothing that happens to others lets a lane go on that a hold stops.
    """
    lanes = [lane for lane in lanes if holds.get(lane.lane) != 0]
    waits_s = [longest_s for lane in lanes if left.get(lane.lane, 1) < 1]
    for lane in lanes:
        limit = limits.get(lane.kind)
        if limit is not None and limit.rate_per_s is not None and 0 <= left[lane.lane] < 1:
            waits_s.append((1 - left[lane.lane]) / limit.rate_per_s)
    return min(waits_s, default=None)


def spend(
    left: dict[str, float], tenants_left: dict[UUID, int], given: Sequence[Dispatched]
) -> None:
    for job in given:
        if job.lane.tenant in tenants_left:
            tenants_left[job.lane.tenant] -= 1
        if job.lane.lane in left:
            left[job.lane.lane] -= 1


def rest_of_buckets(
    dispatched: Iterable[Dispatched], rated: Mapping[str, Limit], tokens: Mapping[str, float]
) -> dict[str, float]:
    """The tokens left, by lane name, in the buckets that these jobs were taken from."""
    rest: dict[str, float] = {}
    for lane, number in Counter(job.lane for job in dispatched if job.kind in rated).items():
        burst = rated[lane.kind].burst
        had = rest.get(lane.lane, min(burst, tokens.get(lane.lane, burst)))
        rest[lane.lane] = had - number
    return rest
