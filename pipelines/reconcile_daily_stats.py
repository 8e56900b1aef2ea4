"""The story of `reconcile_daily_stats`: every stored day is recounted, and none may differ."""

import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

from db import daily_stats, stats_differences
from db.fence import Fence
from db.stats_differences import Difference
from pipelines.batching import pages

# Of one statement: it reads all that these agents ever did.
BATCH_AGENTS = 50
# Of one batch; more than these say no more about the cause.
DIFFERENCES_MAX = 1_000
# Another night goes on: each begins at another agent.
DURATION_S_MAX = 3000.0
KEPT_DAYS = 90

log = logging.getLogger(__name__)


def run(db: Fence, *, begin: UUID, duration_s_max: float = DURATION_S_MAX) -> dict[str, Any]:
    """How many agents were recounted and how many of their days were wrong, and if that was all.

    Agents are taken by id from `begin` on, then those before it.
    """
    until = time.monotonic() + duration_s_max
    with db.write() as conn:
        stats_differences.delete_gone(conn, days=KEPT_DAYS)
    agents = differences = 0
    for batch in batches(db, begin=begin):
        differences += reconcile(db, batch)
        agents += len(batch)
        db.report({"stage": "agents", "done": agents})
        if time.monotonic() >= until:
            return {"agents": agents, "differences": differences, "complete": False}
    return {"agents": agents, "differences": differences, "complete": True}


def batches(db: Fence, *, begin: UUID) -> Iterator[list[UUID]]:
    """All agents, BATCH_AGENTS at a time: those after `begin`, then the others."""
    find = partial(find_page, db)
    yield from pages(find, rows_max=BATCH_AGENTS, after=begin)
    for batch in pages(find, rows_max=BATCH_AGENTS):
        before = [agent for agent in batch if agent <= begin]
        if before:
            yield before
        if len(before) < len(batch):
            return


def find_page(db: Fence, after: UUID | None) -> list[UUID]:
    with db.read() as conn:
        return daily_stats.list_agents(conn, after=after, agents_max=BATCH_AGENTS)


def reconcile(db: Fence, agent_ids: list[UUID]) -> int:
    """How many days were wrong; they are recorded, said aloud, and will be computed again."""
    with db.read() as conn:
        suspects = stats_differences.find_differences(
            conn, agent_ids=agent_ids, rows_max=DIFFERENCES_MAX
        )
    if not suspects:
        return 0
    found = confirm(db, suspects)
    for difference in found:
        log.error(
            "daily_stats of agent %s on %s are wrong: stored %s, expected %s",
            difference.agent_id,
            difference.date,
            difference.stored,
            difference.expected,
        )
    return len(found)


def confirm(db: Fence, suspects: list[Difference]) -> list[Difference]:
    """Look once more, while nobody else computes days of these agents, and record what stays."""
    agent_ids = sorted({suspect.agent_id for suspect in suspects})
    with db.write() as conn:
        held = daily_stats.hold_agents(conn, agent_ids)
        daily_stats.lock_agents(conn, held)
        found = stats_differences.find_differences(conn, agent_ids=held, rows_max=DIFFERENCES_MAX)
        stats_differences.record_differences(conn, found)
    return found
