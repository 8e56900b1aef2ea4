"""How the columns of a text are parted, and whether it has any."""

import csv
import re
from collections import Counter
from dataclasses import dataclass

SAMPLE_LINES_MAX = 200
SAMPLE_CHARS_MAX = 65_536
DELIMITERS = ",;\t|"
# Without a word from outside, a text must look like nothing else to be a table.
ROWS_MIN = 4
SHARE_MIN = 0.95
LABELLED_SHARE_MIN = 0.6
CELL_CHARS_MEAN_MAX = 40
COLUMNS_MIN = {",": 3, ";": 3, "|": 3, "\t": 2}

_SEPARATOR_LINE = re.compile(r"sep=([,;\t|])\r?\n", re.IGNORECASE)
_RULE = re.compile(r"[|\s:+-]*-{3,}[|\s:+-]*")
_MARKUP = re.compile(r"[{}<>]|^\s*(?:#|//|/\*|\*)")
_ENDS_SENTENCE = re.compile(r"\w[.!?:,;]$")


@dataclass(frozen=True, slots=True)
class Dialect:
    """`share` of the sampled rows have `columns` columns, the others another number."""

    delimiter: str
    columns: int = 1
    share: float = 0.0
    rows: int = 0
    header_chars: int = 0


def find_dialect(text: str) -> Dialect | None:
    """How the text parts its columns; None when nothing parts its lines alike."""
    named = _SEPARATOR_LINE.match(text)
    if named:
        return Dialect(named[1], columns=2, share=1.0, rows=ROWS_MIN, header_chars=named.end())
    lines = _take_lines(text)
    tried = (_try(delimiter, lines) for delimiter in DELIMITERS)
    found = [dialect for dialect in tried if dialect.columns > 1]
    if not found:
        return None
    return max(found, key=lambda dialect: (round(dialect.share, 1), dialect.columns))


def looks_like_table(text: str, *, is_labelled: bool) -> bool:
    """Tell comma-separated values from prose, of which hardly any may pass for them."""
    dialect = find_dialect(text)
    if dialect is None:
        return False
    if is_labelled:
        return dialect.share >= LABELLED_SHARE_MIN
    if dialect.rows < ROWS_MIN or dialect.share < SHARE_MIN:
        return False
    if dialect.columns < COLUMNS_MIN[dialect.delimiter]:
        return False
    return not _reads_like_text(_take_lines(text), dialect.delimiter)


def _take_lines(text: str) -> list[str]:
    """The first lines; a last one that the sample cuts is left out."""
    sample = text[:SAMPLE_CHARS_MAX]
    lines = sample.splitlines(keepends=True)
    if len(text) > len(sample) and len(lines) > 1:
        lines.pop()
    return lines[:SAMPLE_LINES_MAX]


def _try(delimiter: str, lines: list[str]) -> Dialect:
    widths: Counter[int] = Counter()
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            if any(cell.strip() for cell in row):
                widths[len(row)] += 1
    except csv.Error:
        return Dialect(delimiter)
    if not widths:
        return Dialect(delimiter)
    columns, rows = max(widths.items(), key=lambda entry: (entry[0] > 1, entry[1], entry[0]))
    return Dialect(delimiter, columns, rows / widths.total(), widths.total())


def _reads_like_text(lines: list[str], delimiter: str) -> bool:
    """Prose has spaces behind its commas and ends in full stops; code and markup have braces."""
    full = [line.strip() for line in lines if line.strip()]
    if any(_RULE.fullmatch(line) for line in full[:3]):
        return True
    cells = [cell.strip() for line in full for cell in line.split(delimiter)]
    if sum(map(len, cells)) > CELL_CHARS_MEAN_MAX * len(cells):
        return True
    spaced = sum(line.count(f"{delimiter} ") for line in full)
    if delimiter != "\t" and 2 * spaced > sum(line.count(delimiter) for line in full):
        return True
    markup = sum(1 for line in full if _MARKUP.search(line))
    sentences = sum(1 for line in full if _ENDS_SENTENCE.search(line))
    return 5 * max(markup, sentences) > len(full)
