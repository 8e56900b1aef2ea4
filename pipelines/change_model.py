"""The story of `change_model`: an agent's chunks are embedded with another model, as one batch.

The old vectors serve until all new ones are there; `embed_again` makes them, `switch_model`
waits for them and switches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from db import models, notifications, sources
from db.fence import Fence
from db.notifications import Notice
from db.pool import Connection
from db.sources import Agent
from pipelines.errors import Permanent
from pipelines.gateways.embedder import Embedder

SOURCES_MAX = 50_000
NAMED_ROWS = 500
# Any constant would do: it keeps these ids apart from those made of other things.
NAMESPACE = UUID("0b0f5e0a-5b5b-4b9f-8f0e-0a6f2f9d7c11")


@dataclass(frozen=True, slots=True)
class Batches:
    """How the story enqueues: sources to embed again with a model, and the switch that waits for
    the job that asks and, later, for them.
    """

    switch_of: Callable[[Connection, int, str], int]
    add: Callable[[Connection, int, Sequence[UUID], str], object]


def run(
    db: Fence,
    batches: Batches,
    embedder_for: Callable[[str | None], Embedder],
    *,
    agent_id: UUID,
    model: str,
) -> dict[str, Any]:
    """How many sources are embedded again. Raises Permanent, and tells the agent's owner."""
    with db.read() as conn:
        agent = sources.find_agent(conn, agent_id)
    if agent is None:
        raise Permanent(f"agent {agent_id} does not exist")
    try:
        target = embedder_for(model).model
    except Permanent as error:
        with db.write() as conn:
            message = f"{agent.name} keeps its embedding model: {error}"
            tell(conn, db.job_id, agent, message, is_changed=False)
        raise
    if target == agent.embedding_model:
        with db.write() as conn:
            models.end_change(conn, agent_id)
        return {"model": target, "sources": 0}
    if agent.embedding_model is not None:
        name_chunks(db, agent_id, agent.embedding_model)
    return begin(db, batches, agent_id, target)


def name_chunks(db: Fence, agent_id: UUID, model: str) -> None:
    """In short transactions: naming a chunk stores its vector again."""
    named = NAMED_ROWS
    while named == NAMED_ROWS:
        with db.write() as conn:
            named = models.name_chunks(conn, agent_id, model=model, rows_max=NAMED_ROWS)


def begin(db: Fence, batches: Batches, agent_id: UUID, model: str) -> dict[str, Any]:
    with db.write() as conn:
        models.begin_change(conn, agent_id, model=model)
        found = models.list_incomplete(conn, agent_id, model=model, rows_max=SOURCES_MAX + 1)
        check_count(len(found))
        switch_id = batches.switch_of(conn, db.job_id, model)
        batches.add(conn, switch_id, found, model)
    return {"model": model, "sources": len(found), "batch": switch_id}


def check_count(count: int) -> None:
    if count > SOURCES_MAX:
        raise Permanent(
            f"this agent has more than {SOURCES_MAX:,} sources, the limit of one change of model"
        )


def tell(conn: Connection, job_id: int, agent: Agent, message: str, *, is_changed: bool) -> None:
    """Tell the agent's owner, once for each job."""
    notice = Notice(
        user_id=agent.user_id,
        agent_id=agent.id,
        type="embedding_model_changed" if is_changed else "embedding_model_kept",
        title="New embedding model" if is_changed else "The embedding model was not changed",
        message=message,
        priority="normal" if is_changed else "high",
        action_url="/knowledge",
        action_label="Open knowledge",
    )
    notifications.tell(conn, notice, id=uuid5(NAMESPACE, str(job_id)))
