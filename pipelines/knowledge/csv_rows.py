"""CSV and TSV -> a document of one table; delimiter, quoting and charset are told from the text."""

import csv
from collections.abc import Iterator
from dataclasses import replace

from pipelines.errors import Permanent
from pipelines.knowledge import plain
from pipelines.knowledge.blocks import DocumentWriter
from pipelines.knowledge.charset import decode_text
from pipelines.knowledge.csv_dialect import Dialect, find_dialect
from pipelines.knowledge.document import Document
from pipelines.knowledge.language import choose_language
from pipelines.knowledge.office_grid import Cells, write_grid
from pipelines.knowledge.raw import Raw

LABEL = "the table"
MIME = "text/csv"
CELLS_MAX = 1_500_000
COLUMNS_MAX = 16_384
FIELD_CHARS_MAX = 1_000_000
# A quotation mark that nothing closes swallows all lines below it.
QUOTED_LINES_MAX = 200


def read(raw: Raw) -> Document:
    """Read a table; raises Permanent when it holds more than CELLS_MAX filled cells."""
    text = decode_text(raw.body, raw.charset).replace("\r\n", "\n").replace("\r", "\n")
    dialect = find_dialect(text)
    if dialect is None:
        return plain.read(raw)
    text = text[dialect.header_chars :]
    try:
        rows = list(_read_rows(text, dialect, is_quoted=True))
    except _StrayQuoteError:
        rows = list(_read_rows(text, dialect, is_quoted=False))
    writer = DocumentWriter()
    write_grid(writer, rows, label=LABEL)
    document = writer.finish(mime=MIME)
    return replace(document, language=choose_language(document.text, declared=None))


class _StrayQuoteError(Exception):
    """A field that goes on for too many lines."""


def _read_rows(text: str, dialect: Dialect, *, is_quoted: bool) -> Iterator[tuple[int, Cells]]:
    csv.field_size_limit(FIELD_CHARS_MAX)
    reader = csv.reader(
        _iterate_lines(text),
        delimiter=dialect.delimiter,
        quoting=csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE,
        skipinitialspace=True,
    )
    count, number, line = 0, 0, 0
    try:
        for row in reader:
            if reader.line_num - line > QUOTED_LINES_MAX and is_quoted:
                raise _StrayQuoteError
            line, number = reader.line_num, number + 1
            cells = _clean_row(row)
            count += len(cells)
            _check(row, count)
            yield number, cells
    except csv.Error as error:
        if is_quoted:
            raise _StrayQuoteError from error
        raise Permanent(
            f"{LABEL} has a field of more than {FIELD_CHARS_MAX:,} characters (the limit)"
        ) from error


def _iterate_lines(text: str) -> Iterator[str]:
    """The lines one by one: StringIO would hold them all, at four bytes a letter."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _clean_row(row: list[str]) -> Cells:
    texts = (" ".join(cell.split()) for cell in row)
    return {column: text for column, text in enumerate(texts, start=1) if text}


def _check(row: list[str], count: int) -> None:
    if len(row) > COLUMNS_MAX:
        raise Permanent(f"{LABEL} has {len(row):,} columns, the limit is {COLUMNS_MAX:,}")
    if count > CELLS_MAX:
        raise Permanent(
            f"{LABEL} is too large: it has more than {CELLS_MAX:,} filled cells (the limit)"
        )
