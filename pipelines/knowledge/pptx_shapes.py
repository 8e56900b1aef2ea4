"""The shapes of a slide -> titles, paragraphs, lists, tables and charts, in their order."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from lxml import etree

from pipelines.knowledge.office_xml import (
    choose_version,
    find_child,
    get_attribute,
    local_name,
)

TITLES = frozenset(("title", "ctrTitle"))
# Numbers, dates and footers of every slide.
FURNITURE = frozenset(("sldNum", "dt", "ftr", "hdr", "sldImg"))
INDENT = "  "
LEVELS = 9
COLUMNS_MAX = 500
SPAN_MAX = 200

_BREAKS = {"br": "\n", "tab": "\t"}

ShapeKind = Literal["title", "text", "list", "table", "chart", "diagram"]


@dataclass(slots=True)
class Shape:
    """`rows` of a table; `relation` leads to the part of a chart or a diagram."""

    kind: ShapeKind
    text: str = ""
    rows: list[list[str]] = field(default_factory=list)
    header_rows: int = 0
    relation: str = ""


def iterate_shapes(tree: etree._Element) -> Iterator[Shape]:
    """The visible shapes below a tree, those of groups among them; empty ones are left out."""
    for element in tree.iterchildren(etree.Element):
        name = local_name(element)
        if _is_hidden(element):
            continue
        if name == "sp":
            yield from _read_shape(element)
        elif name == "grpSp":
            yield from iterate_shapes(element)
        elif name == "AlternateContent":
            yield from iterate_shapes(choose_version(element))
        elif name == "graphicFrame":
            yield from _read_frame(element)


def find_placeholder(shape: etree._Element) -> str | None:
    """The type of the placeholder that a shape fills; `body` where none is said."""
    for properties in shape.iterchildren(etree.Element):
        place = find_child(properties, "nvPr", "ph")
        if place is not None:
            return place.get("type") or "obj"
    return None


def read_text(body: etree._Element) -> Iterator[tuple[int, str, bool]]:
    """Level, text and whether a bullet stands before it, for each paragraph with text."""
    for paragraph in body.iterchildren("{*}p"):
        text = _read_paragraph(paragraph)
        if text:
            properties = find_child(paragraph, "pPr")
            yield _read_level(properties), text, _has_bullet(properties)


def _is_hidden(element: etree._Element) -> bool:
    for properties in element.iterchildren(etree.Element):
        facts = find_child(properties, "cNvPr")
        if facts is not None:
            return facts.get("hidden") in ("1", "true")
    return False


def _read_shape(element: etree._Element) -> Iterator[Shape]:
    place = find_placeholder(element)
    body = find_child(element, "txBody")
    if body is None or place in FURNITURE:
        return
    paragraphs = list(read_text(body))
    if place in TITLES:
        yield Shape("title", " ".join(text for _, text, _ in paragraphs))
        return
    is_listing = place in ("body", "obj") and len(paragraphs) > 1
    if is_listing or any(bullet for _, _, bullet in paragraphs):
        lines = (_write_item(level, text) for level, text, _ in paragraphs)
        yield Shape("list", "\n".join(lines))
        return
    for _, text, _ in paragraphs:
        yield Shape("text", text)


def _write_item(level: int, text: str) -> str:
    indent = INDENT * level
    lines = text.replace("\n", f"\n{indent}{INDENT}")
    return f"{indent}- {lines}"


def _read_frame(frame: etree._Element) -> Iterator[Shape]:
    content = find_child(frame, "graphic", "graphicData")
    for element in content.iterchildren(etree.Element) if content is not None else ():
        name = local_name(element)
        if name == "tbl":
            yield _read_table(element)
        elif name == "chart":
            yield Shape("chart", relation=get_attribute(element, "id") or "")
        elif name == "relIds":
            yield Shape("diagram", relation=get_attribute(element, "dm") or "")


def _read_table(table: etree._Element) -> Shape:
    rows: list[list[str]] = []
    for row in table.iterchildren("{*}tr"):
        above = rows[-1] if rows else []
        cells: list[str] = []
        for cell in row.iterchildren("{*}tc"):
            text = _read_cell(cell)
            if cell.get("vMerge") in ("1", "true") and len(cells) < len(above):
                text = text or above[len(cells)]
            cells.append(text)
        rows.append(cells[:COLUMNS_MAX])
    properties = find_child(table, "tblPr")
    has_header = properties is not None and properties.get("firstRow") in ("1", "true")
    return Shape("table", rows=rows, header_rows=int(has_header and len(rows) > 1))


def _read_cell(cell: etree._Element) -> str:
    body = find_child(cell, "txBody")
    return "; ".join(text for _, text, _ in read_text(body)) if body is not None else ""


def _read_paragraph(paragraph: etree._Element) -> str:
    parts = []
    for element in paragraph.iter(etree.Element):
        name = local_name(element)
        if name == "t":
            parts.append(element.text or "")
        elif name in _BREAKS:
            parts.append(_BREAKS[name])
    lines = "".join(parts).replace("\v", "\n").split("\n")
    return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))


def _read_level(properties: etree._Element | None) -> int:
    value = (properties.get("lvl") or "0") if properties is not None else "0"
    return min(int(value), LEVELS) if value.isascii() and value.isdecimal() else 0


def _has_bullet(properties: etree._Element | None) -> bool:
    if properties is None:
        return False
    return any(local_name(child) in ("buChar", "buAutoNum", "buBlip") for child in properties)
