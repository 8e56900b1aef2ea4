"""The text part: lines of at most 72 columns, so that a quoted answer still fits into 80."""

import re
import textwrap

COLUMNS = 72


def wrap(text: str) -> str:
    """Wrap paragraphs, keep links whole, leave one empty line between blocks."""
    lines = [wrap_line(line.rstrip()) for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def wrap_line(line: str) -> str:
    """Continued lines of a list item stand under its text."""
    if len(line) <= COLUMNS:
        return line
    indent = re.match(r"\s*(?:- |\d+\. )?", line)
    return textwrap.fill(
        line,
        COLUMNS,
        subsequent_indent=" " * len(indent.group()) if indent else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
