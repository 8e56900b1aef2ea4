"""The doorway of `watch_health`."""

from typing import Any

from pipelines.watch_health import run
from workers.actors import works
from workers.jobs import WatchHealth
from workers.tools import Tools


@works(WatchHealth)
def watch_health(job: WatchHealth, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
