"""DOCX -> a document: what Word shows of the text itself, without headers and footers."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count

from lxml import etree

from pipelines.knowledge.blocks import HEADING_CHARS_MAX, DocumentWriter
from pipelines.knowledge.document import BlockKind, Document
from pipelines.knowledge.docx_numbering import BULLET, Lists, read_lists
from pipelines.knowledge.docx_styles import (
    PLAIN,
    Numbering,
    Role,
    Style,
    read_numbering_of,
    read_outline_level,
    read_styles,
)
from pipelines.knowledge.docx_table import iterate_cells, iterate_rows, read_table
from pipelines.knowledge.docx_text import TextReader, Words, iterate_content
from pipelines.knowledge.language import choose_language
from pipelines.knowledge.office_package import Package, check_chars
from pipelines.knowledge.office_xml import (
    find_child,
    get_attribute,
    iterate_blocks,
    local_name,
)
from pipelines.knowledge.raw import Raw
from pipelines.knowledge.table import write_rows

LABEL = "the Word file"
MIME = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
INDENT = "  "
NOTE_CHARS_MAX = 10_000


def read(raw: Raw) -> Document:
    """Read a Word file; raises Permanent when it is damaged, locked or too large."""
    package = Package(raw.body, label=LABEL)
    main = package.find_main()
    blocks = iterate_blocks(
        package.iterate(main),
        tags=("p", "tbl", "sdt", "AlternateContent", "ins", "moveTo", "customXml"),
        within=("body",),
        label=LABEL,
    )
    document = _Reading(package, main).over(blocks)
    language = choose_language(document.text, declared=None)
    title = package.find_title() or _find_title(document)
    return replace(document, title=title, language=language)


def _find_title(document: Document) -> str | None:
    headings = (block.heading_path[-1] for block in document.blocks if block.kind == "heading")
    return next(headings, None)


class _Reading:
    """Turns content into blocks, from top to bottom."""

    def __init__(self, package: Package, main: str) -> None:
        self._writer = DocumentWriter()
        self._styles = read_styles(package, main)
        self._lists: Lists = read_lists(package, main)
        self._texts = TextReader(self._styles)
        self._notes = _read_notes(package, main, self._styles)
        self._items: list[str] = []
        self._code: list[str] = []
        self._found: list[str] = []
        self._waiting: list[str] = []
        self._boxes: list[etree._Element] = []
        self._has_title = False
        self._chars = 0

    def over(self, blocks: Iterable[etree._Element]) -> Document:
        for block in blocks:
            self._add_all([block])
        self._close_runs()
        return self._writer.finish(mime=MIME)

    def _add_all(self, elements: Iterable[etree._Element]) -> None:
        for element in iterate_content(elements):
            if local_name(element) == "tbl":
                self._add_table(element)
            else:
                self._add_paragraph(element)

    # -- paragraphs

    def _add_paragraph(self, paragraph: etree._Element) -> None:
        properties = find_child(paragraph, "pPr")
        style = self._find_style(properties)
        if style.role == "contents" or style.is_hidden:
            return
        if style.role == "code":
            self._close_items()
            self._code.append(self._count(self._texts.read_verbatim(paragraph)))
            return
        words = self._read_words(paragraph)
        role, level = self._find_role(style, properties)
        numbering = read_numbering_of(properties) or style.numbering
        marker = self._lists.count(numbering) if numbering and words.text else None
        if role in ("heading", "title") and 0 < len(words.text) <= HEADING_CHARS_MAX:
            self._add_heading(words.text, marker, role, level)
        elif marker and numbering:
            self._add_item(words.text, marker, numbering)
        elif words.text or self._boxes:
            self._close_runs()
            self._writer.add("caption" if role == "caption" else "paragraph", words.text)
        self._add_boxes()

    def _find_style(self, properties: etree._Element | None) -> Style:
        name = find_child(properties, "pStyle") if properties is not None else None
        key = (get_attribute(name, "val") or "") if name is not None else ""
        return self._styles.get(key, self._styles.get("", PLAIN))

    @staticmethod
    def _find_role(style: Style, properties: etree._Element | None) -> tuple[Role, int]:
        own = read_outline_level(properties)
        if own and style.role == "text":
            return "heading", own
        return style.role, style.level

    def _read_words(self, paragraph: etree._Element) -> Words:
        first = self._texts.notes + 1
        words = self._texts.read(paragraph)
        self._count(words.text)
        for number, key in zip(count(first), words.notes, strict=False):
            if text := self._notes.get(key):
                self._found.append(self._count(f"[{number}] {text}"))
        self._boxes += words.boxes
        return words

    def _add_heading(self, text: str, marker: str | None, role: Role, level: int) -> None:
        self._close_runs()
        if marker and marker != BULLET:
            text = f"{marker} {text}"
        if role == "title":
            level, self._has_title = 1, True
        elif self._has_title:
            level += 1
        self._writer.add_heading(text, level=level)

    def _add_item(self, text: str, marker: str, numbering: Numbering) -> None:
        self._close_code()
        indent = INDENT * numbering.level
        lines = text.replace("\n", f"\n{indent}{INDENT}")
        self._items.append(f"{indent}{marker} {lines}")

    def _add_boxes(self) -> None:
        """Write text boxes behind the paragraph that they hang on, notes behind its block."""
        self._waiting += self._found
        self._found.clear()
        boxes, self._boxes = self._boxes, []
        for box in boxes:
            self._add_all(box)

    # -- tables

    def _add_table(self, table: etree._Element) -> None:
        self._close_runs()
        before = self._texts.notes
        grid = read_table(table, lambda paragraph: self._read_words(paragraph).text)
        if grid.is_layout:
            self._boxes.clear()
            self._found.clear()
            self._texts.rewind(before)
            for row in iterate_rows(table):
                for cell in iterate_cells(row):
                    self._add_all(cell)
            return
        written = write_rows(grid.rows, header_rows=grid.header_rows)
        if written:
            self._add("table", written.text, header_chars=written.header_chars)
        self._add_boxes()

    # -- blocks of several paragraphs

    def _close_runs(self) -> None:
        self._close_items()
        self._close_code()
        self._write_notes()

    def _close_items(self) -> None:
        self._add("list", "\n".join(self._items))
        self._items.clear()

    def _close_code(self) -> None:
        self._add("code", "\n".join(self._code))
        self._code.clear()

    def _write_notes(self) -> None:
        """Write the notes that the last block referred to."""
        for text in self._waiting:
            self._add("paragraph", text)
        self._waiting.clear()

    def _add(self, kind: BlockKind, text: str, *, header_chars: int = 0) -> None:
        self._writer.add(kind, text, header_chars=header_chars)

    def _count(self, text: str) -> str:
        self._chars += len(text)
        check_chars(self._chars, LABEL)
        return text


def _read_notes(
    package: Package, main: str, styles: dict[str, Style]
) -> dict[tuple[str, str], str]:
    """The texts of footnotes and endnotes by kind and id."""
    notes = {}
    for kind in ("footnotes", "endnotes"):
        part = package.find_related(main, kind)
        if part is None:
            continue
        for note in package.parse(part).iterchildren("{*}footnote", "{*}endnote"):
            if get_attribute(note, "type") in (None, "normal"):
                texts = TextReader(styles)
                lines = (texts.read(item).text for item in note.iter("{*}p"))
                text = " ".join(" ".join(lines).split())
                notes[kind, get_attribute(note, "id") or ""] = text[:NOTE_CHARS_MAX]
    return notes
