"""The doorway of `send_weekly_digests`."""

from typing import Any

from pipelines.send_weekly_digests import run
from workers.actors import works
from workers.jobs import SendWeeklyDigests
from workers.tools import Tools


@works(SendWeeklyDigests)
def send_weekly_digests(job: SendWeeklyDigests, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
