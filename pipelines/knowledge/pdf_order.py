"""The reading order of a page whose file draws parts of it late, as browsers draw boxes."""

from itertools import pairwise

from pipelines.knowledge.pdf_lines import Line

# Lines of one column overlap by this share of the shorter one.
OVERLAP_MIN = 0.5
SLACK = 0.3


def restore_order(lines: list[Line]) -> list[Line]:
    """Put lines that the file draws out of turn where they stand on the page.

    Going up to the right begins a column or a cell, and is in order. Going up in the same column
    is not: from there on lines are set in by their height.
    """
    turn = next((n for n, pair in enumerate(pairwise(lines), start=1) if _goes_back(*pair)), None)
    if turn is None:
        return lines
    ordered = lines[:turn]
    for line in lines[turn:]:
        ordered.insert(_find_place(ordered, line), line)
    return ordered


def _goes_back(above: Line, line: Line) -> bool:
    return line.bottom > above.top - SLACK * above.size and _share_column(above, line)


def _find_place(ordered: list[Line], line: Line) -> int:
    """Behind the last line of its column that stands above it, or beside it on the left."""
    for index in range(len(ordered), 0, -1):
        other = ordered[index - 1]
        is_beside = abs(other.bottom - line.bottom) < SLACK * line.size and other.left < line.left
        if is_beside or (other.bottom > line.bottom and _share_column(other, line)):
            return index
    return 0


def _share_column(one: Line, other: Line) -> bool:
    overlap = min(one.right, other.right) - max(one.left, other.left)
    return overlap > OVERLAP_MIN * min(one.right - one.left, other.right - other.left)
