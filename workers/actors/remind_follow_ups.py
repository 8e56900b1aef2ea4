"""The doorway of `remind_follow_ups`."""

from typing import Any

from pipelines.remind_follow_ups import run
from workers.actors import works
from workers.jobs import RemindFollowUps
from workers.tools import Tools


@works(RemindFollowUps)
def remind_follow_ups(job: RemindFollowUps, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
