"""Elements that are read whole: code, kept as it is, and tables, written as pipe rows."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from lxml import etree
from lxml.html import HtmlElement

from pipelines.knowledge.html_noise import find_words, is_line_number, is_unseen
from pipelines.knowledge.html_pieces import Piece, Slot, clean_text
from pipelines.knowledge.html_words import LAYOUT_TAGS, NO_WORDS, YES_WORDS
from pipelines.knowledge.table import write_rows

# A longer cell is a column of the page's layout.
CELL_CHARS_MAX = 2_000
SPAN_MAX = 100
COLUMNS_MAX = 200
# A cell that spans rows is written again in each of them when it is no longer than this.
REPEATED_CELL_CHARS_MAX = 80
# A description that says anything, in bytes: three Chinese characters are nine.
ALT_BYTES_MIN = 8
ALT_CHARS_MAX = 500
_FILE_NAME = re.compile(r"^\S+\.\w{3,4}$|^[\w-]+$", re.ASCII)

CELL_ROLES = ("cell", "gridcell", "columnheader", "rowheader")

_KEPT_SPACE = re.compile(r"white-space\s*:\s*(?:pre|pre-wrap|break-spaces)\s*(?:;|$)")

CellReader = Callable[[HtmlElement], list[Piece]]


def read_code(element: HtmlElement) -> list[Piece]:
    """Read a `pre` with its white space; line numbers and buttons are left out."""
    parts = list(_iterate_code(element))
    text = clean_text("".join(part for part, _ in parts)).replace("\r\n", "\n")
    slots = [slot for part, slot in parts if part.strip()]
    if not text.strip():
        return []
    return [Piece("code", text.strip("\n").rstrip(), element, slots=slots[:1])]


def is_code(element: HtmlElement) -> bool:
    """Tell whether the element is a `pre`, or any other that is styled as code."""
    style = element.get("style", "")
    return element.tag == "pre" or bool(_KEPT_SPACE.search(style) and "mono" in style)


def _iterate_code(element: HtmlElement) -> Iterator[tuple[str, Slot]]:
    events = etree.iterwalk(element, events=("start", "end"))
    for event, child in events:
        if event == "end":
            if child is not element and child.tail:
                yield child.tail, (child, "tail")
        elif child is not element and _is_no_code(child):
            events.skip_subtree()
        else:
            if _starts_line(child):
                yield "\n", (child, "text")
            yield child.text or "", (child, "text")


def _is_no_code(child: HtmlElement) -> bool:
    return is_unseen(child) or child.tag == "button" or is_line_number(child)


def _starts_line(child: HtmlElement) -> bool:
    """A break does, and one of several `code` or `div` elements that stand line by line."""
    previous = child.getprevious()
    if child.tag not in ("code", "div") or previous is None:
        return bool(child.tag == "br")
    return bool(previous.tag == child.tag and not previous.tail)


def read_formula(math: HtmlElement) -> str:
    """The TeX that a formula was written in, else its alternative text; else ""."""
    notes = (note for note in math.iter("annotation") if "tex" in note.get("encoding", ""))
    note = next((note.text for note in notes if note.text), None)
    return " ".join((note or math.get("alttext", "")).split())


def read_picture(picture: HtmlElement) -> list[Piece]:
    """The description of a figure's picture as its caption, where the figure has no other."""
    figure = next(islice(picture.iterancestors("figure"), 1), None)
    text = " ".join(clean_text(picture.get("alt", "")).split())
    if figure is None or len(text.encode()) < ALT_BYTES_MIN or _FILE_NAME.search(text):
        return []
    is_captioned = next(figure.iter("figcaption"), None) is not None
    return [] if is_captioned else [Piece("caption", text[:ALT_CHARS_MAX], figure)]


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    columns: int
    rows: int


def read_table(table: HtmlElement, read_cell: CellReader) -> list[Piece]:
    """Read a table's captions and rows; nothing when it only arranges the page."""
    if _is_layout(table):
        return []
    piece = Piece("table", holder=table)
    rows = [row for row in _iterate_rows(table) if not is_unseen(row)]
    lines = [[_read_cell(cell, read_cell, piece) for cell in _find_cells(row)] for row in rows]
    if any(len(cell.text) > CELL_CHARS_MAX for line in lines for cell in line):
        return []
    grid = _spread(lines)
    if max((sum(map(bool, row)) for row in grid), default=0) < 2:
        return []
    heads = next((n for n, row in enumerate(rows) if not _is_header(row)), len(rows))
    written = write_rows(grid, header_rows=heads)
    if written is None:
        return []
    piece.text, piece.header_chars = written.text, written.header_chars
    return [*_read_captions(table, read_cell), piece]


