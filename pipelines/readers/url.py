"""Sources of type `url`: one web page."""

from db.sources import Source
from pipelines.errors import Permanent
from pipelines.gateways.fetch import fetch_page
from pipelines.readers.fetched import has_changed, take_crawled, validators
from pipelines.readers.reading import Reading, Seen, unchanged, whole
from pipelines.readers.tools import ReadingTools


def read(source: Source, tools: ReadingTools, seen: Seen) -> Reading:
    """A page that the crawler has just fetched is not fetched again."""
    if not source.url:
        raise Permanent("this source names no page: its `url` is empty")
    url = source.url.strip()
    page = take_crawled(tools.db, source.id, url) or fetch_page(
        tools.client, url, etag=seen.get("etag"), last_modified=seen.get("last_modified")
    )
    if not has_changed(page, seen):
        return unchanged(validators(page, seen))
    document = tools.parser.parse(
        page.body, content_type=page.headers.get("Content-Type"), url=page.url, name=None
    )
    return whole(document, seen=validators(page, seen))
