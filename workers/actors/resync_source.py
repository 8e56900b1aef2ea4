"""The doorway of `resync_source`."""

from typing import Any
from uuid import UUID

from db.pool import Connection
from pipelines.index_source import Desk
from pipelines.resync_source import run
from workers.actors import works
from workers.jobs import BULK_PRIORITY, CrawlSite, ResyncSource, enqueue
from workers.tools import Tools


@works(ResyncSource)
def resync_source(job: ResyncSource, tools: Tools) -> dict[str, Any]:
    def crawl(conn: Connection, source_id: UUID) -> None:
        enqueue(conn, CrawlSite(source_id), priority=BULK_PRIORITY)

    desk = Desk(tools.db, tools.reading, tools.embedder_for)
    return run(desk, source_id=job.source_id, crawl=crawl)
