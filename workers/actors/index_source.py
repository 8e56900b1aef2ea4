"""The doorway of `index_source`."""

from typing import Any

from pipelines.index_source import Desk, run
from workers.actors import works
from workers.jobs import IndexSource
from workers.tools import Tools


@works(IndexSource)
def index_source(job: IndexSource, tools: Tools) -> dict[str, Any]:
    desk = Desk(tools.db, tools.reading, tools.embedder_for)
    return run(desk, source_id=job.source_id).summary()
