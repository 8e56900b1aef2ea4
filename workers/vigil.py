"""When a worker process has to be ended by its parent: pure, from what the parent sees of it.

Only time in which the parent itself ran counts. After a suspended machine or a stopped parent,
the child gets as long again to show that it lives.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from db.processes import LEASE_S
from workers.memory import MEGABYTE
from workers.witness import Sight

# Below LEASE_S: a stuck process is ended before its lease runs out.
HEARTBEAT_S_MAX = 12.0
START_S_MAX = 60.0
# Beyond a job's time limit, for the exception that ends it when it is not in C code.
LIMIT_GRACE_S = 5.0
# It ends itself when its lease has run out; this is for the case that it cannot.
LEASE_GRACE_S = 3.0
# Over its memory ceiling a process drains by itself; over so much more it is ended.
HARD_CEILING = 1.5
GAP_S_MAX = 1.0
# Well above what documents of the largest size need.
MEMORY_MB_MAX = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """When a worker process is replaced: jobs it has ended, megabytes it uses. 0: no limit."""

    jobs_max: int = 0
    memory_mb_max: int = MEMORY_MB_MAX


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a process must be ended; `overdue` are broken time limits in seconds by job."""

    cause: str
    overdue: Mapping[int, int] = field(default_factory=dict)


class AwakeClock:
    """Seconds in which its owner ran: between two looks at most GAP_S_MAX pass."""

    def __init__(self) -> None:
        self._awake_s = 0.0
        self._looked_at: float | None = None

    def advance(self, now: float) -> float:
        if self._looked_at is not None:
            self._awake_s += min(GAP_S_MAX, max(0.0, now - self._looked_at))
        self._looked_at = now
        return self._awake_s


class Vigil:
    """Judges one process again and again. `memory_mb_max` 0: no ceiling."""

    def __init__(self, *, memory_mb_max: int) -> None:
        self._ceiling_mb = int(memory_mb_max * HARD_CEILING)
        self._clock = AwakeClock()
        self._since: dict[Hashable, float] = {}

    def judge(self, now: float, sight: Sight, *, rss_bytes: int) -> Verdict | None:
        """None while all is well."""
        lasts_s = self._measure(now, sight)
        overdue = {
            running.job_id: int(running.limit_s)
            for running in sight.running
            if lasts_s.get(running, 0.0) > LIMIT_GRACE_S
        }
        if overdue:
            return Verdict("a job ran past its time limit", overdue)
        silent_s_max = HEARTBEAT_S_MAX if sight.beat_at else START_S_MAX
        if lasts_s["beat", sight.beat_at] > silent_s_max:
            return Verdict(f"it gave no sign of life for {silent_s_max:.0f} s and was ended")
        if lasts_s.get(("lease", sight.renewed_at), 0.0) > LEASE_GRACE_S:
            return Verdict("its lease had run out and it was ended")
        if 0 < self._ceiling_mb * MEGABYTE < rss_bytes:
            return Verdict(
                f"it used {rss_bytes // MEGABYTE} MB of memory, the limit is "
                f"{self._ceiling_mb} MB, and was ended"
            )
        return None

    def _measure(self, now: float, sight: Sight) -> dict[Hashable, float]:
        """How long each thing that is wrong now, and the last sign of life, has lasted."""
        awake_s = self._clock.advance(now)
        seen: list[Hashable] = [("beat", sight.beat_at)]
        seen += [run for run in sight.running if now - run.began_at > run.limit_s]
        if sight.renewed_at and now - sight.renewed_at > LEASE_S:
            seen.append(("lease", sight.renewed_at))
        self._since = {each: self._since.get(each, awake_s) for each in seen}
        return {each: awake_s - since for each, since in self._since.items()}