def is_table(element: HtmlElement) -> bool:
    """Tell whether the element is a table, by its tag or, made of other elements, by its role."""
    return element.tag == "table" or element.get("role") in ("table", "grid", "treegrid")


def _iterate_rows(table: HtmlElement) -> Iterator[HtmlElement]:
    if table.tag == "table":
        yield from table.iter("tr")
        return
    for element in table.iterdescendants():
        if element.get("role") == "row":
            yield element


def _is_layout(table: HtmlElement) -> bool:
    if table.get("role") in ("presentation", "none"):
        return True
    if next(table.iterdescendants(*LAYOUT_TAGS), None) is not None:
        return True
    if table.tag != "table" and any(map(is_table, table.iterdescendants())):
        return True
    code = next(table.iterdescendants("pre"), None)
    if code is None:
        return False
    return sum(1 for _ in table.iter("tr")) < 2 or _holds_line_numbers(table)


def _holds_line_numbers(table: HtmlElement) -> bool:
    return any(is_line_number(cell) for cell in table.iter("td"))


def _find_cells(row: HtmlElement) -> list[HtmlElement]:
    if row.tag == "tr":
        return [cell for cell in row.iterchildren("td", "th") if not is_unseen(cell)]
    cells = (cell for cell in row.iterdescendants() if cell.get("role") in CELL_ROLES)
    return [cell for cell in cells if not is_unseen(cell)]


def _is_header(row: HtmlElement) -> bool:
    cells = _find_cells(row)
    parent = row.getparent()
    in_head = parent is not None and parent.tag == "thead"
    return bool(cells) and (in_head or all(_is_head(cell) for cell in cells))


def _is_head(cell: HtmlElement) -> bool:
    return cell.tag == "th" or bool(cell.get("role") == "columnheader")


def _read_cell(cell: HtmlElement, read_cell: CellReader, table: Piece) -> Cell:
    pieces = read_cell(cell)
    between = "; " if any(piece.kind == "item" for piece in pieces) else " "
    text = between.join(piece.text for piece in pieces if piece.text)
    for piece in pieces:
        table.links_chars += piece.links_chars
        table.slots += piece.slots[:1]
    text = " ".join(text.split()) or _read_icon(cell)
    return Cell(text, _parse_span(cell, "colspan"), _parse_span(cell, "rowspan"))


def _parse_span(cell: HtmlElement, name: str) -> int:
    value = cell.get(name, "1")
    return min(max(int(value), 1), SPAN_MAX) if value.isascii() and value.isdecimal() else 1


def _read_icon(cell: HtmlElement) -> str:
    """What a cell without text says by a picture: price tables tick their features."""
    for element in cell.iter(etree.Element):
        label = element.get("alt") or element.get("aria-label") or element.get("title") or ""
        if not label and (element.tag == "title" or "sr-only" in element.get("class", "")):
            label = element.text or ""
        if label.strip():
            return " ".join(label.split())
        words = find_words(element.get("class", ""))
        if not words.isdisjoint(YES_WORDS):
            return "✓"
        if not words.isdisjoint(NO_WORDS):
            return "✗"
    return ""


def _spread(lines: list[list[Cell]]) -> list[list[str]]:
    """Give every cell its column: spans push the cells beside and below them."""
    hanging: dict[int, tuple[str, int]] = {}
    return [_spread_line(line, hanging) for line in lines]


def _spread_line(line: list[Cell], hanging: dict[int, tuple[str, int]]) -> list[str]:
    row: list[str] = []
    for cell in line:
        _take_hanging(row, hanging)
        for offset in range(min(cell.columns, COLUMNS_MAX - len(row))):
            text = "" if offset else cell.text
            if cell.rows > 1:
                below = text if len(text) <= REPEATED_CELL_CHARS_MAX else ""
                hanging[len(row)] = (below, cell.rows - 1)
            row.append(text)
    _take_hanging(row, hanging)
    return row


def _take_hanging(row: list[str], hanging: dict[int, tuple[str, int]]) -> None:
    while (column := len(row)) in hanging:
        text, rows = hanging.pop(column)
        row.append(text)
        if rows > 1:
            hanging[column] = (text, rows - 1)


def _read_captions(table: HtmlElement, read_cell: CellReader) -> list[Piece]:
    captions = []
    for caption in table.iter("caption"):
        pieces = read_cell(caption)
        text = " ".join(piece.text for piece in pieces)
        slots = [slot for piece in pieces for slot in piece.slots]
        if text:
            captions.append(Piece("caption", text, caption, slots=slots))
    return captions
