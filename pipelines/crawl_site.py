"""The story of `crawl_site`: find the pages of a site, make each a source, index what changed.

It runs in slices: after each the job comes again, so that no thread is held for long. The frontier
lies in the database; a visit is settled in one transaction, and one that is not is made again.
"""

import time
from typing import Any
from uuid import UUID

from db import crawl_reports, crawls
from db.crawls import Crawl, NewPage, Site
from db.fence import Fence
from pipelines.crawling.visit import visit
from pipelines.crawling.work import Desk, Work, asked, read_start
from pipelines.errors import Permanent, Snooze

SLICE_S = 5.0
REMOVED_AT_ONCE = 20
# A site of which so many pages in a row cannot be reached is down.
FAILURES_IN_ROW_MAX = 10
NAMES_MAX = 3


def run(desk: Desk, *, source_id: UUID, slice_s: float = SLICE_S) -> dict[str, Any]:
    """How many pages were kept and removed; raises Snooze until all of them have been visited.

    Raises Permanent where nothing could be read; what was indexed before then stays.
    """
    site = begin(desk.db, source_id)
    if not site.is_crawl:
        return take_back(desk, site)
    work = open_crawl(desk, site)
    if work.crawl.stage == "crawling":
        visit_all(work, until=time.monotonic() + slice_s)
        finish(work)
    return {"pages": work.crawl.kept, "removed": work.crawl.removed, "batch": work.callback_id}


def begin(db: Fence, source_id: UUID) -> Site:
    """Show the owner that the source is being worked on."""
    with db.write() as conn:
        site = crawls.begin_crawl(conn, source_id)
    if site is None:
        raise Permanent(f"knowledge source {source_id} no longer exists")
    return site


def open_crawl(desk: Desk, site: Site) -> Work:
    """Go on with this job's crawl, or begin one."""
    start, settings = read_start(site)
    with desk.db.write() as conn:
        callback_id = desk.batches.callback_of(conn, desk.db.job_id)
        crawl = crawls.load_crawl(conn, site.id)
        if crawl is None or not is_current(crawl, site, job_id=desk.db.job_id):
            crawl = crawls.start_crawl(
                conn, site.id, job_id=desk.db.job_id, asked=asked(site), site=""
            )
            crawls.add_pages(conn, site.id, crawl=crawl.number, pages=[NewPage(start)], depth=0)
    return Work(desk, site, start, settings, crawl, callback_id)


def is_current(crawl: Crawl, site: Site, *, job_id: int) -> bool:
    """A job that was asked to run again begins anew; one whose end was not stored has ended."""
    if crawl.job_id != job_id or crawl.asked != asked(site):
        return False
    return crawl.stage == "crawling" or (crawl.stage == "indexing" and site.status == "processing")


def visit_all(work: Work, *, until: float) -> None:
    """Visit until nothing is queued or a limit is reached; raises Snooze when the time is up."""
    while not is_over(work):
        with work.desk.db.read() as conn:
            page = crawls.next_page(
                conn,
                work.site.id,
                crawl=work.crawl.number,
                agent_id=work.site.agent_id,
                settings=work.child_settings,
            )
        if page is None:
            if requeue_orphans(work) == 0:
                return
            continue
        if page.wait_s > 0:
            raise Snooze(page.wait_s)
        visit(work, page)
        tell(work, page.url)
        if time.monotonic() >= until:
            raise Snooze(0.0)


def is_over(work: Work) -> bool:
    crawl, settings = work.crawl, work.settings
    if crawl.failures_in_row >= FAILURES_IN_ROW_MAX:
        crawl.complete = False
        work.note_limit("failures in a row")
        return True
    if crawl.kept >= settings.pages_max or crawl.visits >= settings.visits_max:
        with work.desk.db.read() as conn:
            left = crawls.count_queued(conn, work.site.id, crawl=crawl.number)
        if left:
            work.note_limit("pages_max" if crawl.kept >= settings.pages_max else "visits")
        return True
    return False


def requeue_orphans(work: Work) -> int:
    with work.desk.db.write() as conn:
        return crawls.requeue_orphans(conn, work.site.id, crawl=work.crawl.number)


def tell(work: Work, url: str) -> None:
    """On the source's row, which its owner sees, and on the job's."""
    crawl = work.crawl
    with work.desk.db.write() as conn:
        left = crawls.count_queued(conn, work.site.id, crawl=crawl.number)
        progress = {
            "stage": "crawling",
            "done": crawl.visits,
            "total": crawl.visits + left,
            "note": f"{crawl.kept} pages kept; last read: {url[:200]}",
        }
        crawls.report_progress(conn, work.site.id, progress)
        work.desk.db.note(conn, progress)


def finish(work: Work) -> None:
    """Everything has been visited: remove what is no more; the report waits for the indexing."""
    if work.crawl.kept == 0:
        give_up(work)
    remove_leftovers(work)
    work.crawl.stage = "indexing"
    with work.desk.db.write() as conn:
        crawls.forget_pages(conn, work.site.id, crawl=work.crawl.number)
        crawls.save_crawl(conn, work.site.id, work.crawl)


def give_up(work: Work) -> None:
    """Raise Permanent with the reason why there is not one page."""
    number, site_id = work.crawl.number, work.site.id
    with work.desk.db.read() as conn:
        states = {row.state: row.pages for row in crawl_reports.sum_up(conn, site_id, crawl=number)}
        failures = crawl_reports.list_failures(conn, site_id, crawl=number, rows_max=1)
    work.crawl.stage = "done"
    with work.desk.db.write() as conn:
        crawls.save_crawl(conn, site_id, work.crawl)
    raise Permanent(f"No page of {work.start} could be read: {reason_of(states, failures)}")


def reason_of(states: dict[str, int], failures: list[tuple[str, str]]) -> str:
    if failures:
        return failures[0][1]
    if states.get("disallowed"):
        return "its robots.txt does not allow AvivroBot to read it."
    if states.get("noindex"):
        return "its pages ask not to be indexed (noindex)."
    if states.get("redirected"):
        return "its redirects lead to no page of the site."
    return "it holds no page with text that settings.crawl includes."


def remove_leftovers(work: Work) -> None:
    """A few at a time, for each takes its chunks with it."""
    while True:
        with work.desk.db.write() as conn:
            ids = crawls.list_leftovers(
                conn,
                work.site.id,
                crawl=work.crawl.number,
                complete=work.crawl.complete,
                rows_max=REMOVED_AT_ONCE,
            )
            work.crawl.removed += crawls.delete_sources(conn, ids)
            crawls.save_crawl(conn, work.site.id, work.crawl)
        if len(ids) < REMOVED_AT_ONCE:
            return


def take_back(desk: Desk, site: Site) -> dict[str, Any]:
    """The source is no site any more: its pages go, and it is read as what it is now."""
    removed = 0
    while True:
        with desk.db.write() as conn:
            ids = crawls.list_children(conn, site.id, rows_max=REMOVED_AT_ONCE)
            removed += crawls.delete_sources(conn, ids)
            if len(ids) < REMOVED_AT_ONCE:
                crawls.forget_crawl(conn, site.id)
                desk.batches.index(conn, site.id)
                return {"pages": 0, "removed": removed}
