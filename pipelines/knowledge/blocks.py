"""Writes a document's text and its blocks together, so that every span is exact."""

from pipelines.knowledge.document import Block, BlockKind, Document

BETWEEN_BLOCKS = "\n\n"
HEADING_LEVEL_MAX = 6
# A heading longer than this is a styled paragraph; its chunks would all carry it.
HEADING_CHARS_MAX = 200


class HeadingPath:
    """The titles of the sections around the current place, outermost first."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(title for _, title in self._open)

    def enter(self, title: str, *, level: int) -> tuple[str, ...]:
        """Close the sections that a heading of this level ends, and open its own."""
        self.leave(level=level)
        self._open.append((level, shorten(title)))
        return self.titles

    def leave(self, *, level: int) -> None:
        """Close the sections of this level and below."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()


def shorten(title: str) -> str:
    line = " ".join(title.split())
    return line if len(line) <= HEADING_CHARS_MAX else line[: HEADING_CHARS_MAX - 1].rstrip() + "…"


class DocumentWriter:
    """Appends blocks one after the other, an empty line between two."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._path = HeadingPath()
        self._end = 0

    def add_heading(self, title: str, *, level: int) -> None:
        self.add_source_heading(" ".join(title.split()), title, level=level)

    def add_source_heading(
        self, text: str, title: str, *, level: int, between: str = BETWEEN_BLOCKS
    ) -> None:
        """Append a heading that its source writes as `text`, with marks of its own."""
        if text.strip():
            level = min(max(level, 1), HEADING_LEVEL_MAX)
            self._path.enter(title, level=level)
            self._append("heading", text.strip(), between, level=level)

    def enter_section(self, title: str, *, level: int) -> None:
        """Begin a section whose title is not part of the text."""
        self._path.enter(title, level=level)

    def leave_section(self, *, level: int) -> None:
        self._path.leave(level=level)

    def add(
        self,
        kind: BlockKind,
        text: str,
        *,
        header_chars: int = 0,
        between: str = BETWEEN_BLOCKS,
    ) -> None:
        """Append a block that is not a heading; one of white space alone is left out.

        `header_chars` is the length of a table's header rows at the start of `text`; `between`
        is the white space that parts the block from the one before.
        """
        trimmed = text.strip("\n").rstrip() if kind == "code" else text.strip()
        if trimmed and not trimmed.isspace():
            self._append(kind, trimmed, between, header_chars=header_chars)

    def _append(
        self, kind: BlockKind, text: str, between: str, *, level: int = 0, header_chars: int = 0
    ) -> None:
        if self._blocks:
            self._parts.append(between)
            self._end += len(between)
        start, self._end = self._end, self._end + len(text)
        self._parts.append(text)
        header_end = start + header_chars if kind == "table" else 0
        block = Block(kind, start, self._end, self._path.titles, level=level, header_end=header_end)
        self._blocks.append(block)

    def finish(
        self, *, title: str | None = None, language: str | None = None, mime: str
    ) -> Document:
        text = "".join(self._parts)
        return Document(text, tuple(self._blocks), title=title, language=language, mime=mime)
