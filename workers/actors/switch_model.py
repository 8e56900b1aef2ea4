"""The doorway of `switch_model`."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from db.pool import Connection
from pipelines.switch_model import run
from workers import chains
from workers.actors import works
from workers.jobs import BULK_PRIORITY, EmbedAgain, SwitchModel
from workers.tools import Tools


@works(SwitchModel)
def switch_model(job: SwitchModel, tools: Tools) -> dict[str, Any]:
    def again(conn: Connection, source_ids: Sequence[UUID]) -> None:
        members = [EmbedAgain(source_id, job.model) for source_id in source_ids]
        chains.enqueue_batch(conn, members, then=job, priority=BULK_PRIORITY)

    return run(tools.db, again, agent_id=job.agent_id, model=job.model, failed=tools.waited.failed)
