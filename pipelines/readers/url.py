"""Sources of type `url`: one web page."""

from db.sources import Source
from pipelines.errors import Permanent
from pipelines.gateways.fetch import fetch_page
from pipelines.readers.fetched import has_changed, validators
from pipelines.readers.reading import Reading, Seen, unchanged, whole
from pipelines.readers.tools import ReadingTools


def read(source: Source, tools: ReadingTools, seen: Seen) -> Reading:
    if not source.url:
        raise Permanent("this source names no page: its `url` is empty")
    page = fetch_page(
        tools.client,
        source.url.strip(),
        etag=seen.get("etag"),
        last_modified=seen.get("last_modified"),
    )
    if not has_changed(page, seen):
        return unchanged(validators(page, seen))
    document = tools.parser.parse(
        page.body, content_type=page.headers.get("Content-Type"), url=page.url, name=None
    )
    return whole(document, seen=validators(page, seen))
