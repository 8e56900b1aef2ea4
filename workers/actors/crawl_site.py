"""The doorway of `crawl_site`."""

from typing import Any
from uuid import UUID

from db.pool import Connection
from pipelines.crawl_site import run
from pipelines.crawling.work import Batches, Desk
from workers import chains
from workers.actors import works
from workers.jobs import BULK_PRIORITY, CrawlSite, IndexSource, ReportCrawl, enqueue
from workers.tools import Tools


@works(CrawlSite)
def crawl_site(job: CrawlSite, tools: Tools) -> dict[str, Any]:
    def callback_of(conn: Connection, job_id: int) -> int:
        return chains.callback_of(conn, job_id, then=ReportCrawl(job.source_id))

    def add(conn: Connection, callback_id: int, source_id: UUID) -> None:
        chains.add_to_batch(conn, callback_id, [IndexSource(source_id)], priority=BULK_PRIORITY)

    def index(conn: Connection, source_id: UUID) -> None:
        enqueue(conn, IndexSource(source_id))

    reading = tools.reading
    desk = Desk(tools.db, tools.polite, reading.parser, Batches(callback_of, add, index))
    return run(desk, source_id=job.source_id)
