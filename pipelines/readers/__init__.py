"""One file per type of knowledge source: from the row the customer wrote to a document."""

from collections.abc import Callable

from db.sources import Source
from pipelines.errors import Permanent
from pipelines.knowledge.document import Document
from pipelines.readers import file, text, url
from pipelines.readers.tools import ReadingTools

READERS: dict[str, Callable[[Source, ReadingTools], Document]] = {
    "text": text.read,
    "url": url.read,
    "file": file.read,
}


def read(source: Source, tools: ReadingTools) -> Document:
    """Read any source; raises Permanent for a type that has no reader."""
    reader = READERS.get(source.type)
    if reader is None:
        known = ", ".join(READERS)
        raise Permanent(f"sources of type {source.type!r} cannot be read; known types: {known}")
    return reader(source, tools)
