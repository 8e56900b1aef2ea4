"""Which sources are in trouble and why, the worst first. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from db.watched_sources import FAILURES_MIN, Failing, Stale, Working
from pipelines.counting import plural
from workers.dashboard.words import duration

# Longer than this is slow, whatever is usual.
SLOW_S = 1_200.0
SLOW_TIMES = 2.0
# What takes a few seconds may well take a few more.
SLOW_S_MIN = 60.0
# So many runs tell what is usual.
RUNS_MIN = 3
# Between two of its jobs a source has none for a moment.
STUCK_S = 60.0
GLYPHS = {"failing": "stopped", "stuck": "stopped", "slow": "late", "stale": "scheduled"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """A source that is `failing`, `stuck`, `slow` or `stale`; tokens and cost of 24 hours."""

    level: str
    id: UUID
    name: str
    type: str
    tenant: UUID
    owner: str | None
    why: str
    for_s: float
    tokens: int = 0
    usd: Decimal = Decimal(0)
    job_id: int | None = None

    @property
    def glyph(self) -> str:
        return GLYPHS[self.level]


def judge(
    failing: Sequence[Failing],
    working: Sequence[Working],
    stale: Sequence[Stale],
    *,
    now: datetime,
) -> list[Trouble]:
    """Those that fail, that nobody works on, that are slow and that are stale, in this order."""
    return [
        *(of_failing(each, now=now) for each in failing),
        *of_stuck(working),
        *of_slow(working),
        *(of_stale(each, now=now) for each in stale),
    ]


def of_failing(source: Failing, *, now: datetime) -> Trouble:
    why = source.error or "No reason is known."
    if source.failures >= FAILURES_MIN:
        why = f"{plural(source.failures, 'refresh', 'refreshes')} in a row failed. {why}"
    return Trouble(
        "failing",
        source.id,
        source.name,
        source.type,
        source.tenant,
        source.owner,
        why,
        (now - source.since_at).total_seconds(),
        source.tokens,
        source.usd,
    )


def of_stuck(working: Iterable[Working]) -> list[Trouble]:
    """Said to be worked on, but there is no job that does."""
    why = "It is said to be processed, but no job works on it: index it again."
    return [
        of_working("stuck", each, why)
        for each in working
        if each.job_id is None and each.took_s > STUCK_S
    ]


def of_slow(working: Iterable[Working]) -> list[Trouble]:
    """Those furthest beyond their limit first."""
    slow = [each for each in working if each.job_id is not None and each.took_s > limit_s(each)]
    slow.sort(key=lambda each: each.took_s / limit_s(each), reverse=True)
    return [of_working("slow", each, tell_slow(each)) for each in slow]


def limit_s(source: Working) -> float:
    """Beyond this it is slow: twice what is usual, or a named limit."""
    if source.usual_s is None or source.usual_runs < RUNS_MIN:
        return SLOW_S
    return min(SLOW_S, max(SLOW_S_MIN, SLOW_TIMES * source.usual_s))


def tell_slow(source: Working) -> str:
    known = source.usual_s is not None and source.usual_runs >= RUNS_MIN
    usual = f"usual {duration(source.usual_s)}" if known else "nothing is known of usual runs"
    progress = source.progress or {}
    done, total = progress.get("done"), progress.get("total")
    counted = isinstance(done, int) and isinstance(total, int) and total > 0
    far = f"; {done:,} of {total:,} done" if counted else ""
    waits = "" if source.job_state == "running" else f"; its job is {source.job_state}"
    return f"{duration(source.took_s)} for one run, {usual}{far}{waits}"


def of_working(level: str, source: Working, why: str) -> Trouble:
    return Trouble(
        level,
        source.id,
        source.name,
        source.type,
        source.tenant,
        source.owner,
        why,
        source.took_s,
        source.tokens,
        source.usd,
        source.job_id,
    )


def of_stale(source: Stale, *, now: datetime) -> Trouble:
    late_s = (now - source.due_at).total_seconds()
    often = f", refreshed {source.sync_frequency[:40]}" if source.sync_frequency else ""
    return Trouble(
        "stale",
        source.id,
        source.name,
        source.type,
        source.tenant,
        source.owner,
        f"its next look was due {duration(late_s)} ago{often}",
        late_s,
    )
