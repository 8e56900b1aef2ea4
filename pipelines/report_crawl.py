"""The story of `report_crawl`: the pages are indexed, and the source says how the crawl went."""

from typing import Any
from uuid import UUID

from db import crawl_reports, crawls
from db.fence import Fence
from pipelines.knowledge.crawl_report import FAILURES_MAX, Result, sum_up


def run(db: Fence, *, source_id: UUID) -> dict[str, Any] | None:
    """The report; None when there is nothing to report, or it was done already.

    A crawl that failed, or that began anew meanwhile, says so itself.
    """
    with db.read() as conn:
        crawl = crawls.load_crawl(conn, source_id)
    if crawl is None or crawl.stage != "indexing":
        return None
    with db.read() as conn:
        result = sum_up(
            crawl_reports.sum_up(conn, source_id, crawl=crawl.number),
            crawl_reports.sum_children(conn, source_id, crawl=crawl.number),
            crawl_reports.list_failures(conn, source_id, crawl=crawl.number, rows_max=FAILURES_MAX),
            removed=crawl.removed,
            limits_hit=crawl.limits_hit,
        )
    return result.report if store(db, source_id, crawl, result) else None


def store(db: Fence, source_id: UUID, crawl: crawls.Crawl, result: Result) -> bool:
    """False when another crawl has begun since the report was written."""
    with db.write() as conn:
        if not crawls.end_crawl(conn, source_id, number=crawl.number):
            return False
        crawl_reports.complete_crawl(
            conn, source_id, status=result.status, error=result.error, report=result.report
        )
        if result.is_news:
            crawl_reports.record_crawl(
                conn, source_id, status=result.status, error=result.error, report=result.report
            )
        if result.error is None:
            crawl_reports.drop_own_chunks(conn, source_id)
    return True
