"""Values of JSON -> blocks: objects as sections, flat lists of objects as tables."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.errors import Permanent
from pipelines.knowledge.blocks import HEADING_LEVEL_MAX, DocumentWriter
from pipelines.knowledge.document import Document
from pipelines.knowledge.html_tree import parse_html
from pipelines.knowledge.html_walk import Walk
from pipelines.knowledge.html_write import write_pieces
from pipelines.knowledge.table import write_rows

SECTIONS_MAX = 200_000
CELL_CHARS_MAX = 300
LINE_CHARS_MAX = 200
COLUMNS_MAX = 60
GRID_CELLS_MAX = 4_000_000
# Keys whose text names the object it stands in.
NAMING_KEYS = ("title", "name", "headline", "question", "label", "heading", "subject")
# Keys that say of a text no more than that it is one.
TEXT_KEYS = frozenset(
    ("content", "text", "body", "html", "description", "answer", "article_body", "markdown")
)

_HIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_TAG = re.compile(r"</[a-zA-Z][a-zA-Z0-9]*>|<(?:br|p|img|hr|li)\b[^<>]*>", re.IGNORECASE)
_PARAGRAPHS = re.compile(r"\n\s*\n")


class Number(str):
    """A number as it is written: `1.50` stays `1.50`."""

    __slots__ = ()


Value = None | bool | str | Number | list["Value"] | dict[str, "Value"]


def write_value(value: Value, *, mime: str) -> Document:
    writing = _Writing()
    writing.write(value, key="", level=1)
    return writing.writer.finish(mime=mime)


@dataclass(frozen=True, slots=True)
class Entry:
    key: str
    value: Value


class _Writing:
    def __init__(self) -> None:
        self.writer = DocumentWriter()
        self._sections = 0

    def write(self, value: Value, *, key: str, level: int, naming: str | None = None) -> None:
        """Write a value below headings of lower levels; `naming` is a key that led already."""
        if isinstance(value, dict):
            entries = [Entry(*item) for item in value.items() if item[0] != naming]
            self._write_entries(entries, level, prefix="")
        elif isinstance(value, list):
            self._write_list(value, key, level)
        else:
            self._write_text(_write_scalar(value), level)

    # -- objects

    def _write_entries(self, entries: list[Entry], level: int, *, prefix: str) -> None:
        """Short values first come as lines of one paragraph, what is long or nested follows."""
        lines: list[str] = []
        for entry in entries:
            name = clean(prefix + entry.key)
            line = _write_line(entry.value)
            if line is not None:
                lines += [f"{name}: {line}"] if line else []
                continue
            self._write_lines(lines)
            self._write_section(name, entry, level)
        self._write_lines(lines)

    def _write_lines(self, lines: list[str]) -> None:
        self.writer.add("paragraph", "\n".join(lines))
        lines.clear()

    def _write_section(self, name: str, entry: Entry, level: int) -> None:
        value = entry.value
        if isinstance(value, str):
            label = "" if entry.key.lower() in TEXT_KEYS else name
            self._write_text(value, level, label=label)
        elif isinstance(value, dict) and level > HEADING_LEVEL_MAX:
            entries = [Entry(*item) for item in value.items()]
            self._write_entries(entries, level, prefix=f"{name}.")
        elif level > HEADING_LEVEL_MAX:
            self.write(value, key=name, level=level)
        else:
            self._open(name, level)
            self.write(value, key=name, level=level + 1)
            self.writer.leave_section(level=level)

    def _open(self, title: str, level: int) -> None:
        self._sections += 1
        if self._sections > SECTIONS_MAX:
            raise Permanent(f"the JSON has more than {SECTIONS_MAX:,} sections (the limit)")
        self.writer.add_heading(title, level=level)

    # -- lists

    def _write_list(self, values: list[Value], key: str, level: int) -> None:
        table = _write_table(values)
        if table:
            self.writer.add("table", table[0], header_chars=table[1])
            return
        items: list[str] = []
        for number, value in enumerate(values, start=1):
            line = _write_line(value)
            if line is not None:
                items += [f"- {line}"] if line else []
                continue
            self.writer.add("list", "\n".join(items))
            items.clear()
            self._write_item(value, f"{key} {number}".strip(), level)
        self.writer.add("list", "\n".join(items))

    def _write_item(self, value: Value, name: str, level: int) -> None:
        if isinstance(value, str):
            self._write_text(value, level)
            return
        naming = _find_naming(value)
        title = naming[1] if naming else name
        if level > HEADING_LEVEL_MAX:
            self.writer.add("paragraph", title)
        else:
            self._open(title, level)
        self.write(value, key=name, level=level + 1, naming=naming[0] if naming else None)
        if level <= HEADING_LEVEL_MAX:
            self.writer.leave_section(level=level)

    # -- texts

    def _write_text(self, text: str, level: int, *, label: str = "") -> None:
        lead = f"{label}: " if label else ""
        if _TAG.search(text):
            self.writer.add("paragraph", lead.strip())
            pieces = Walk().over(parse_html(text).find("body")).pieces
            for piece in pieces:
                if piece.kind in ("heading", "leave"):
                    piece.level = min(piece.level + level - 1, HEADING_LEVEL_MAX)
            write_pieces(self.writer, pieces)
            self.writer.leave_section(level=level)
            return
        for part in _PARAGRAPHS.split(clean(text).replace("\r\n", "\n")):
            self.writer.add("paragraph", lead + part.strip() if part.strip() else "")
            lead = "" if part.strip() else lead


def _write_line(value: Value) -> str | None:
    """A value that fits on a line; empty for nothing, None for what does not fit."""
    if isinstance(value, dict):
        return None if value else ""
    if not isinstance(value, list):
        text = _write_scalar(value)
        if "\n" in text.strip() or len(text) > LINE_CHARS_MAX:
            return None
        return " ".join(clean(_strip_tags(text)).split())
    if any(isinstance(item, (dict, list)) for item in value):
        return None
    texts = [" ".join(clean(_strip_tags(_write_scalar(item))).split()) for item in value]
    line = ", ".join(filter(None, texts))
    return line if len(line) <= LINE_CHARS_MAX else None


def _write_scalar(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ""


def _strip_tags(text: str) -> str:
    if not _TAG.search(text):
        return text
    pieces = Walk().over(parse_html(text).find("body")).pieces
    return " ".join(piece.text for piece in pieces)


def _find_naming(value: Value) -> tuple[str, str] | None:
    """The key and the text that name an object."""
    if not isinstance(value, dict):
        return None
    for key in NAMING_KEYS:
        line = _write_line(value.get(key)) if isinstance(value.get(key), str) else None
        if line:
            return key, line
    return None


def _write_table(values: Sequence[Value]) -> tuple[str, int] | None:
    """The rows of a list of flat objects, or of a list of lists; None for other lists."""
    if len(values) < 2:
        return None
    if all(isinstance(value, dict) and value for value in values):
        columns = list(dict.fromkeys(key for value in values for key in _keys(value)))
        fits = len(columns) <= COLUMNS_MAX and len(columns) * len(values) <= GRID_CELLS_MAX
        if not fits or len(columns) < 2:
            return None
        rows = [
            [_write_cell(value.get(column)) for column in columns]
            for value in values
            if isinstance(value, dict)
        ]
        rows.insert(0, [clean(column) for column in columns])
    elif all(isinstance(value, list) and 1 < len(value) <= COLUMNS_MAX for value in values):
        rows = [[_write_cell(item) for item in _items(value)] for value in values]
    else:
        return None
    if any(cell is None for row in rows for cell in row):
        return None
    header_rows = int(isinstance(values[0], dict))
    written = write_rows([[cell or "" for cell in row] for row in rows], header_rows=header_rows)
    return (written.text, written.header_chars) if written else None


def _keys(value: Value) -> Iterator[str]:
    yield from value if isinstance(value, dict) else ()


def _items(value: Value) -> Iterator[Value]:
    yield from value if isinstance(value, list) else ()


def _write_cell(value: Value) -> str | None:
    line = _write_line(value)
    return line if line is None or len(line) <= CELL_CHARS_MAX else None


def clean(text: str) -> str:
    """Text without what no document may hold; escapes in JSON can write anything."""
    return _HIDDEN.sub("", text)
