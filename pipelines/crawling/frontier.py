"""Which of the addresses that a page or sitemap names are worth a visit."""

from collections.abc import Iterable, Iterator

from db import crawls
from db.crawls import NewPage
from db.pool import Connection
from pipelines.crawling.work import Work
from pipelines.knowledge.crawl_sitemap import Entry
from pipelines.knowledge.crawl_urls import (
    is_asset,
    is_same_site,
    is_trap,
    normalise,
    pattern_of,
    settle_scheme,
)

LINKS_MAX = 2_000
FRONTIER_MAX = 20_000
SITEMAPS_MAX = 100
SITEMAP_DEPTH_MAX = 3


def in_scope(work: Work, urls: Iterable[str]) -> tuple[str, ...]:
    """The pages of the site among them that may hold text, each once."""
    found: dict[str, None] = {}
    for url in urls:
        address = normalise(url)
        if address is None or not is_same_site(address, work.crawl.site):
            continue
        address = settle_scheme(address, work.crawl.site)
        if not (is_asset(address) or is_trap(address)):
            found[address] = None
        if len(found) >= LINKS_MAX:
            break
    return tuple(found)


def queue_links(conn: Connection, work: Work, urls: Iterable[str], *, depth: int) -> None:
    """Queue what links lead to, as far as depth, patterns and the frontier allow."""
    wanted = [url for url in urls if work.settings.wants(url)]
    known = crawls.list_known(conn, work.site.id, crawl=work.crawl.number, urls=wanted)
    new = [url for url in wanted if url not in known]
    if not new:
        return
    if depth > work.settings.depth_max:
        work.note_limit("depth_max")
        return
    add(conn, work, list(keep_rare(conn, work, new)), depth=depth)


def keep_rare(conn: Connection, work: Work, urls: list[str]) -> Iterator[NewPage]:
    """Leave out what an endless space has enough of already."""
    patterns = {url: pattern_of(url) for url in urls}
    names = {found[0] for found in patterns.values() if found is not None}
    counts = crawls.count_patterns(
        conn, work.site.id, crawl=work.crawl.number, patterns=sorted(names)
    )
    for url, found in patterns.items():
        if found is None:
            yield NewPage(url)
            continue
        name, most = found
        counts[name] = counts.get(name, 0) + 1
        if counts[name] > most:
            work.note_limit("similar addresses")
        else:
            yield NewPage(url, name)


def queue_entries(conn: Connection, work: Work, entries: Iterable[Entry]) -> None:
    """Queue what a sitemap names: all of the same site, and nothing else."""
    offered = {}
    for entry in entries:
        address = normalise(entry.url)
        if address is None or not is_same_site(address, work.crawl.site):
            continue
        address = settle_scheme(address, work.crawl.site)
        if not is_asset(address) and work.settings.wants(address):
            offered[address] = NewPage(address, offered_at=entry.lastmod)
    add(conn, work, list(offered.values()), depth=0)


def add(conn: Connection, work: Work, pages: list[NewPage], *, depth: int) -> None:
    crawl = work.crawl.number
    room = FRONTIER_MAX - crawls.count_queued(conn, work.site.id, crawl=crawl)
    if len(pages) > room:
        work.note_limit("frontier")
    kept = pages[: max(0, room)]
    if kept:
        crawls.add_pages(conn, work.site.id, crawl=crawl, pages=kept, depth=depth)


def queue_sitemaps(
    conn: Connection, work: Work, urls: Iterable[str], *, depth: int, of: str
) -> None:
    """Sitemaps of the site, or beside the index that names them; not of third parties."""
    addresses = (normalise(url) for url in urls)
    near = [
        NewPage(address)
        for address in dict.fromkeys(filter(None, addresses))
        if is_same_site(address, work.crawl.site) or is_same_site(address, of)
    ]
    if len(near) > SITEMAPS_MAX or (near and depth > SITEMAP_DEPTH_MAX):
        work.note_limit("sitemaps")
    if depth <= SITEMAP_DEPTH_MAX and near:
        crawls.add_pages(
            conn,
            work.site.id,
            crawl=work.crawl.number,
            pages=near[:SITEMAPS_MAX],
            depth=depth,
            role="sitemap",
        )
