"""EPUB -> a document: the chapters in reading order, each read as a whole page."""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, replace

from lxml import etree

from pipelines.errors import Permanent
from pipelines.knowledge.archive import Archive
from pipelines.knowledge.blocks import DocumentWriter
from pipelines.knowledge.charset import decode_html
from pipelines.knowledge.document import Document
from pipelines.knowledge.html_tree import parse_html
from pipelines.knowledge.html_walk import Walk
from pipelines.knowledge.html_write import write_pieces
from pipelines.knowledge.language import choose_language
from pipelines.knowledge.office_package import TITLE_CHARS_MAX, check_chars, resolve
from pipelines.knowledge.office_xml import local_name, parse_xml
from pipelines.knowledge.raw import Raw

LABEL = "the EPUB"
MIME = "application/epub+zip"
PART_BYTES_MAX = 10_000_000
CHAPTERS_MAX = 5_000
CHAPTER_TYPES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
CONTAINER = "META-INF/container.xml"
LOCKS = ("META-INF/rights.xml", "META-INF/license.lcpl", "META-INF/sinf.xml")
# Fonts are scrambled in books that anyone may read.
FONT_ALGORITHMS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


@dataclass(frozen=True, slots=True)
class Item:
    part: str
    mime: str
    properties: str


def read(raw: Raw) -> Document:
    """Read a book; raises Permanent when it is damaged, locked or too large."""
    archive = Archive(raw.body, label=LABEL)
    _refuse_locked(archive)
    opf_part = _find_opf(archive)
    opf = _parse(archive, opf_part)
    items = _read_items(opf, posixpath.dirname(opf_part))
    titles = _read_titles(archive, opf, items)
    writer = DocumentWriter()
    chapters = _find_chapters(opf, items)
    if len(chapters) > CHAPTERS_MAX:
        raise Permanent(f"{LABEL} has {len(chapters):,} chapters, the limit is {CHAPTERS_MAX:,}")
    chars = 0
    for part in chapters:
        if archive.holds(part):
            chars += _add_chapter(writer, archive, part, titles.get(part.lower()))
            check_chars(chars, LABEL)
    document = writer.finish(mime=MIME)
    language = _find_fact(opf, "language")
    declared = language.partition("-")[0].lower() if language else None
    return replace(
        document,
        title=_find_fact(opf, "title"),
        language=choose_language(document.text, declared=declared),
    )


def _parse(archive: Archive, part: str) -> etree._Element:
    return parse_xml(archive.read(part, bytes_max=PART_BYTES_MAX), label=LABEL)


def _refuse_locked(archive: Archive) -> None:
    """Protected books name what is encrypted in them, and often who may read it."""
    is_locked = any(map(archive.holds, LOCKS))
    if archive.holds("META-INF/encryption.xml"):
        root = _parse(archive, "META-INF/encryption.xml")
        for entry in root.iter("{*}EncryptedData"):
            method = next(entry.iterchildren("{*}EncryptionMethod"), None)
            algorithm = (method.get("Algorithm") or "") if method is not None else ""
            is_locked = is_locked or algorithm not in FONT_ALGORITHMS
    if is_locked:
        raise Permanent(f"{LABEL} is protected (DRM) and cannot be read")


def _find_opf(archive: Archive) -> str:
    for file in _parse(archive, CONTAINER).iter("{*}rootfile"):
        part = resolve("", file.get("full-path") or "")
        if archive.holds(part):
            return part
    raise Permanent(f"{LABEL} is damaged: it names no book")


def _read_items(opf: etree._Element, folder: str) -> dict[str, Item]:
    return {
        item.get("id") or "": Item(
            resolve(folder, item.get("href") or ""),
            item.get("media-type") or "",
            item.get("properties") or "",
        )
        for item in opf.iterfind("{*}manifest/{*}item")
    }


def _find_chapters(opf: etree._Element, items: dict[str, Item]) -> list[str]:
    """The parts in reading order, each once; without the table of contents."""
    parts = []
    for reference in opf.iterfind("{*}spine/{*}itemref"):
        item = items.get(reference.get("idref") or "")
        if item and item.mime in CHAPTER_TYPES and "nav" not in item.properties.split():
            parts.append(item.part)
    return list(dict.fromkeys(parts))


def _read_titles(archive: Archive, opf: etree._Element, items: dict[str, Item]) -> dict[str, str]:
    """What the table of contents calls each chapter, by the chapter's part in lower case."""
    navigation = next((i for i in items.values() if "nav" in i.properties.split()), None)
    if navigation and archive.holds(navigation.part):
        body = archive.read(navigation.part, bytes_max=PART_BYTES_MAX)
        links = parse_html(decode_html(body)).iter("a")
        named = ((link.get("href") or "", "".join(link.itertext())) for link in links)
        return _by_part(named, posixpath.dirname(navigation.part))
    spine = next(opf.iterchildren("{*}spine"), None)
    contents = items.get((spine.get("toc") or "") if spine is not None else "")
    if contents is None or not archive.holds(contents.part):
        return {}
    points = _parse(archive, contents.part).iter("{*}navPoint")
    return _by_part(map(_read_point, points), posixpath.dirname(contents.part))


def _read_point(point: etree._Element) -> tuple[str, str]:
    source, title = "", ""
    for child in point.iterchildren(etree.Element):
        if local_name(child) == "content":
            source = child.get("src") or ""
        elif local_name(child) == "navLabel":
            title = "".join(child.itertext())
    return source, title


def _by_part(named: Iterable[tuple[str, str]], folder: str) -> dict[str, str]:
    """A chapter is called by the first entry that leads to it."""
    titles: dict[str, str] = {}
    for target, title in named:
        if target and title.strip():
            titles.setdefault(resolve(folder, target).lower(), " ".join(title.split()))
    return titles


def _add_chapter(writer: DocumentWriter, archive: Archive, part: str, title: str | None) -> int:
    """Write a chapter; its title leads unless it begins with a heading of its own."""
    body = archive.read(part, bytes_max=PART_BYTES_MAX)
    pieces = Walk().over(parse_html(decode_html(body)).find("body")).pieces
    writer.leave_section(level=1)
    first = next((piece for piece in pieces if piece.text), None)
    if first is not None and first.kind != "heading" and title:
        writer.add_heading(title, level=1)
    write_pieces(writer, pieces)
    return sum(len(piece.text) for piece in pieces)


def _find_fact(opf: etree._Element, name: str) -> str | None:
    found = next(opf.iterfind(f"{{*}}metadata//{{*}}{name}"), None)
    text = " ".join("".join(found.itertext()).split()) if found is not None else ""
    return text[:TITLE_CHARS_MAX] or None
