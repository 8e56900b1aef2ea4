"""The story of `switch_model`: once every chunk has its twin, the agent's questions go to them.

Sources that were edited meanwhile are embedded again first. Where one could not be, the agent
keeps its model; the new chunks are deleted, what was paid for is remembered.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from db import models, sources, waits
from db.fence import Fence
from db.pool import Connection
from db.sources import Agent
from pipelines.change_model import SOURCES_MAX, tell
from pipelines.counting import noun
from pipelines.report_reindex import NAMES_MAX, list_names

RETIRED_ROWS = 1000
WHY_CHARS_MAX = 300

# Enqueues another round: these sources, and a switch that waits for them.
Again = Callable[[Connection, Sequence[UUID]], object]


def run(db: Fence, again: Again, *, agent_id: UUID, model: str, failed: int) -> dict[str, Any]:
    """`failed` counts the jobs that were waited for and did not complete."""
    with db.read() as conn:
        agent = sources.find_agent(conn, agent_id)
        change = models.find_change(conn, agent_id)
        jobs = waits.list_failed(conn, db.job_id, kind="embed_again", rows_max=NAMES_MAX)
        failed_ids = [UUID(job.args["source_id"]) for job in jobs]
        names = [source.name for source in sources.list_progress(conn, failed_ids)]
    if agent is None:
        return {"switched": False}
    if change is None or change.model != model:
        return {"switched": False, "deleted": retire(db, agent_id)}
    if failed:
        why = next((job.error for job in jobs if job.error), "")
        return give_up(db, agent, describe_failure(agent, failed, names, why))
    if not switch(db, again, agent_id, model):
        return {"switched": False, "again": True}
    return {"switched": True, "deleted": retire(db, agent_id)}


def switch(db: Fence, again: Again, agent_id: UUID, model: str) -> bool:
    """All at once, and only if nothing is missing; nobody stores chunks meanwhile."""
    with db.write() as conn:
        models.lock_model(conn, agent_id)
        missing = models.list_incomplete(conn, agent_id, model=model, rows_max=SOURCES_MAX)
        if missing:
            again(conn, missing)
            return False
        agent = sources.find_agent(conn, agent_id)
        if agent is not None:
            hide_unnamed(conn, agent)
            models.switch_model(conn, agent_id, model=model)
            models.recount_sources(conn, agent_id, model=model)
            message = f"{agent.name} answers with the embedding model {model} from now on."
            tell(conn, db.job_id, agent, message, is_changed=True)
        models.end_change(conn, agent_id)
    return True


def hide_unnamed(conn: Connection, agent: Agent) -> None:
    """Chunks without a model would count as the new one's: they are the old one's."""
    name = agent.embedding_model or "unknown"
    while models.name_chunks(conn, agent.id, model=name, rows_max=RETIRED_ROWS) == RETIRED_ROWS:
        pass


def give_up(db: Fence, agent: Agent, message: str) -> dict[str, Any]:
    with db.write() as conn:
        models.end_change(conn, agent.id)
        tell(conn, db.job_id, agent, message, is_changed=False)
    return {"switched": False, "deleted": retire(db, agent.id)}


def describe_failure(agent: Agent, failed: int, names: Sequence[str], why: str) -> str:
    which = f": {list_names(names, failed)}" if names else ""
    reason = f" ({why[:WHY_CHARS_MAX]})" if why else ""
    what = noun(failed, "source")
    return (
        f"{agent.name} keeps its embedding model, because {failed} {what} could not be embedded "
        f"with the new one{which}{reason}. Everything stays searchable as it was; what was paid "
        "for is remembered, so another try costs only what is missing."
    )


def retire(db: Fence, agent_id: UUID) -> int:
    """Delete what no question is asked of, in short transactions; how many chunks."""
    total, count = 0, RETIRED_ROWS
    while count == RETIRED_ROWS:
        with db.write() as conn:
            count = models.delete_retired(conn, agent_id, rows_max=RETIRED_ROWS)
        total += count
        db.report({"stage": "deleting", "done": total})
    return total
