"""The lines of a PDF -> its parts: headings by size, paragraphs by spacing, items by marker."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby, pairwise
from statistics import median
from typing import Literal

from pipelines.knowledge.blocks import HEADING_CHARS_MAX, HEADING_LEVEL_MAX
from pipelines.knowledge.pdf_lines import Line
from pipelines.knowledge.pdf_order import restore_order
from pipelines.knowledge.pdf_table import Table, find_tables
from pipelines.knowledge.pdf_text import (
    ends_sentence,
    find_compounds,
    goes_on,
    has_leader,
    match_item,
)

# A line is a heading when its letters are so much taller than the body's.
HEADING_SIZE_MIN = 1.12
HEADING_LINES_MAX = 4
BOLD_HEADING_CHARS_MAX = 100
# A distance between lines that is larger than the usual one by this factor parts paragraphs.
PARAGRAPH_GAP = 1.25
CODE_GAP = 3.2
# In letter heights: how far a paragraph's first line is set in, and what counts as the same place.
INDENT_MIN = 0.8
SLACK = 0.3
# A line that ends so far before the longest one ends its paragraph, if it ends a sentence.
SHORT_LINE = 0.9
SAME_SIZE = 0.12
SIZE_STEP_PT = 0.5
USUAL_LEADING = 1.2

GroupKind = Literal["heading", "paragraph", "item", "code"]


@dataclass(slots=True)
class Group:
    """Lines that make one heading, paragraph, item or piece of code."""

    kind: GroupKind
    lines: list[Line] = field(default_factory=list)

    @property
    def first(self) -> Line:
        return self.lines[0]

    @property
    def last(self) -> Line:
        return self.lines[-1]


class Layout:
    """What is usual in a document, and what its lines are by that measure."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines
        self._is_mono = 2 * sum(line.is_mono for line in lines) > len(lines)
        self._is_bold = 2 * sum(line.is_bold for line in lines) > len(lines)

    @cached_property
    def compounds(self) -> set[str]:
        return find_compounds(" ".join(line.text for line in self._lines))

    @cached_property
    def _body_size(self) -> float:
        """The size that most characters have."""
        sizes: Counter[float] = Counter()
        for line in self._lines:
            sizes[_round(line.size)] += len(line.text)
        return sizes.most_common(1)[0][0] if sizes else 0.0

    @cached_property
    def _leading(self) -> float:
        """The usual distance between two lines of the body, in letter heights."""
        pairs = (
            (above.bottom - below.bottom) / below.size
            for above, below in pairwise(self._lines)
            if above.page == below.page and below.size and _is_alike(above, below)
        )
        return median([gap for gap in pairs if 0.8 < gap < 3.0] or [USUAL_LEADING])

    @cached_property
    def _levels(self) -> dict[float, int]:
        """Levels by size, the largest first."""
        sizes = {_round(line.size) for line in self._lines if self._is_large(line)}
        return {size: rank for rank, size in enumerate(sorted(sizes, reverse=True), start=1)}

    def find_level(self, line: Line) -> int:
        """Bold lines of the body's size stand below all that are larger."""
        level = self._levels.get(_round(line.size), len(self._levels) + 1)
        return min(level, HEADING_LEVEL_MAX)

    def find_parts(self) -> Iterator[Group | Table]:
        """The document's parts in order; a paragraph may go on over a page's end."""
        open_group: Group | None = None
        for part in self._find_page_parts():
            if isinstance(part, Group) and open_group and _goes_on(open_group, part):
                open_group.lines += part.lines
                continue
            if open_group:
                yield open_group
            open_group = part if isinstance(part, Group) else None
            if isinstance(part, Table):
                yield part
        if open_group:
            yield open_group

    def _find_page_parts(self) -> Iterator[Group | Table]:
        for _, page in groupby(self._lines, key=lambda line: line.page):
            lines, start = restore_order(list(page)), 0
            for table in find_tables(lines):
                yield from self._group(lines[start : table.start])
                yield table
                start = table.end
            yield from self._group(lines[start:])

    def _group(self, lines: list[Line]) -> Iterator[Group]:
        right = max((line.right for line in lines), default=0.0)
        group: Group | None = None
        for line in lines:
            kind = self._classify(line)
            if group and self._continues(group, line, kind, right=right):
                group.lines.append(line)
                continue
            if group:
                yield group
            group = Group(kind, [line])
        if group:
            yield group

    def _classify(self, line: Line) -> GroupKind:
        if line.is_mono and not self._is_mono:
            return "code"
        if self._is_heading(line):
            return "heading"
        return "item" if match_item(line.text) else "paragraph"

    def _is_heading(self, line: Line) -> bool:
        if self._is_large(line):
            return len(line.text) <= HEADING_CHARS_MAX
        is_short = len(line.text) <= BOLD_HEADING_CHARS_MAX and not line.text.endswith((".", ","))
        is_bold = line.is_bold and not self._is_bold and line.size >= 0.95 * self._body_size
        is_other = not _holds_word(line) or match_item(line.text) or has_leader(line.text)
        return is_bold and is_short and not is_other

    def _is_large(self, line: Line) -> bool:
        is_large = line.size >= HEADING_SIZE_MIN * self._body_size and not has_leader(line.text)
        return is_large and _holds_word(line) and not line.is_mono

    def _continues(self, group: Group, line: Line, kind: GroupKind, *, right: float) -> bool:
        above = group.last
        gap = (above.bottom - line.bottom) / max(line.size, 1.0)
        if abs(gap) < SLACK and line.left >= above.right and kind != "code":
            return group.kind != "heading" or kind == "heading"
        is_near = 0 < gap <= self._leading * PARAGRAPH_GAP
        if group.kind == "code" or kind == "code":
            return group.kind == kind and 0 < gap <= CODE_GAP
        if group.kind == "heading" or kind == "heading":
            is_one = group.kind == kind and len(group.lines) < HEADING_LINES_MAX
            return is_one and is_near and _is_alike(above, line) and above.is_bold == line.is_bold
        if kind == "item" or not _is_alike(above, line):
            return False
        if gap <= 0:
            return not ends_sentence(above.text) and goes_on(line.text)
        return is_near and not _begins_paragraph(group, line, right=right)


