"""Who got more or less than fair, from what was started and who waited meanwhile.

Fair is what the dispatcher promises: within a queue and a priority, weighted max-min. Nobody is
owed more than it had work for; what some do not want is shared by the others, by weight. It is
reckoned minute by minute, so that who came a minute ago is owed a minute's share.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from db.backlog import Started, Waiting

MINUTE = timedelta(minutes=1)
# Within a fifth of what is fair, or two jobs, nothing is wrong: jobs are whole and take turns.
SLACK_SHARE = 0.2
SLACK_JOBS = 2.0

Verdict = Literal["held", "stopped", "behind", "capped", "over", "even"]
WORST_FIRST: tuple[Verdict, ...] = ("held", "stopped", "behind", "capped", "over", "even")


@dataclass(frozen=True, slots=True)
class Share:
    """Jobs that a tenant's queues started for it, and what would have been fair."""

    got: float
    fair: float

    @property
    def is_behind(self) -> bool:
        return self.fair - self.got > max(SLACK_JOBS, SLACK_SHARE * self.fair)

    @property
    def is_over(self) -> bool:
        return self.got - self.fair > max(SLACK_JOBS, SLACK_SHARE * self.fair)


def weigh(
    started: Iterable[Started], waiting: Iterable[Waiting], weights: Mapping[UUID, float]
) -> dict[UUID, Share]:
    """By tenant, over all minutes that are told of. `waiting` is what could have been started."""
    turns: dict[tuple[str, int], dict[datetime, Counter[UUID]]] = defaultdict(dict)
    for row in started:
        counts = turns[row.queue, row.priority].setdefault(row.minute, Counter())
        counts[row.tenant] += row.jobs
    waiters = defaultdict(list)
    for waiter in waiting:
        waiters[waiter.queue, waiter.priority].append(waiter)
    got: Counter[UUID] = Counter()
    fair: dict[UUID, float] = defaultdict(float)
    for place, minutes in turns.items():
        for minute, counts in minutes.items():
            got.update(counts)
            wanted = demand(counts, waiters[place], until=minute + MINUTE)
            for tenant, share in divide(counts.total(), wanted, weights).items():
                fair[tenant] += share
    return {tenant: Share(got[tenant], fair[tenant]) for tenant in got.keys() | fair.keys()}


def demand(
    counts: Mapping[UUID, int], waiters: Sequence[Waiting], *, until: datetime
) -> dict[UUID, float]:
    """What each could have had: what it started, and what it had waiting by then."""
    wanted: dict[UUID, float] = defaultdict(float, counts)
    for waiter in waiters:
        if waiter.oldest_at < until:
            wanted[waiter.tenant] += waiter.jobs
    return wanted


def divide(
    total: float, demands: Mapping[UUID, float], weights: Mapping[UUID, float]
) -> dict[UUID, float]:
    """`total` by weighted max-min (Bertsekas and Gallager, Data Networks, 6.5)."""
    shares: dict[UUID, float] = {}
    left = total
    asking = sorted(demands, key=lambda tenant: demands[tenant] / weights.get(tenant, 1.0))
    weight = sum(weights.get(tenant, 1.0) for tenant in asking)
    for tenant in asking:
        own = weights.get(tenant, 1.0)
        shares[tenant] = min(demands[tenant], left * own / weight)
        left -= shares[tenant]
        weight -= own
    return shares


def jain(shares: Iterable[Share]) -> float | None:
    """1 when all got the same part of what is fair, 1/n when one got all; None without any.

    Jain, Chiu and Hawe, A quantitative measure of fairness (1984), of got over fair. Who is owed
    less than a job is left out: jobs are whole.
    """
    parts = [share.got / share.fair for share in shares if share.fair >= 1]
    squares = sum(part * part for part in parts)
    return sum(parts) ** 2 / (len(parts) * squares) if squares else None
