"""The doorway of `resync_source`."""

from typing import Any
from uuid import UUID

from db import jobs
from db.pool import Connection
from pipelines.index_source import Desk
from pipelines.resync_source import run
from workers.actors import works
from workers.jobs import BULK_PRIORITY, ResyncSource
from workers.tools import Tools


@works(ResyncSource)
def resync_source(job: ResyncSource, tools: Tools) -> dict[str, Any]:
    def crawl(conn: Connection, source_id: UUID) -> None:
        args = {"source_id": str(source_id)}
        jobs.enqueue(conn, "crawl_site", args, priority=BULK_PRIORITY)

    desk = Desk(tools.db, tools.reading, tools.embedder_for)
    return run(desk, source_id=job.source_id, crawl=crawl)