def _begins_paragraph(group: Group, line: Line, *, right: float) -> bool:
    """Tell by its indent, or by the line before, that a line begins a paragraph of its own."""
    above = group.last
    left = min(member.left for member in _find_column(group.lines, line))
    slack = INDENT_MIN * line.size
    if group.kind == "item":
        is_back = line.left < group.first.left + SLACK * line.size
        return is_back and len(group.lines) > 1 and group.last.left > line.left + slack
    if len(group.lines) > 1 and line.left > left + slack:
        return True
    is_short = above.right - left < SHORT_LINE * (right - left)
    return is_short and ends_sentence(above.text) and not goes_on(line.text)


def _find_column(lines: list[Line], line: Line) -> list[Line]:
    """The lines that stand above or below a line, or all when none does."""
    column = [other for other in lines if other.left < line.right and line.left < other.right]
    return column or lines


def _goes_on(group: Group, part: Group) -> bool:
    """Tell whether a page's first paragraph is the rest of the last one before."""
    if group.last.page == part.first.page or part.kind != "paragraph":
        return False
    if group.kind not in ("paragraph", "item") or not _is_alike(group.last, part.first):
        return False
    return not ends_sentence(group.last.text) and goes_on(part.first.text)


def _is_alike(above: Line, below: Line) -> bool:
    return abs(above.size - below.size) <= SAME_SIZE * max(above.size, below.size)


def _holds_word(line: Line) -> bool:
    return any(character.isalpha() for character in line.text)


def _round(size: float) -> float:
    return round(size / SIZE_STEP_PT) * SIZE_STEP_PT
