"""The filled cells of a sheet -> tables and the lines around them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipelines.errors import Permanent
from pipelines.knowledge.blocks import DocumentWriter
from pipelines.knowledge.table import write_rows

# Rows times used columns of one table: few cells far apart make a large grid.
GRID_CELLS_MAX = 4_000_000
HEADER_CHARS_MAX = 120
# Lines above a table that are its title or say where it comes from.
TITLE_ROWS_MAX = 6

_VALUE = re.compile(
    r"[\W_]{0,4}[\d٠-٩۰-۹][\d٠-٩۰-۹\s.,:/'’·_+-]*(?:%|[A-Za-z]{0,4}|\W{0,3})|true|false|\S+@\S+\.\S+"
    r"|https?://\S+",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d(?:[-/]\d{1,2})?|Q[1-4](?: \d{4})?")

Cells = dict[int, str]


@dataclass(slots=True)
class Region:
    """Rows without an empty row between them; `header_rows` is 0 or 1."""

    rows: list[Cells] = field(default_factory=list)

    @property
    def columns(self) -> list[int]:
        return sorted({column for row in self.rows for column in row})


def write_grid(writer: DocumentWriter, rows: Iterable[tuple[int, Cells]], *, label: str) -> None:
    """Write numbered rows, by column; rows and cells without text are not there."""
    table: Region | None = None
    for region in _find_regions(rows):
        lines, notes = _take_lines(region, first=True), _take_lines(region, first=False)
        if table is not None and not lines and _continues(table, region):
            table.rows += region.rows
        else:
            _write_table(writer, table, label)
            _write_lines(writer, lines)
            table = region
        if notes:
            _write_table(writer, table, label)
            _write_lines(writer, notes)
            table = None
    _write_table(writer, table, label)


def _find_regions(rows: Iterable[tuple[int, Cells]]) -> Iterator[Region]:
    region, last = Region(), 0
    for number, cells in rows:
        if not cells:
            continue
        if region.rows and number > last + 1:
            yield region
            region = Region()
        region.rows.append(cells)
        last = number
    if region.rows:
        yield region


def _take_lines(region: Region, *, first: bool) -> list[Cells]:
    """Take the lines of one cell off a table's top or bottom."""
    if len(region.columns) < 2:
        return []
    taken: list[Cells] = []
    while len(region.rows) > 1 and len(taken) < TITLE_ROWS_MAX:
        row = region.rows[0 if first else -1]
        if len(row) > 1 or (not first and _is_value(next(iter(row.values())))):
            break
        taken.append(region.rows.pop(0 if first else -1))
    return taken if first else taken[::-1]


def _continues(table: Region, region: Region) -> bool:
    """Tell whether rows behind an empty one go on with the table above it."""
    first = region.rows[0]
    return len(first) > 1 and not is_header(first) and {*region.columns} <= {*table.columns}


def _write_lines(writer: DocumentWriter, lines: list[Cells]) -> None:
    writer.add("paragraph", "\n".join(" ".join(row.values()) for row in lines))


def _write_table(writer: DocumentWriter, region: Region | None, label: str) -> None:
    if region is None:
        return
    columns = region.columns
    if len(columns) < 2:
        _write_lines(writer, region.rows)
        return
    if len(columns) * len(region.rows) > GRID_CELLS_MAX:
        raise Permanent(
            f"{label} is too large: a table of {len(region.rows):,} rows and {len(columns):,} "
            f"columns is more than {GRID_CELLS_MAX:,} cells (the limit)"
        )
    header_rows = int(len(region.rows) > 1 and is_header(region.rows[0]))
    grid = [[row.get(column, "") for column in columns] for row in region.rows]
    written = write_rows(grid, header_rows=header_rows)
    if written:
        writer.add("table", written.text, header_chars=written.header_chars)


def is_header(row: Cells) -> bool:
    """Tell names of columns from values: short, different from each other, no figures."""
    texts = list(row.values())
    if len({text.casefold() for text in texts}) < len(texts):
        return False
    named = [text for text in texts if not _is_value(text)]
    others = [text for text in texts if _is_value(text)]
    are_short = all(len(text) <= HEADER_CHARS_MAX for text in texts)
    return bool(named) and are_short and all(map(_YEAR.fullmatch, others))


def _is_value(text: str) -> bool:
    return _VALUE.fullmatch(text[:HEADER_CHARS_MAX]) is not None
