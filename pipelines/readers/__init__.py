"""One file per type of knowledge source: from the row the customer wrote to its documents."""

from collections.abc import Callable

from db.sources import Source
from pipelines.errors import Permanent
from pipelines.readers import api, file, google_drive, notion, text, url
from pipelines.readers.reading import Reading, Seen
from pipelines.readers.tools import ReadingTools

READERS: dict[str, Callable[[Source, ReadingTools, Seen], Reading]] = {
    "text": text.read,
    "url": url.read,
    "file": file.read,
    "api": api.read,
    "notion": notion.read,
    "google_drive": google_drive.read,
}


def read(source: Source, tools: ReadingTools, seen: Seen) -> Reading:
    """Read any source, as far as it changed since `seen`; raises Permanent or Transient."""
    reader = READERS.get(source.type)
    if reader is None:
        known = ", ".join(READERS)
        raise Permanent(f"sources of type {source.type!r} cannot be read; known types: {known}")
    if not isinstance(source.settings, dict):
        raise Permanent('`settings` must be an object such as {"chunking": {"tokens_max": 512}}')
    return reader(source, tools, seen)
