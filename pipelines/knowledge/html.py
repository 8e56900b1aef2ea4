"""HTML -> a document of the page's content."""

from lxml.html import HtmlElement

from pipelines.errors import Permanent
from pipelines.knowledge.blocks import DocumentWriter
from pipelines.knowledge.charset import decode_html
from pipelines.knowledge.document import Document
from pipelines.knowledge.html_main import Content, choose_content
from pipelines.knowledge.html_noise import find_opened_ids
from pipelines.knowledge.html_page import Facts, add_facts, read_facts
from pipelines.knowledge.html_pieces import Piece
from pipelines.knowledge.html_supplement import (
    find_article,
    find_missing,
    write_sections,
    write_text,
)
from pipelines.knowledge.html_tree import parse_html
from pipelines.knowledge.html_walk import Walk
from pipelines.knowledge.html_write import write_pieces
from pipelines.knowledge.raw import Raw


def read(raw: Raw) -> Document:
    """Read a page; raises Permanent when it is too large or holds no readable text."""
    root = parse_html(decode_html(raw.body, raw.charset))
    facts = read_facts(root, url=raw.url)
    lack = _explain_lack(root)
    walk = Walk(find_opened_ids(root)).over(root.find("body"))
    content = choose_content(root, walk, facts)
    document = _write(walk.pieces, content, facts)
    if not document.blocks:
        raise Permanent(f"the page has no readable text{lack}")
    return add_facts(document, facts)


def _explain_lack(root: HtmlElement) -> str:
    if next(root.iter("frameset", "frame"), None) is not None:
        return ": it is made of frames; give the address of the frame that holds the text"
    if next(root.iter("script"), None) is not None:
        return ": it needs JavaScript, its text is built in the browser"
    return ""


def _write(pieces: list[Piece], content: Content, facts: Facts) -> Document:
    kept = [piece for i, piece in enumerate(pieces) if i in content.kept or piece.kind == "leave"]
    shown = "\n".join(piece.text for piece in kept) if facts.nodes else ""
    article = find_article(facts.nodes, shown)
    if article and len(article) > 2 * len(shown):
        return _write_article(article)
    writer = DocumentWriter()
    if content.is_article:
        _enter_article(writer, pieces, content)
    write_pieces(writer, kept)
    write_sections(writer, find_missing(facts.nodes, shown))
    return writer.finish(mime="text/html")


def _write_article(text: str) -> Document:
    writer = DocumentWriter()
    write_text(writer, text)
    return writer.finish(mime="text/html")


def _enter_article(writer: DocumentWriter, pieces: list[Piece], content: Content) -> None:
    """An article's title is not part of its text, but leads the path of all its sections."""
    before = pieces[: max(content.kept) + 1]
    title = next((piece for piece in before if piece.kind == "heading" and piece.level == 1), None)
    if title is not None:
        writer.enter_section(title.text, level=1)
