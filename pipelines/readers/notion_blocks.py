"""The blocks of a Notion page, read to their ends -> one document of the same structure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipelines.errors import Permanent
from pipelines.gateways.notion import NotSharedError
from pipelines.knowledge.blocks import DocumentWriter
from pipelines.knowledge.document import Document
from pipelines.knowledge.language import choose_language
from pipelines.knowledge.table import write_rows
from pipelines.readers.notion_text import plain, text_of, title_of, write_properties, write_text

BLOCKS_MAX = 50_000
DEPTH_MAX = 30
# The page's own title is the first level.
HEADINGS = {"heading_1": 2, "heading_2": 3, "heading_3": 4, "heading_4": 5}
ITEMS = frozenset({"bulleted_list_item", "numbered_list_item", "to_do"})
MEDIA = frozenset({"image", "video", "file", "pdf", "audio", "embed", "bookmark", "link_preview"})

Object = dict[str, Any]
Children = Callable[[str], Iterator[Object]]


class PageLimitError(Permanent):
    """One page is beyond a limit; the others are not."""


@dataclass(slots=True)
class Written:
    """`found` are the pages and databases inside: (kind, id). `is_settled` is False where the
    page shows what is kept elsewhere, whose changes its own time does not tell.
    """

    document: Document
    found: list[tuple[str, str]]
    is_settled: bool


def write_page(page: Object, children: Children) -> Written:
    """Raises PageLimitError."""
    title = title_of(page)
    writer = _Page(children)
    if title:
        writer.out.add_heading(title, level=1)
    writer.out.add("paragraph", write_properties(page))
    writer.write_all(children(str(page["id"])), depth=0, indent=0)
    writer.flush()
    document = writer.out.finish(title=title or None, mime="text/markdown")
    language = choose_language(document.text, declared=None)
    told = Document(document.text, document.blocks, document.title, language, document.mime)
    return Written(told, writer.found, writer.is_settled)


@dataclass(slots=True)
class _Page:
    """`lines` is the list that is being written; any other block ends it."""

    children: Children
    out: DocumentWriter = field(default_factory=DocumentWriter)
    found: list[tuple[str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    count: int = 0
    is_settled: bool = True

    def flush(self) -> None:
        if self.lines:
            self.out.add("list", "\n".join(self.lines))
            self.lines = []

    def write_all(self, blocks: Iterable[Object], *, depth: int, indent: int) -> None:
        """`indent` counts the list items around; 0 outside of lists."""
        if depth > DEPTH_MAX:
            raise PageLimitError(f"its blocks are nested more than {DEPTH_MAX} deep, the limit")
        number = 0
        for block in blocks:
            self.count += 1
            if self.count > BLOCKS_MAX:
                raise PageLimitError(f"it has more than {BLOCKS_MAX:,} blocks, the limit")
            number = number + 1 if block.get("type") == "numbered_list_item" else 0
            self._write(block, depth=depth, indent=indent, number=number)

    def _write(self, block: Object, *, depth: int, indent: int, number: int) -> None:
        kind = str(block.get("type"))
        found = block.get(kind)
        inner: Object = found if isinstance(found, dict) else {}
        if kind in ("child_page", "child_database"):
            self.found.append((kind.removeprefix("child_"), str(block.get("id"))))
            return
        if kind == "table":
            self._write_table(block, inner)
            return
        if kind in ITEMS:
            self._write_item(kind, inner, indent=indent, number=number)
        else:
            self._write_single(kind, inner, indent=indent)
        inside = indent + 1 if kind in ITEMS else indent
        self.write_all(self._inside(block, kind, inner), depth=depth + 1, indent=inside)

    def _write_item(self, kind: str, inner: Object, *, indent: int, number: int) -> None:
        marks = {"bulleted_list_item": "-", "numbered_list_item": f"{number}."}
        mark = marks.get(kind) or ("- [x]" if inner.get("checked") else "- [ ]")
        self._add_lines(f"{mark} ", write_text(inner.get("rich_text")), indent)

    def _add_lines(self, mark: str, text: str, indent: int) -> None:
        if text.strip():
            margin = "  " * indent
            first, *more = text.split("\n")
            self.lines.append(f"{margin}{mark}{first}")
            self.lines += [f"{margin}  {line}" for line in more if line.strip()]

    def _write_single(self, kind: str, inner: Object, *, indent: int) -> None:
        text = write_text(inner.get("rich_text"))
        if kind in ("paragraph", "quote", "callout", "toggle") and indent and self.lines:
            self._add_lines("", text, indent)
            return
        if kind in ("column_list", "column", "synced_block", "tab"):
            return
        self.flush()
        caption = write_text(inner.get("caption"))
        if kind in HEADINGS:
            self.out.add_heading(plain(inner.get("rich_text")), level=HEADINGS[kind])
        elif kind == "code":
            self.out.add("code", plain(inner.get("rich_text")))
            self.out.add("caption", caption)
        elif kind == "equation":
            self.out.add("paragraph", text_of(inner.get("expression")))
        elif kind in MEDIA:
            self.out.add("caption", _media(kind, inner, caption))
        else:
            self.out.add("paragraph", text)

    def _inside(self, block: Object, kind: str, inner: Object) -> Iterator[Object]:
        """The blocks in this one; of a synced copy, those of its original."""
        id = block.get("id")
        if kind == "synced_block" and isinstance(origin := inner.get("synced_from"), dict):
            self.is_settled = False
            id = origin.get("block_id") or id
        elif not block.get("has_children"):
            return
        try:
            yield from self.children(str(id))
        except NotSharedError:
            # The original lies where the integration cannot look: the rest of the page can.
            if kind != "synced_block":
                raise

    def _write_table(self, block: Object, inner: Object) -> None:
        self.flush()
        rows = []
        for row in self.children(str(block.get("id"))):
            self.count += 1
            cells = row.get("table_row", {}).get("cells", [])
            rows.append([" ".join(write_text(cell).split()) for cell in cells])
        table = write_rows(rows, header_rows=1 if inner.get("has_column_header") else 0)
        if table is not None:
            self.out.add("table", table.text, header_chars=table.header_chars)


def _media(kind: str, inner: Object, caption: str) -> str:
    """What a reader sees of it: its caption, a file's name, a bookmark's address."""
    if kind in ("bookmark", "embed", "link_preview"):
        return " ".join(part for part in (caption, text_of(inner.get("url"))) if part)
    name = text_of(inner.get("name")) if kind in ("file", "pdf") else ""
    return caption or name
