"""The doorway of `schedule_resyncs`."""

from typing import Any

from pipelines.schedule_resyncs import run
from workers.actors import works
from workers.jobs import BULK_PRIORITY, ScheduleResyncs
from workers.tools import Tools


@works(ScheduleResyncs)
def schedule_resyncs(job: ScheduleResyncs, tools: Tools) -> dict[str, Any]:
    return run(tools.db, priority=BULK_PRIORITY)
