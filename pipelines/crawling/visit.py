"""A visit: one address of the frontier is asked for once, and what it answers is settled."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from db import crawls
from db.crawls import Page as Known
from db.crawls import Visit
from db.pool import Connection
from pipelines.crawling.children import Read, keep, keep_unchanged
from pipelines.crawling.frontier import (
    in_scope,
    queue_entries,
    queue_links,
    queue_sitemaps,
)
from pipelines.crawling.work import Work
from pipelines.errors import Permanent, Transient
from pipelines.gateways.fetch import REDIRECTS_MAX, Moved, Page, fetch_file, fetch_hop
from pipelines.gateways.http_failures import HttpPermanent
from pipelines.knowledge.crawl_links import find_links
from pipelines.knowledge.crawl_page import address_of, facts_of
from pipelines.knowledge.crawl_sitemap import Sitemap, parse_sitemap, read_time
from pipelines.knowledge.crawl_urls import normalise, origin_of
from pipelines.readers.fetched import has_changed, validators

TRIES_MAX = 3
RETRY_S = 10.0
RETRY_S_MAX = 600.0
GONE = frozenset({404, 410})
# A sitemap says nothing of changes within the day that it names, and may be wrong for ever.
LASTMOD_AGE_MIN = timedelta(days=1)
LASTMOD_TRUST_MAX = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Call:
    """One page under visit."""

    work: Work
    page: Known

    @property
    def is_start(self) -> bool:
        return self.work.crawl.site == ""


def visit(work: Work, page: Known) -> None:
    """Raises Snooze where it is not our turn; the page is then still queued."""
    call = Call(work, page)
    try:
        if page.role == "sitemap":
            read_map(call)
        else:
            read_page(call)
    except HttpPermanent as error:
        state = "gone" if error.status in GONE else "failed"
        settle_failure(call, str(error), state=state)
    except Permanent as error:
        settle_failure(call, str(error), state="failed")


def read_page(call: Call) -> None:
    work, page = call.work, call.page
    rules = work.rules_of(page.url)
    if not rules.allows(page.url):
        settle_failure(call, "robots.txt does not allow it", state="disallowed")
        return
    if page.child_is_whole and is_old(page, now=datetime.now(UTC)):
        settle_unchanged(call, None)
        return
    work.wait(page.url, rules)
    try:
        answer = fetch(call)
    except Transient as error:
        put_off(call, error)
        return
    work.crawl.failures_in_row = 0
    match answer:
        case Moved():
            settle_redirect(call, answer)
        case Page() if page.child_is_whole and not has_changed(answer, page.seen):
            settle_unchanged(call, answer)
        case _:
            settle_content(call, answer)


def fetch(call: Call) -> Page | Moved:
    """What was kept is asked for on condition that it changed."""
    seen = call.page.seen if call.page.child_is_whole else {}
    return fetch_hop(
        call.work.desk.client,
        call.page.url,
        etag=seen.get("etag"),
        last_modified=seen.get("last_modified"),
    )


def is_old(page: Known, *, now: datetime) -> bool:
    """Tell whether the sitemap says that nothing changed since the page was last read."""
    changed_at = read_time(page.offered_at)
    if changed_at is None or page.offered_at != page.lastmod or page.fetched_at is None:
        return False
    since = page.fetched_at - changed_at
    return since >= LASTMOD_AGE_MIN and now - page.fetched_at <= LASTMOD_TRUST_MAX


def settle_unchanged(call: Call, answer: Page | None) -> None:
    work, page = call.work, call.page
    seen = page.seen if answer is None else validators(answer, page.seen)
    with work.desk.db.write() as conn:
        arrive(conn, call)
        if work.settings.wants(page.address or page.url):
            keep_unchanged(conn, work, page, seen=seen, fetched=answer is not None)
        else:
            crawls.settle_page(conn, work.site.id, page.url, Visit("excluded", links=page.links))
        leave(conn, call, page.links)


def settle_redirect(call: Call, answer: Moved) -> None:
    """The page is where it leads, if that is a page of the site: a start page may lead away."""
    work, page = call.work, call.page
    target = normalise(answer.to)
    if target is None or target == page.url:
        raise HttpPermanent(f"{page.url} redirects to itself or nowhere", failure_class="redirect")
    if call.is_start and work.crawl.visits >= REDIRECTS_MAX:
        raise HttpPermanent(
            f"{work.start} redirects more than {REDIRECTS_MAX} times", failure_class="redirect"
        )
    with work.desk.db.write() as conn:
        crawls.settle_page(conn, work.site.id, page.url, Visit("redirected", address=target))
        if call.is_start:
            new = [crawls.NewPage(target)]
            crawls.add_pages(conn, work.site.id, crawl=work.crawl.number, pages=new, depth=0)
        else:
            queue_links(conn, work, in_scope(work, [target]), depth=page.depth)
        leave(conn, call, ())


def settle_content(call: Call, answer: Page) -> None:
    work, page = call.work, call.page
    try:
        document = work.desk.parser.parse(
            answer.body, content_type=answer.headers.get("Content-Type"), url=page.url
        )
    except Permanent as error:
        settle_unreadable(call, answer, error)
        return
    facts = facts_of(document, header=answer.headers.get("X-Robots-Tag"))
    with work.desk.db.write() as conn:
        arrive(conn, call)
        links = () if facts.nofollow else in_scope(work, document.links)
        address = address_of(page.url, facts.canonical)
        if not work.settings.wants(address):
            address = page.url
        settle_read(conn, call, Read(answer, facts, address, links))
        leave(conn, call, links)


def settle_read(conn: Connection, call: Call, read: Read) -> None:
    work, page = call.work, call.page
    if read.facts.noindex:
        found = Visit("noindex", child_id=page.child_id, links=read.links)
    elif not work.settings.wants(read.address):
        found = Visit("excluded", links=read.links)
    else:
        found = keep(conn, work, page, read)
    crawls.settle_page(conn, work.site.id, page.url, found)


def settle_unreadable(call: Call, answer: Page, error: Permanent) -> None:
    """A page without text may be a menu: it leads on, and is no failure if it does."""
    work, page = call.work, call.page
    is_page = (answer.content_type or "text/html") in ("text/html", "application/xhtml+xml")
    with work.desk.db.write() as conn:
        arrive(conn, call)
        links = in_scope(work, find_links(answer.body, page.url)) if is_page else ()
        if links and page.child_id is None:
            found = Visit("read", links=links, reason=str(error))
            crawls.settle_page(conn, work.site.id, page.url, found)
        else:
            crawls.fail_page(conn, work.site.id, page.url, state="failed", reason=str(error))
        leave(conn, call, links)


def settle_failure(call: Call, reason: str, *, state: str) -> None:
    """Nothing was read; where the page led to when it last was is still visited."""
    work, page = call.work, call.page
    is_guess = page.url == f"{work.crawl.site}/sitemap.xml" and page.fetched_at is None
    if page.role == "sitemap" and is_guess:
        state = "gone"
    with work.desk.db.write() as conn:
        if call.is_start and isinstance(work.settings.sitemap, str):
            arrive(conn, call)
        crawls.fail_page(conn, work.site.id, page.url, state=state, reason=reason)
        if page.role == "sitemap" and state == "failed" and page.fetched_at is not None:
            work.crawl.complete = False
        leave(conn, call, page.links if state == "failed" and work.crawl.site else ())


def put_off(call: Call, error: Transient) -> None:
    """Once more after everything else; too often, and it counts as failed."""
    work, page = call.work, call.page
    work.crawl.failures_in_row += 1
    if page.tries + 1 >= TRIES_MAX:
        if page.role == "sitemap":
            work.crawl.complete = False
        settle_failure(call, str(error), state="failed")
        return
    wait_s = min(RETRY_S_MAX, max(error.retry_after_s or 0.0, RETRY_S * 2**page.tries))
    with work.desk.db.write() as conn:
        crawls.put_page_off(conn, work.site.id, page.url, wait_s=wait_s, reason=str(error))
        leave(conn, call, ())


def arrive(conn: Connection, call: Call) -> None:
    """The start page has said where the site is: now its sitemaps can be looked for."""
    work = call.work
    if not call.is_start:
        return
    work.crawl.site = origin_of(call.page.url)
    match work.settings.sitemap:
        case str(address):
            queue_sitemaps(conn, work, [address], depth=0, of=address)
        case True:
            named = work.rules_of(call.page.url).sitemaps
            usual = f"{work.crawl.site}/sitemap.xml"
            queue_sitemaps(conn, work, [*named, usual], depth=0, of=usual)


def leave(conn: Connection, call: Call, links: tuple[str, ...] | list[str]) -> None:
    """The end of each visit's transaction: where it leads, and how far the crawl is."""
    work, page = call.work, call.page
    if links:
        queue_links(conn, work, links, depth=page.depth + 1)
    work.crawl.visits += 1
    crawls.save_crawl(conn, work.site.id, work.crawl)


def read_map(call: Call) -> None:
    """A sitemap's pages are queued, an index's sitemaps too."""
    work, page = call.work, call.page
    rules = work.rules_of(page.url)
    is_named = page.url == work.settings.sitemap
    if not is_named and not rules.allows(page.url):
        settle_failure(call, "robots.txt does not allow it", state="disallowed")
        return
    work.wait(page.url, rules)
    try:
        answer = fetch_file(work.desk.client, page.url)
    except Transient as error:
        put_off(call, error)
        return
    work.crawl.failures_in_row = 0
    settle_map(call, parse_sitemap(answer.body))


def settle_map(call: Call, found: Sitemap) -> None:
    work, page = call.work, call.page
    if found.cut:
        work.note_limit("sitemap entries")
    with work.desk.db.write() as conn:
        queue_sitemaps(conn, work, found.sitemaps, depth=page.depth + 1, of=page.url)
        queue_entries(conn, work, found.pages)
        crawls.settle_page(conn, work.site.id, page.url, Visit("read"))
        leave(conn, call, ())
