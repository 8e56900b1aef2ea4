"""PDF -> a document: text in the file's own order, without running heads and page numbers."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pypdfium2
import pypdfium2.raw as pdfium

from pipelines.errors import Permanent
from pipelines.knowledge.blocks import DocumentWriter
from pipelines.knowledge.document import Document
from pipelines.knowledge.language import choose_language
from pipelines.knowledge.pdf_furniture import drop_furniture
from pipelines.knowledge.pdf_layout import Group, Layout
from pipelines.knowledge.pdf_lines import Line, read_lines
from pipelines.knowledge.pdf_table import Table
from pipelines.knowledge.pdf_text import join_lines, match_item, shorten_leaders
from pipelines.knowledge.raw import Raw
from pipelines.knowledge.table import write_rows

PAGES_MAX = 3_000
PDF_CHARS_MAX = 20_000_000
END_REACH_BYTES = 4_096
TITLE_CHARS_MAX = 300

# Titles that a program wrote, not a person.
_NO_TITLE = re.compile(
    r"untitled.*|\(?(?:anonymous|unspecified)\)?|microsoft \w+ - .*|\W*"
    r"|.*\.(?:docx?|pptx?|xlsx?|indd|qxd|tex|dvi|pdf|rtf|odt)",
    re.IGNORECASE,
)


def read(raw: Raw) -> Document:
    """Read a PDF; raises Permanent when it is damaged, locked, too long or holds images alone."""
    with _open(raw.body) as file:
        lines = list(_read_pages(file))
        title = _find_title(file)
        pages = len(file)
    if not lines:
        raise Permanent(
            "the PDF holds no text, only images: it may be a scan, and text in images is not read"
        )
    document = _write(drop_furniture(lines, pages=pages) or lines)
    language = choose_language(document.text, declared=None)
    return replace(document, title=title or _guess_title(document), language=language)


def _open(body: bytes) -> pypdfium2.PdfDocument:
    if not {b"%%EOF", b"startxref"} & _find_end_marks(body):
        raise Permanent("the PDF is cut off: its end is missing")
    try:
        file = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise Permanent("the PDF is encrypted and needs a password to be read") from error
        raise Permanent("the PDF is damaged and cannot be read") from error
    if not len(file):
        raise Permanent("the PDF is damaged: it has no pages")
    if len(file) > PAGES_MAX:
        raise Permanent(f"the PDF has {len(file):,} pages, the limit is {PAGES_MAX:,}")
    return file


def _find_end_marks(body: bytes) -> set[bytes]:
    end = body[-END_REACH_BYTES:]
    return {mark for mark in (b"%%EOF", b"startxref") if mark in end}


def _read_pages(file: pypdfium2.PdfDocument) -> Iterator[Line]:
    """All lines; a page that is damaged is left out, unless all are."""
    chars, failures = 0, 0
    for number in range(len(file)):
        try:
            lines = _read_page(file, number)
        except pypdfium2.PdfiumError:
            failures += 1
            continue
        chars += sum(len(line.text) for line in lines)
        if chars > PDF_CHARS_MAX:
            raise Permanent(f"the PDF is too long: more than {PDF_CHARS_MAX:,} characters (limit)")
        yield from lines
    if failures == len(file):
        raise Permanent("the PDF is damaged: none of its pages can be read")


def _read_page(file: pypdfium2.PdfDocument, number: int) -> list[Line]:
    page = file[number]
    try:
        return read_lines(page, number)
    finally:
        page.close()


def _find_title(file: pypdfium2.PdfDocument) -> str | None:
    try:
        title = " ".join(file.get_metadata_value("Title").replace("\0", "").split())
    except UnicodeDecodeError:
        return None
    return None if _NO_TITLE.fullmatch(title) else title[:TITLE_CHARS_MAX]


def _guess_title(document: Document) -> str | None:
    """The first block, if it is a heading of the highest level."""
    first = next(iter(document.blocks), None)
    return (
        first.heading_path[-1] if first and first.kind == "heading" and first.level == 1 else None
    )


def _write(lines: list[Line]) -> Document:
    writer, layout = DocumentWriter(), Layout(lines)
    items: list[str] = []
    for part in layout.find_parts():
        if isinstance(part, Group) and part.kind == "item":
            items.append(_write_item(part, layout))
            continue
        writer.add("list", "\n".join(items))
        items.clear()
        _write_part(writer, part, layout)
    writer.add("list", "\n".join(items))
    return writer.finish(mime="application/pdf")


def _write_item(group: Group, layout: Layout) -> str:
    text = join_lines([line.text for line in group.lines], layout.compounds)
    marker, rest = match_item(text) or ("- ", text)
    return marker + shorten_leaders(rest)


def _write_part(writer: DocumentWriter, part: Group | Table, layout: Layout) -> None:
    if isinstance(part, Table):
        table = write_rows(part.rows, header_rows=part.header_rows)
        if table:
            writer.add("table", table.text, header_chars=table.header_chars)
    elif part.kind == "code":
        writer.add("code", _write_code(part.lines))
    else:
        text = join_lines([line.text for line in part.lines], layout.compounds)
        if part.kind == "heading":
            writer.add_heading(shorten_leaders(text), level=layout.find_level(part.first))
        else:
            writer.add("paragraph", shorten_leaders(text))


def _write_code(lines: list[Line]) -> str:
    """Indentation is where a line begins, measured in letters."""
    left = min(line.left for line in lines)
    widths = [(line.right - line.left) / len(line.text) for line in lines]
    width = max(widths) or 1.0
    return "\n".join(" " * round((line.left - left) / width) + line.text for line in lines)
