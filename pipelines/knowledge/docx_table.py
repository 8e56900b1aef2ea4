"""Word's tables -> rows of cells; tables in cells become text of their cell."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lxml import etree

from pipelines.knowledge.docx_text import iterate_content
from pipelines.knowledge.office_package import read_flag
from pipelines.knowledge.office_xml import find_child, get_attribute, local_name

SPAN_MAX = 200
COLUMNS_MAX = 500
# A longer cell is a column of the page's layout.
CELL_CHARS_MAX = 2_000
# A cell that spans rows is written again in each of them when it is no longer than this.
REPEATED_CELL_CHARS_MAX = 80
_FIRST_ROW_BIT = 0x20

ParagraphReader = Callable[[etree._Element], str]


@dataclass(frozen=True, slots=True)
class Grid:
    rows: list[list[str]]
    header_rows: int

    @property
    def is_layout(self) -> bool:
        """Tell a table that only frames or arranges text."""
        is_long = any(len(cell) > CELL_CHARS_MAX for row in self.rows for cell in row)
        return is_long or max((sum(map(bool, row)) for row in self.rows), default=0) < 2


def read_table(table: etree._Element, read_paragraph: ParagraphReader) -> Grid:
    rows: list[list[str]] = []
    marked = 0
    for row in iterate_rows(table):
        if _is_marked(row) and marked == len(rows):
            marked += 1
        rows.append(_read_row(row, rows[-1] if rows else [], read_paragraph))
    header_rows = marked or int(_has_first_row(table) and len(rows) > 1)
    return Grid(rows, header_rows)


def iterate_rows(table: etree._Element) -> Iterator[etree._Element]:
    """The rows that are shown, also those in content controls."""
    for child in table.iterchildren(etree.Element):
        name = local_name(child)
        if name == "tr" and not _is_gone(child):
            yield child
        elif name in ("sdt", "sdtContent", "ins", "customXml"):
            yield from iterate_rows(child)


def iterate_cells(row: etree._Element) -> Iterator[etree._Element]:
    for child in row.iterchildren(etree.Element):
        name = local_name(child)
        if name == "tc":
            yield child
        elif name in ("sdt", "sdtContent", "ins", "customXml"):
            yield from iterate_cells(child)


def _read_row(row: etree._Element, above: list[str], read_paragraph: ParagraphReader) -> list[str]:
    cells = [""] * min(_read_number(find_child(row, "trPr", "gridBefore")), SPAN_MAX)
    for cell in iterate_cells(row):
        properties = find_child(cell, "tcPr")
        text, span = _read_cell(cell, read_paragraph), 1
        if properties is not None:
            span = max(_read_number(find_child(properties, "gridSpan")), 1)
            merge = find_child(properties, "vMerge")
            if merge is not None and get_attribute(merge, "val") != "restart" and not text:
                text = above[len(cells)] if len(cells) < len(above) else ""
                text = text if len(text) <= REPEATED_CELL_CHARS_MAX else ""
        cells += [text, *[""] * (min(span, SPAN_MAX) - 1)]
        if len(cells) >= COLUMNS_MAX:
            break
    return cells[:COLUMNS_MAX]


def _read_cell(cell: etree._Element, read_paragraph: ParagraphReader) -> str:
    texts = []
    for content in iterate_content(cell):
        if local_name(content) == "p":
            texts.append(read_paragraph(content))
        else:
            rows = read_table(content, read_paragraph).rows
            texts.append("; ".join(", ".join(filter(None, row)) for row in rows if any(row)))
    return " ".join(" ".join(filter(None, texts)).split())


def _read_number(element: etree._Element | None) -> int:
    value = (get_attribute(element, "val") or "") if element is not None else ""
    return min(int(value), SPAN_MAX) if value.isascii() and value.isdecimal() else 0


def _is_marked(row: etree._Element) -> bool:
    return read_flag(find_child(row, "trPr", "tblHeader"))


def _is_gone(row: etree._Element) -> bool:
    properties = find_child(row, "trPr")
    if properties is None:
        return False
    return find_child(properties, "del") is not None or read_flag(find_child(properties, "hidden"))


def _has_first_row(table: etree._Element) -> bool:
    look = find_child(table, "tblPr", "tblLook")
    if look is None:
        return False
    if get_attribute(look, "firstRow") is not None:
        return read_flag(look, attribute="firstRow")
    value = get_attribute(look, "val") or "0"
    try:
        return bool(int(value, 16) & _FIRST_ROW_BIT)
    except ValueError:
        return False
