"""Markdown -> a document of the source's own lines, freed of HTML and front matter."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipelines.knowledge import plain
from pipelines.knowledge.blocks import BETWEEN_BLOCKS, DocumentWriter
from pipelines.knowledge.charset import decode_text
from pipelines.knowledge.document import BlockKind, Document
from pipelines.knowledge.html_tree import parse_html
from pipelines.knowledge.html_walk import Walk
from pipelines.knowledge.html_write import write_pieces
from pipelines.knowledge.language import choose_language
from pipelines.knowledge.raw import Raw

# Longer text is read as plain text: a table takes the parser 6 s a MB.
MARKDOWN_CHARS_MAX = 2_000_000
# A table's header and the line under it.
HEADER_LINES = 2

_FRONT_MATTER = re.compile(r"(---|\+\+\+)[ \t]*\n(.{0,20000}?\n)?\1[ \t]*(?:\n|$)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title\s*[:=]\s*[\"']?(.+?)[\"']?\s*$", re.MULTILINE)
_ANCHOR = re.compile(r"\s*\{#[\w-]+\}\s*$")
_LINE_BREAK_TAG = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{1,2000}>")
_KINDS: dict[str, BlockKind] = {
    "fence": "code",
    "code_block": "code",
    "table_open": "table",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
}


def read(raw: Raw) -> Document:
    text = decode_text(raw.body, raw.charset).replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MARKDOWN_CHARS_MAX:
        return plain.read(raw)
    front = _FRONT_MATTER.match(text)
    document = _Markdown(text[front.end() :] if front else text).write()
    named = _FRONT_TITLE.search(front[2] or "") if front else None
    return replace(
        document,
        title=named[1] if named else _find_title(document),
        language=choose_language(document.text, declared=None),
    )


def _find_title(document: Document) -> str | None:
    headings = (block for block in document.blocks if block.kind == "heading" and block.level == 1)
    return next((block.heading_path[-1] for block in headings), None)


class _Markdown:
    """Writes the top-level elements of a source, each by the lines it stands on."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._inline_parser = MarkdownIt("commonmark")
        self._lines = [0, *(match.end() for match in re.finditer("\n", source)), len(source)]
        self._writer = DocumentWriter()
        self._level = 1
        # Where the source was last written to; None after a part that was rewritten.
        self._written: int | None = None

    def write(self) -> Document:
        for element in _group(_parse_blocks(self._source)):
            opening = element[0]
            if opening.type == "html_block":
                self._write_html(opening.content)
            elif opening.type == "heading_open":
                self._write_heading(opening, element[1].content)
            elif opening.map and opening.type != "hr":
                self._write_lines(element, _KINDS.get(opening.type, "paragraph"))
        return self._writer.finish(mime="text/markdown")

    def _write_html(self, content: str) -> None:
        body = parse_html(content).find("body")
        pieces = Walk(heading_level=self._level).over(body).pieces
        write_pieces(self._writer, (piece for piece in pieces if piece.kind != "leave"))
        if "</details" in content:
            self._writer.leave_section(level=self._level + 1)
        self._written = None

    def _write_heading(self, opening: Token, content: str) -> None:
        self._level = int(opening.tag[1:])
        start, end = self._find_span(opening)
        text = self._source[start:end].strip()
        title = _ANCHOR.sub("", self._render(content)) or text.strip("# ")
        between = self._take_gap(start, end)
        self._writer.add_source_heading(text, title, level=self._level, between=between)

    def _write_lines(self, element: Sequence[Token], kind: BlockKind) -> None:
        start, end = self._find_span(element[0])
        text = self._source[start:end]
        if kind != "code" and "<" in text:
            text = self._clean(element, start, end)
        header = "\n".join(text.split("\n", HEADER_LINES)[:HEADER_LINES])
        between = self._take_gap(start, end)
        self._writer.add(kind, text, header_chars=len(header), between=between)

    def _clean(self, element: Sequence[Token], start: int, end: int) -> str:
        """Leave the HTML tags and comments out, but not what code spans show of them."""
        parts: list[str] = []
        for token in element:
            if "<" in token.content and token.map and token.type in ("inline", "html_block"):
                start = self._copy_without_tags(parts, token, start, end)
        return "".join([*parts, self._source[start:end]])

    def _copy_without_tags(self, parts: list[str], token: Token, start: int, end: int) -> int:
        for kind, content in self._find_spans(token):
            place = self._source.find(
                content, max(start, self._lines[(token.map or (0, 0))[0]]), end
            )
            if place < 0:
                continue
            parts.append(self._source[start:place])
            start = place + len(content)
            if kind == "code_inline":
                parts.append(content)
            elif _LINE_BREAK_TAG.fullmatch(content):
                parts.append(" ")
        return start

    def _find_spans(self, token: Token) -> list[tuple[str, str]]:
        """The token's HTML tags and code spans, in order."""
        if token.type == "html_block":
            return [("html_inline", tag) for tag in _TAG.findall(token.content)]
        children = self._parse_inline(token.content)
        kinds = ("html_inline", "code_inline")
        return [(child.type, child.content) for child in children if child.type in kinds]

    def _parse_inline(self, content: str) -> list[Token]:
        tokens = self._inline_parser.parseInline(content)
        return tokens[0].children or [] if tokens else []

    def _render(self, content: str) -> str:
        """A heading's words, without its marks."""
        kinds = ("text", "code_inline", "image", "softbreak", "text_special")
        children = (child for child in self._parse_inline(content) if child.type in kinds)
        words = (" " if child.type == "softbreak" else child.content for child in children)
        return " ".join("".join(words).split())

    def _find_span(self, token: Token) -> tuple[int, int]:
        """The token's characters, without the white space around; code keeps its indentation."""
        first, last = token.map or (0, 0)
        start, end = self._lines[first], self._lines[min(last, len(self._lines) - 1)]
        text = self._source[start:end]
        indent = 0 if token.type in ("fence", "code_block") else len(text) - len(text.lstrip())
        return start + indent, start + len(text.rstrip())

    def _take_gap(self, start: int, end: int) -> str:
        """The source's own white space before this part, where nothing was left out there."""
        gap = "" if self._written is None else self._source[self._written : start]
        self._written = end
        return gap if gap.isspace() else BETWEEN_BLOCKS


def _parse_blocks(source: str) -> list[Token]:
    """The elements alone: inline marks are parsed where they matter, which is 3 times faster."""
    return MarkdownIt("commonmark").enable("table").disable("inline").parse(source)


def _group(tokens: list[Token]) -> Iterator[list[Token]]:
    """The tokens of each top-level element."""
    element: list[Token] = []
    for token in tokens:
        element.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield element
            element = []
