"""Bytes of any supported format -> a document. Pure: no network, no files, no clock."""

import re
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from pipelines.errors import Permanent
from pipelines.knowledge import sniff, sniff_archive
from pipelines.knowledge.document import Document
from pipelines.knowledge.label import make_label
from pipelines.knowledge.raw import Raw

_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([^\s;\"']{1,40})", re.IGNORECASE)


class Reader(Protocol):
    def read(self, raw: Raw) -> Document: ...


@dataclass(frozen=True, slots=True)
class Format:
    """`module` has `read(raw) -> Document`; it is imported when it is first needed."""

    label: str
    module: str
    bytes_max: int


# A new format is one file and one line here.
FORMATS = {
    sniff.HTML: Format("HTML pages", "html", 25_000_000),
    sniff.MARKDOWN: Format("Markdown files", "markdown", 50_000_000),
    sniff.PLAIN: Format("texts", "plain", 50_000_000),
    sniff.PDF: Format("PDFs", "pdf", 50_000_000),
    sniff.CSV: Format("tables in text", "csv_rows", 50_000_000),
    sniff.JSON: Format("JSON files", "json_tree", 25_000_000),
    sniff_archive.DOCX: Format("Word files", "docx", 50_000_000),
    sniff_archive.XLSX: Format("Excel files", "xlsx", 50_000_000),
    sniff_archive.XLS: Format("Excel files", "xls", 50_000_000),
    sniff_archive.PPTX: Format("PowerPoint files", "pptx", 50_000_000),
    sniff_archive.EPUB: Format("EPUBs", "epub", 50_000_000),
}


def extract(
    body: bytes, *, content_type: str | None, url: str | None = None, name: str | None = None
) -> Document:
    """Read the content of a file or page; what it is, its bytes decide.

    Raises Permanent, with a message for the customer, for what is empty, not readable, damaged
    or beyond a limit.
    """
    mime = find_format(body, content_type=content_type, url=url, name=name)
    reader = cast(Reader, import_module(f"pipelines.knowledge.{FORMATS[mime].module}"))
    charset = _CHARSET.search(content_type or "")
    document = reader.read(Raw(body, charset[1] if charset else None, url, name))
    if not document.blocks:
        raise Permanent(f"{make_label(name)} is empty: it holds no text")
    return document


def find_format(
    body: bytes, *, content_type: str | None, url: str | None = None, name: str | None = None
) -> str:
    """The key of FORMATS to read the bytes with; raises Permanent when there is none."""
    label = make_label(name)
    if not body.strip(b"\0 \t\r\n\f\v"):
        raise Permanent(f"{label} is empty")
    mime = sniff.sniff(body, content_type=content_type, url=url, name=name)
    if len(body) > FORMATS[mime].bytes_max:
        raise Permanent(
            f"{label} is too large: {len(body):,} bytes, "
            f"the limit for {FORMATS[mime].label} is {FORMATS[mime].bytes_max:,}"
        )
    return mime
