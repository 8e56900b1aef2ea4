"""The story of `report_reindex`: the owner learns how the re-index of an agent went."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from db import notifications, sources, waits
from db.fence import Fence
from db.notifications import Notice
from db.sources import Agent
from db.waits import Waited
from pipelines.counting import plural

NAMES_MAX = 5
NAME_CHARS_MAX = 80
# Any constant would do: it keeps these ids apart from those made of other things.
NAMESPACE = UUID("6f1a5f0e-0b5c-4d52-9a35-54f3a8b5a9c1")


def run(db: Fence, *, agent_id: UUID, waited: Waited) -> None:
    """`waited` also counts the job that asked for the sources. Nobody is told of a gone agent."""
    with db.read() as conn:
        agent = sources.find_agent(conn, agent_id)
        indexed = waits.count_waits(conn, db.job_id, kind="index_source")
        failed = waits.list_failed(conn, db.job_id, kind="index_source", rows_max=NAMES_MAX)
        ids = [UUID(job.args["source_id"]) for job in failed]
        names = [source.name for source in sources.list_progress(conn, ids)]
    if agent is None:
        return
    whole = indexed.ended > 0 or waited.failed == 0
    notice = write_notice(agent, indexed if whole else waited, names)
    with db.write() as conn:
        notifications.tell(conn, notice, id=uuid5(NAMESPACE, str(db.job_id)))


def write_notice(agent: Agent, counts: Waited, names: Sequence[str]) -> Notice:
    return Notice(
        user_id=agent.user_id,
        agent_id=agent.id,
        type="knowledge_reindexed",
        title="Some sources could not be indexed" if counts.failed else "Knowledge indexed again",
        message=describe(agent.name, counts, names),
        priority="high" if counts.failed else "normal",
        action_url="/knowledge",
        action_label="Open knowledge",
    )


def describe(agent: str, counts: Waited, names: Sequence[str]) -> str:
    if counts.ended == 0:
        return f"{agent} has no sources to index again."
    if counts.failed == 0:
        return f"All sources of {agent} were indexed again ({counts.ended})."
    if not names:
        return f"The sources of {agent} could not be indexed again. Nothing of them was lost."
    return (
        f"{counts.failed} of {plural(counts.ended, 'source')} of {agent} could not be indexed"
        f" again: {list_names(names, counts.failed)}."
        " What was indexed of them before stays searchable."
    )


def list_names(names: Sequence[str], count: int) -> str:
    """Up to NAMES_MAX names, and how many more there are."""
    shown = [name[:NAME_CHARS_MAX] for name in names[:NAMES_MAX]]
    more = count - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
