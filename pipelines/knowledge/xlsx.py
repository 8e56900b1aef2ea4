"""XLSX -> a document: each visible sheet a section, its cells as tables.

Read from the XML rather than through calamine, which gives 0.15 for a cell that shows 15 %, and
lays out a whole grid for two cells that stand far apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lxml import etree

from pipelines.errors import Permanent
from pipelines.knowledge.blocks import DocumentWriter
from pipelines.knowledge.document import Document
from pipelines.knowledge.language import choose_language
from pipelines.knowledge.office_grid import Cells, write_grid
from pipelines.knowledge.office_package import Package, check_chars
from pipelines.knowledge.office_xml import find_child, iterate_blocks, local_name
from pipelines.knowledge.raw import Raw
from pipelines.knowledge.xlsx_cells import CellReader, find_column

LABEL = "the Excel file"
MIME = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SHEETS_MAX = 1_000
CELLS_MAX = 1_500_000
ROWS_MAX = 1_048_576
# A cell that spans rows is written again in each of them when it is no longer than this.
REPEATED_CELL_CHARS_MAX = 80
REPEATED_CELLS_MAX = 200_000


def read(raw: Raw) -> Document:
    """Read an Excel file; raises Permanent when it is damaged, locked or too large."""
    package = Package(raw.body, label=LABEL)
    main = package.find_main()
    workbook = package.parse(main)
    settings = find_child(workbook, "workbookPr")
    is_1904 = settings is not None and settings.get("date1904") in ("1", "true", "on")
    writer = DocumentWriter()
    sheets = _Sheets(package, CellReader(package, main, is_1904=is_1904))
    for name, part in _find_sheets(package, main, workbook):
        rows = sheets.read(part)
        if rows:
            writer.add_heading(name, level=1)
            write_grid(writer, rows, label=LABEL)
    document = writer.finish(mime=MIME)
    language = choose_language(document.text, declared=None)
    return replace(document, title=package.find_title(), language=language)


def _find_sheets(
    package: Package, main: str, workbook: etree._Element
) -> Iterator[tuple[str, str]]:
    """Names and parts of the sheets that are shown, in their order."""
    relations = package.find_relations(main)
    sheets = list(workbook.iterfind("{*}sheets/{*}sheet"))
    if len(sheets) > SHEETS_MAX:
        raise Permanent(f"{LABEL} has {len(sheets):,} sheets, the limit is {SHEETS_MAX:,}")
    for sheet in sheets:
        relation = relations.get(_find_relation_id(sheet))
        is_shown = (sheet.get("state") or "visible") == "visible"
        if is_shown and relation and relation.kind == "worksheet":
            yield sheet.get("name") or "", relation.part


def _find_relation_id(sheet: etree._Element) -> str:
    ids = (value for key, value in sheet.attrib.items() if key.endswith("}id"))
    return str(next(ids, ""))


@dataclass(frozen=True, slots=True)
class Merge:
    column: int
    first_row: int
    last_row: int


class _Sheets:
    """Reads sheets; counts the cells and characters of all of them."""

    def __init__(self, package: Package, cells: CellReader) -> None:
        self._package = package
        self._cells = cells
        self._count = 0
        self._chars = 0

    def read(self, part: str) -> list[tuple[int, Cells]]:
        rows: list[tuple[int, Cells]] = []
        merges: list[Merge] = []
        number = 0
        for element in iterate_blocks(
            self._package.iterate(part),
            tags=("row", "mergeCell"),
            within=("sheetData", "mergeCells"),
            label=LABEL,
        ):
            if local_name(element) == "mergeCell":
                _add_merge(merges, element)
                continue
            number = max(_find_row(element.get("r")) or number + 1, number + 1)
            cells = self._read_row(element)
            if cells:
                rows.append((number, cells))
        _repeat_merged(rows, merges)
        return rows

    def _read_row(self, row: etree._Element) -> Cells:
        cells: Cells = {}
        column = 0
        for cell in row:
            column = find_column(cell.get("r")) or column + 1
            text = self._cells.read(cell)
            if text:
                cells[column] = text
                self._chars += len(text)
        self._count += len(cells)
        if self._count > CELLS_MAX:
            raise Permanent(
                f"{LABEL} is too large: it has more than {CELLS_MAX:,} filled cells (the limit)"
            )
        check_chars(self._chars, LABEL)
        return cells


def _find_row(reference: str | None) -> int | None:
    digits = (reference or "").lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ$")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 7:
        return None
    return min(int(digits), ROWS_MAX)


def _add_merge(merges: list[Merge], element: etree._Element) -> None:
    first, _, last = (element.get("ref") or "").partition(":")
    column, top, bottom = find_column(first), _find_row(first), _find_row(last)
    if column and top and bottom and bottom > top:
        merges.append(Merge(column, top, bottom))


def _repeat_merged(rows: list[tuple[int, Cells]], merges: list[Merge]) -> None:
    """Say a short text in each row that its cell spans: rows are found one by one."""
    by_number = dict(rows)
    left = REPEATED_CELLS_MAX
    for merge in merges:
        left -= merge.last_row - merge.first_row
        if left < 0:
            return
        text = by_number.get(merge.first_row, {}).get(merge.column, "")
        if not text or len(text) > REPEATED_CELL_CHARS_MAX:
            continue
        for number in range(merge.first_row + 1, merge.last_row + 1):
            cells = by_number.get(number)
            if cells is not None:
                cells.setdefault(merge.column, text)
