"""The doorway of `reindex_agent`."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from db.pool import Connection
from pipelines.reindex_agent import Batches, run
from workers import chains
from workers.actors import works
from workers.jobs import BULK_PRIORITY, IndexSource, ReindexAgent, ReportReindex
from workers.tools import Tools


@works(ReindexAgent)
def reindex_agent(job: ReindexAgent, tools: Tools) -> dict[str, Any]:
    def callback_of(conn: Connection, job_id: int) -> int:
        return chains.callback_of(conn, job_id, then=ReportReindex(job.agent_id))

    def add(conn: Connection, callback_id: int, source_ids: Sequence[UUID]) -> None:
        members = map(IndexSource, source_ids)
        chains.add_to_batch(conn, callback_id, members, priority=BULK_PRIORITY)

    return run(tools.db, Batches(callback_of, add), agent_id=job.agent_id)
