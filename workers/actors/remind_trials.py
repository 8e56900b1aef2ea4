"""The doorway of `remind_trials`."""

from typing import Any

from pipelines.remind_trials import run
from workers.actors import works
from workers.jobs import RemindTrials
from workers.tools import Tools


@works(RemindTrials)
def remind_trials(job: RemindTrials, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
