"""Sources of type `url`: one web page."""

from db.sources import Source
from pipelines.errors import Permanent
from pipelines.gateways.fetch import fetch_page
from pipelines.knowledge.document import Document
from pipelines.readers.tools import ReadingTools


def read(source: Source, tools: ReadingTools) -> Document:
    if not source.url:
        raise Permanent("this source names no page: its `url` is empty")
    page = fetch_page(tools.client, source.url.strip())
    return tools.parser.parse(
        page.body, content_type=page.headers.get("Content-Type"), url=page.url, name=None
    )
