"""Rows of cells -> Markdown pipe rows, the one form tables have in a document."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrittenTable:
    """`header_chars` counts the header rows and the line under them, 0 without a header."""

    text: str
    header_chars: int


def write_rows(rows: Sequence[Sequence[str]], *, header_rows: int = 0) -> WrittenTable | None:
    """Write the rows that hold text, without the columns that hold none; None if nothing is left.

    A table whose every row is a header is written without one.
    """
    heads = sum(1 for row in rows[:header_rows] if any(row))
    full = [row for row in rows if any(row)]
    width = max((len(row) for row in full), default=0)
    columns = [
        column for column in range(width) if any(column < len(row) and row[column] for row in full)
    ]
    lines = [_write_row([row[c] if c < len(row) else "" for c in columns]) for row in full]
    if not lines:
        return None
    if not 0 < heads < len(lines):
        return WrittenTable("\n".join(lines), 0)
    header = "\n".join([*lines[:heads], _write_row(["---"] * len(columns))])
    return WrittenTable("\n".join([header, *lines[heads:]]), len(header))


def _write_row(cells: Sequence[str]) -> str:
    written = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(written)} |"
