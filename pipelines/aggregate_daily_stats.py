"""The story of `aggregate_daily_stats`: days that writes marked are computed from raw again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from db import daily_stats
from db.daily_stats import AgentDay, Mark
from db.fence import Fence
from db.pool import Connection

# Of one transaction: some tenths of a second, whatever was imported.
AGENTS_MAX = 500
MARKS_MAX = 20_000
PAIRS_MAX = 1_000
# Days of one mark of everything; what is left is marked again.
WIDE_DAYS_MAX = 366
# Marks that come meanwhile are taken, too; the next job goes on where this one stopped.
DURATION_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """What one transaction did."""

    marks: int
    pairs: int
    changed: int

    def __add__(self, other: "Served") -> "Served":
        return Served(
            self.marks + other.marks, self.pairs + other.pairs, self.changed + other.changed
        )


def run(db: Fence, *, duration_s_max: float = DURATION_S_MAX) -> dict[str, Any]:
    """How many marks were served, days computed and rows changed, and whether that was all."""

    def serve_next() -> Served:
        with db.write() as conn:
            return serve_marks(conn)

    total, complete = repeat(serve_next, until=time.monotonic() + duration_s_max)
    return {
        "marks": total.marks,
        "pairs": total.pairs,
        "changed": total.changed,
        "complete": complete,
    }


def repeat(
    serve_next: Callable[[], Served],
    *,
    until: float,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Served, bool]:
    """Transaction after transaction until one finds no mark, or it is late; and which it was."""
    total = Served(0, 0, 0)
    while (served := serve_next()).marks:
        total += served
        if clock() >= until:
            return total, False
    return total, True


def serve_marks(conn: Connection) -> Served:
    """Take some marks and compute their days, within the caller's transaction.

    In this order: what was marked before is seen by the computation, what comes later has a mark
    of its own, and of two who compute one day the later has seen more.
    """
    marks = daily_stats.take_marks(
        conn, agents_max=AGENTS_MAX, marks_max=MARKS_MAX, pairs_max=PAIRS_MAX
    )
    if not marks:
        return Served(0, 0, 0)
    daily_stats.lock_agents(conn, list({mark.agent_id for mark in marks}))
    strays = mend_messages(conn, marks)
    pairs = find_days(conn, marks)
    changed = daily_stats.recompute_days(
        conn, [pair.agent_id for pair in pairs], [pair.day for pair in pairs]
    )
    # What is marked again because somebody holds it was not served: trying at once would spin.
    return Served(len(marks) - strays, len(pairs), changed)


def mend_messages(conn: Connection, marks: Sequence[Mark]) -> int:
    """Messages that could not go along with their conversation are marked by following it.

    Of how many conversations some are held by somebody still.
    """
    moved = list({mark.conversation_id for mark in marks if mark.conversation_id is not None})
    if not moved:
        return 0
    daily_stats.mend_messages(conn, moved)
    return daily_stats.mark_strays(conn, moved)


def find_days(conn: Connection, marks: Sequence[Mark]) -> list[AgentDay]:
    """The days that the marks concern, each once."""
    narrow = [mark for mark in marks if mark.until_at is not None]
    found = set(daily_stats.expand_marks(conn, narrow))
    for mark in marks:
        if mark.until_at is None:
            found.update(find_wide_days(conn, mark))
    return list(found)


def find_wide_days(conn: Connection, mark: Mark) -> list[AgentDay]:
    days = daily_stats.list_marked_days(
        conn, agent_id=mark.agent_id, from_at=mark.from_at, days_max=WIDE_DAYS_MAX
    )
    if len(days) == WIDE_DAYS_MAX:
        daily_stats.mark_rest(conn, agent_id=mark.agent_id, from_day=days[-1])
    return [AgentDay(mark.agent_id, day) for day in days]
