"""The doorway of `change_model`."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from db.pool import Connection
from pipelines.change_model import Batches, run
from workers import chains
from workers.actors import works
from workers.jobs import BULK_PRIORITY, ChangeModel, EmbedAgain, SwitchModel
from workers.tools import Tools


@works(ChangeModel)
def change_model(job: ChangeModel, tools: Tools) -> dict[str, Any]:
    def switch_of(conn: Connection, job_id: int, model: str) -> int:
        return chains.callback_of(conn, job_id, then=SwitchModel(job.agent_id, model))

    def add(conn: Connection, switch_id: int, source_ids: Sequence[UUID], model: str) -> None:
        members = (EmbedAgain(source_id, model) for source_id in source_ids)
        chains.add_to_batch(conn, switch_id, members, priority=BULK_PRIORITY)

    batches = Batches(switch_of, add)
    return run(tools.db, batches, tools.embedder_for, agent_id=job.agent_id, model=job.model)
