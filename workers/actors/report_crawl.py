"""The doorway of `report_crawl`."""

from typing import Any

from pipelines.report_crawl import run
from workers.actors import works
from workers.jobs import ReportCrawl
from workers.tools import Tools


@works(ReportCrawl)
def report_crawl(job: ReportCrawl, tools: Tools) -> dict[str, Any]:
    return run(tools.db, source_id=job.source_id) or {}
