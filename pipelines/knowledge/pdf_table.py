"""Lines that stand in rows and columns -> tables."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.knowledge.pdf_lines import Line, Segment
from pipelines.knowledge.pdf_text import has_leader, is_marker, join_lines

# Positions on a page that differ by less are the same, in letter heights.
SLACK = 0.4
# The next line of a cell stands at most so far below, in letter heights.
LEADING_MAX = 1.7
CELL_LINES_MAX = 8
CELL_CHARS_MEAN_MAX = 120
ROWS_MIN = 3
WIDE_ROWS_MIN = 2
WIDE_COLUMNS_MIN = 3


@dataclass(slots=True)
class Cell:
    texts: list[str]
    left: float
    right: float
    top: float
    bottom: float
    size: float

    def add(self, other: "Cell") -> None:
        self.texts += other.texts
        self.left, self.right = min(self.left, other.left), max(self.right, other.right)
        self.bottom = other.bottom


@dataclass(slots=True)
class Row:
    """Cells side by side; `end` is the index of the line behind the row."""

    cells: list[Cell]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Table:
    """The lines [start, end) as rows of cells."""

    start: int
    end: int
    rows: list[list[str]]
    header_rows: int = 0


def find_tables(lines: list[Line]) -> list[Table]:
    """Find the tables among a page's lines."""
    tables: list[Table] = []
    run: list[Row] = []
    for row in _find_rows(lines):
        if run and not _continues(run, row):
            _close(run, lines, tables)
            run = []
        if run or len(row.cells) > 1:
            run.append(row)
    _close(run, lines, tables)
    return tables


def _find_rows(lines: list[Line]) -> Iterator[Row]:
    """Group the lines into rows, whether a file draws its cells line by line or one by one."""
    row: Row | None = None
    above: list[Row] = []
    for index, line in enumerate(lines):
        for cell in _split(line):
            if row is None or not _take(row, cell):
                above += [row] if row else []
                row = _take_column(above, cell) or Row([cell], index, index + 1)
                yield from _release(above, row)
            row.end = index + 1
    yield from [*above, *([row] if row else [])]


def _take_column(above: list[Row], cell: Cell) -> Row | None:
    """Make the lines above, from the one that the cell stands beside, the row's first cell."""
    for start in range(len(above) - 1, max(-1, len(above) - 1 - CELL_LINES_MAX), -1):
        if not _is_stack(above[start:], cell):
            return None
        if abs(above[start].cells[0].top - cell.top) < SLACK * cell.size:
            first = above[start]
            for below in above[start + 1 :]:
                first.cells[0].add(below.cells[0])
            first.cells.append(cell)
            del above[start:]
            return first
    return None


def _is_stack(rows: list[Row], cell: Cell) -> bool:
    """Tell whether the first row is one line, left of the cell and close above the next."""
    if len(rows[0].cells) > 1 or rows[0].cells[0].right > cell.left:
        return False
    return len(rows) == 1 or _is_below(rows[0].cells[0], rows[1].cells[0])


def _is_below(above: Cell, cell: Cell) -> bool:
    is_near = 0 < above.bottom - cell.bottom < LEADING_MAX * cell.size
    return is_near and abs(cell.left - above.left) < SLACK * cell.size


def _release(above: list[Row], row: Row) -> Iterator[Row]:
    """Hand on the rows that can no longer become part of another."""
    keep = CELL_LINES_MAX if len(row.cells) == 1 else 0
    while len(above) > keep:
        yield above.pop(0)


def _split(line: Line) -> list[Cell]:
    segments = line.segments
    if not segments or is_marker(segments[0].text) or has_leader(line.text):
        segments = [Segment(line.text, line.left, line.right)]
    return [
        Cell([part.text], part.left, part.right, line.top, line.bottom, line.size)
        for part in segments
    ]


def _take(row: Row, cell: Cell) -> bool:
    """Add a cell that stands beside the row's last one, or a line that continues it."""
    last = row.cells[-1]
    slack = SLACK * cell.size
    if cell.left > last.right and abs(cell.top - row.cells[0].top) < slack:
        row.cells.append(cell)
        return True
    is_room = len(row.cells) > 1 and len(last.texts) < CELL_LINES_MAX
    if is_room and _is_below(last, cell):
        last.add(cell)
        return True
    return False


def _continues(run: list[Row], row: Row) -> bool:
    """Tell whether a row belongs to the table: it fits its columns and is near."""
    above = run[-1]
    size = row.cells[0].size
    gap = min(cell.bottom for cell in above.cells) - row.cells[0].top
    if not -SLACK * size < gap < LEADING_MAX * size:
        return False
    columns = _find_columns(run)
    places = [_find_column(columns, cell) for cell in row.cells]
    if len(row.cells) == 1:
        return places[0] is not None and places[0] > 0
    return all(place is not None for place in places) or len(_find_columns([*run, row])) > 1


def _find_columns(run: list[Row]) -> list[tuple[float, float]]:
    """The columns: where the cells' widths, laid over each other, leave gaps."""
    spans = sorted((cell.left, cell.right) for row in run for cell in row.cells)
    columns: list[tuple[float, float]] = []
    for left, right in spans:
        if columns and left < columns[-1][1]:
            columns[-1] = (columns[-1][0], max(columns[-1][1], right))
        else:
            columns.append((left, right))
    return columns


def _find_column(columns: list[tuple[float, float]], cell: Cell) -> int | None:
    hits = [n for n, (left, right) in enumerate(columns) if cell.left < right and cell.right > left]
    return hits[0] if len(hits) == 1 else None


def _close(run: list[Row], lines: list[Line], tables: list[Table]) -> None:
    """Keep a run of rows that is a table."""
    columns = _find_columns(run)
    full = sum(1 for row in run if len(row.cells) > 1)
    rows_min = WIDE_ROWS_MIN if len(columns) >= WIDE_COLUMNS_MIN else ROWS_MIN
    cells = [cell for row in run for cell in row.cells]
    if len(columns) < 2 or full < rows_min or 2 * full < len(run):
        return
    if sum(len(text) for cell in cells for text in cell.texts) > CELL_CHARS_MEAN_MAX * len(cells):
        return
    rows = list(_write_rows(run, columns))
    header_rows = int(all(line.is_bold for line in lines[run[0].start : run[0].end]))
    tables.append(Table(run[0].start, run[-1].end, rows, header_rows))


def _write_rows(run: list[Row], columns: list[tuple[float, float]]) -> Iterator[list[str]]:
    rows: list[list[list[str]]] = []
    for row in run:
        if len(row.cells) > 1 or not rows:
            rows.append([[] for _ in columns])
        for cell in row.cells:
            rows[-1][_find_column(columns, cell) or 0] += cell.texts
    for cells in rows:
        yield [join_lines(texts) for texts in cells]
