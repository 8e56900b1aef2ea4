"""Running heads, running feet and page numbers: lines at a page's edge that come again."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import median

from pipelines.knowledge.pdf_lines import Line

EDGE_LINES = 2
# Lines whose height on the page differs by no more stand at the same place, in points.
PLACE_STEP_PT = 4
PAGES_MIN = 3
TITLE_SIZE_MIN = 1.15

_DIGITS = re.compile(r"\d+|\b[ivxlc]+\b", re.IGNORECASE)
_PAGE_NUMBER = re.compile(
    r"(?:page|seite|p\.|página|pagina|стр\.)?\W*(?:\d{1,4}|[ivxlc]{1,7})\W*"
    r"(?:\s*(?:of|/|von|de|из)\s*\d{1,4})?",
    re.IGNORECASE,
)


def drop_furniture(lines: list[Line], *, pages: int) -> list[Line]:
    """Leave out what the pages' edges repeat; without several pages nothing can repeat."""
    if pages < 2:
        return lines
    edges = _find_edges(lines)
    size = median(line.size for line in lines) if lines else 0.0
    counts = Counter(_name(line, size) for line in edges)
    pages_min = min(PAGES_MIN, pages)
    dropped = {
        id(line)
        for line in edges
        if counts[_name(line, size)] >= pages_min or _PAGE_NUMBER.fullmatch(line.text)
    }
    return [line for line in lines if id(line) not in dropped]


def _find_edges(lines: Iterable[Line]) -> list[Line]:
    """The highest and the lowest lines of every page."""
    by_page: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        by_page[line.page].append(line)
    edges: dict[int, Line] = {}
    for page in by_page.values():
        ordered = sorted(page, key=lambda line: line.bottom)
        heights = sorted({round(line.bottom) for line in page})
        low, high = heights[:EDGE_LINES][-1], heights[-EDGE_LINES:][0]
        for line in ordered:
            if round(line.bottom) <= low or round(line.bottom) >= high:
                edges[id(line)] = line
    return list(edges.values())


def _name(line: Line, size: float) -> tuple[str, int]:
    """What makes two lines of different pages the same: place, and text but for its numbers.

    "Chapter 7" in letters larger than the page's may well be a title.
    """
    text = line.text if line.size > TITLE_SIZE_MIN * size else _DIGITS.sub("#", line.text)
    return text.lower(), round(line.bottom / PLACE_STEP_PT)
