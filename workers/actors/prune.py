"""The doorway of `prune`."""

from typing import Any

from pipelines.prune import run
from workers.actors import works
from workers.jobs import Prune
from workers.tools import Tools


@works(Prune)
def prune(job: Prune, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
