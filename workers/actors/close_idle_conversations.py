"""The doorway of `close_idle_conversations`."""

from typing import Any

from pipelines.close_idle_conversations import run
from workers.actors import works
from workers.jobs import CloseIdleConversations
from workers.tools import Tools


@works(CloseIdleConversations)
def close_idle_conversations(job: CloseIdleConversations, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
