"""The story of `reindex_agent`: every source of an agent is read, split and embedded again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db import sources, waits
from db.fence import Fence
from db.pool import Connection
from pipelines.errors import Permanent

SOURCES_MAX = 50_000


@dataclass(frozen=True, slots=True)
class Batches:
    """How the story enqueues. `callback_of` finds or makes what waits for this job and reports;
    `add` lets it wait for the indexing of these sources, too.
    """

    callback_of: Callable[[Connection, int], int]
    add: Callable[[Connection, int, Sequence[UUID]], object]


def run(db: Fence, batches: Batches, *, agent_id: UUID) -> dict[str, Any]:
    """The callback's id, and how many sources it waits for. Raises Permanent.

    A second run finds the members that the first one added, and adds none.
    """
    with db.write() as conn:
        if sources.find_agent(conn, agent_id) is None:
            raise Permanent(f"agent {agent_id} does not exist")
        found = sources.list_source_ids(conn, agent_id, rows_max=SOURCES_MAX + 1)
        check_count(len(found))
        callback_id = batches.callback_of(conn, db.job_id)
        members = waits.count_waits(conn, callback_id, kind="index_source")
        if not members.asked:
            batches.add(conn, callback_id, found)
    return {"batch": callback_id, "sources": members.asked or len(found)}


def check_count(count: int) -> None:
    if count > SOURCES_MAX:
        raise Permanent(
            f"this agent has more than {SOURCES_MAX:,} sources, the limit of one re-index"
        )
