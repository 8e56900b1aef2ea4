"""Sources of type `text`: the row holds the text itself."""

from db.sources import Source
from pipelines.errors import Permanent
from pipelines.readers.reading import Reading, Seen, whole
from pipelines.readers.tools import ReadingTools

TEXT_BYTES_MAX = 50_000_000


def read(source: Source, tools: ReadingTools, seen: Seen) -> Reading:
    """The row is all there is: what it was before does not matter."""
    body = (source.content or "").encode("utf-8", "replace")
    if not body.strip():
        raise Permanent("this source is empty: its `content` holds no text")
    if len(body) > TEXT_BYTES_MAX:
        raise Permanent(f"this text is {len(body)} bytes long, the limit is {TEXT_BYTES_MAX}")
    content_type = f"{source.file_type or 'text/plain'}; charset=utf-8"
    return whole(tools.parser.parse(body, content_type=content_type, url=None, name=source.name))
