"""How lanes share the many slots of a queue whose jobs only wait for others.

There, a cap of each lane protects nobody: five hundred slow endpoints fill a thousand slots with
two jobs each. So a lane gets more than one at a time only once its jobs were seen to end soon;
lanes whose jobs take long have at most half of the slots, all together; and each lane that gets
more leaves enough for others to have as much.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from uuid import UUID

from db.lanes import Lane
from workers.dealing import InFlight

# How long a lane is taken to be as it was last seen.
REMEMBERED_S = 60.0
# Each lane leaves room for so many others, as a part of all slots: 42 of 1024.
OTHERS_SHARE = 24
# What slow lanes may have of all slots.
SLOW_SHARE = 0.5
# When so much is taken, slow and new lanes get nothing more: quick ones always find a slot.
CAUTIOUS_SHARE = 0.75


@dataclass
class Paces:
    """Of one queue: until when a lane is taken to be quick, or slow; others are new.

    Slow is a lane of which a job was in flight for over a second; quick one of which a job ended
    between two looks, and that is not slow.
    """

    quick: dict[str, float] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    _expected: dict[str, int] = field(default_factory=dict)

    def share(
        self,
        lanes: Sequence[Lane],
        left: Mapping[str, float],
        flying: InFlight,
        *,
        slots: int,
        holds: Mapping[str, int],
        now: float,
    ) -> dict[str, float]:
        """As share_slots. A lane that is held to some jobs at a time is a slow one."""
        self.look(flying, now=now)
        slow = self.slow.keys() | {lane for lane, cap in holds.items() if cap > 0}
        return share_slots(lanes, left, flying, slots=slots, quick=self.quick.keys(), slow=slow)

    def look(self, flying: InFlight, *, now: float) -> None:
        """Learn from what is in flight now, and what was at the last look."""
        until = now + REMEMBERED_S
        self.slow = {lane: at for lane, at in self.slow.items() if at > now}
        self.slow |= dict.fromkeys(flying.late, until)
        ended = (n for n, had in self._expected.items() if flying.by_lane.get(n, 0) < had)
        self.quick = {lane: at for lane, at in self.quick.items() if at > now}
        self.quick |= dict.fromkeys(ended, until)
        self._expected = dict(flying.by_lane)

    def dealt(self, given: Mapping[str, int]) -> None:
        """What was dispatched since."""
        for lane, number in given.items():
            self._expected[lane] = self._expected.get(lane, 0) + number


def fewest_first(
    lanes: Sequence[Lane], in_flight: Mapping[str, int], luck: Callable[[], float]
) -> list[Lane]:
    """Those with the fewest jobs in flight first, in no order among equals: where a few slots
    become free at a time, it must not be always the same lane that gets them.
    """
    return sorted(lanes, key=lambda lane: (in_flight.get(lane.lane, 0), luck()))


def share_slots(
    lanes: Sequence[Lane],
    left: Mapping[str, float],
    flying: InFlight,
    *,
    slots: int,
    quick: Set[str],
    slow: Set[str],
) -> dict[str, float]:
    """`left`, cut to what is fair to lanes that come next: of the queue, and of each tenant.

    `lanes` are in the order in which slots are given. Those that are neither quick nor slow are
    new; slow outweighs quick.
    """
    by_tenant: dict[UUID, list[str]] = {}
    for lane in lanes:
        by_tenant.setdefault(lane.tenant, []).append(lane.lane)
    slow_jobs: Counter[UUID] = Counter()
    for (tenant, name), number in flying.by_both.items():
        slow_jobs[tenant] += number if name in slow else 0
    scopes = [(Slots(slots, flying.jobs, slow_jobs.total()), [lane.lane for lane in lanes])]
    for tenant, names in by_tenant.items():
        most = flying.tenant_max or slots
        own = Slots(most, flying.by_tenant.get(tenant, 0), slow_jobs[tenant])
        scopes.append((own, names))
    fair = dict(left)
    for scope, names in scopes:
        for name, share in scope.share(names, flying.by_lane, quick=quick, slow=slow).items():
            fair[name] = min(fair.get(name, share), share)
    return fair


@dataclass(frozen=True, slots=True)
class Slots:
    """What there is to share: slots in all, those taken, and those taken by slow lanes."""

    all: int
    taken: int
    slow: int

    def share(
        self, names: Sequence[str], counts: Mapping[str, int], *, quick: Set[str], slow: Set[str]
    ) -> dict[str, int]:
        """How many more jobs each of these lanes may have in flight."""
        slow_names = [name for name in names if name in slow]
        quick_names = [name for name in names if name in quick and name not in slow]
        new_names = [name for name in names if name not in quick and name not in slow]
        level = self.level([counts.get(name, 0) for name in quick_names])
        shares = {name: level - counts.get(name, 0) for name in quick_names}
        room = max(0, int(self.all * CAUTIOUS_SHARE) - self.taken)
        for place, name in enumerate(new_names):
            shares[name] = 1 - counts.get(name, 0) if place < room else 0
        if slow_names:
            budget = min(int(self.all * SLOW_SHARE) - self.slow, room - len(new_names))
            each, more = divmod(max(0, budget), len(slow_names))
            shares |= {name: each + (place < more) for place, name in enumerate(slow_names)}
        return shares

    def level(self, counts: Sequence[int]) -> int:
        """The most that each lane may have so that, when all have it, a number of others could
        have as much. One at least.
        """
        free, others = self.all - self.taken, max(1, self.all // OTHERS_SHARE)
        lanes_by_count = Counter(counts)
        for level in range(free // others, 1, -1):
            wanted = sum(n * (level - had) for had, n in lanes_by_count.items() if had < level)
            if wanted + others * level <= free:
                return level
        return 1
