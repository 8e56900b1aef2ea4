"""`report_crawl`: the end of a crawl is told once, by whoever still holds the job."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from db import jobs, waits
from db.fence import Fence, LeaseLost
from db.jobs import Claimed, Finish
from pipelines import report_crawl
from tests.crawling import Crawling, crawling, page
from tests.fakes import Site, site
from tests.knowledge import Indexing


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as served:
        served.page("/", page("Start", "/a"))
        served.page("/a", page("Apples"))
        yield served


@pytest.fixture
def crawl(knowledge: Indexing) -> Iterator[Crawling]:
    with crawling(knowledge) as prepared:
        yield prepared


def ready_to_report(crawl: Crawling, web: Site) -> tuple[UUID, Claimed]:
    """A site whose pages are indexed, and the job that says so."""
    source_id = crawl.insert(web.url("/"))
    for _ in range(2):
        for job in crawl.claim("knowledge"):
            crawl.attempt(job)
    waits.settle(crawl.knowledge.conn, rows_max=1000)
    (report,) = crawl.claim("default")
    return source_id, report


def runs(crawl: Crawling) -> int:
    return len(crawl.knowledge.rows("SELECT FROM worker.sync_runs WHERE kind = 'crawl_site'"))


def test_reporting_twice_changes_nothing(crawl: Crawling, web: Site) -> None:
    source_id, job = ready_to_report(crawl, web)
    crawl.run(job)
    before = crawl.parent(source_id)

    crawl.run(job)

    assert before["status"] == "completed"
    assert crawl.parent(source_id) == before
    assert runs(crawl) == 1


def test_killed_midway_it_stores_nothing_and_the_next_attempt_all(
    crawl: Crawling, web: Site
) -> None:
    source_id, killed = ready_to_report(crawl, web)
    handed_back = Finish(killed.id, killed.attempt, "available", spared=True)
    jobs.finish_jobs(crawl.knowledge.conn, [handed_back])
    with pytest.raises(LeaseLost):
        report_crawl.run(Fence(crawl.pool, killed.id, killed.attempt), source_id=source_id)
    early = (crawl.parent(source_id)["status"], runs(crawl))

    crawl.work_off()

    assert early == ("processing", 0)
    assert (crawl.parent(source_id)["status"], runs(crawl)) == ("completed", 1)


def test_a_crawl_that_began_anew_is_not_reported_by_the_last_one(
    crawl: Crawling, web: Site
) -> None:
    source_id, job = ready_to_report(crawl, web)
    crawl.knowledge.conn.execute("UPDATE worker.crawls SET number = 2, stage = 'crawling'")

    crawl.run(job)

    assert crawl.parent(source_id)["status"] == "processing"
