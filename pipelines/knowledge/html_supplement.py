"""What a page says to search engines alone: what its scripts would show to a reader."""

import html
import re
from dataclasses import dataclass

from pipelines.knowledge.blocks import DocumentWriter
from pipelines.knowledge.html_data import ARTICLE_TYPES, Node, has_type, read_text
from pipelines.knowledge.html_pieces import clean_text
from pipelines.knowledge.html_tree import parse_html
from pipelines.knowledge.html_walk import Walk
from pipelines.knowledge.html_write import write_pieces
from pipelines.knowledge.table import write_rows

# With less text than this in its markup a page waits for its scripts.
THIN_CHARS_MAX = 200
THIN_REACH = 5_000
THIN_PRODUCT_CHARS_MAX = 600
# A text is shown already when its beginning is.
BEGINNING_CHARS = 60
QUESTIONS_MAX = 500

_PAGES = re.compile(ARTICLE_TYPES.pattern + r"|[A-Za-z]*Posting|HowTo|Recipe")
_PRODUCT = re.compile(r"Product|ProductGroup|[A-Za-z]*Product")
_QUESTION = re.compile(r"Question")
_SIGNS = re.compile(r"[\W_]+")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,500}>")
_PRODUCT_FACTS = (
    *(("brand", "Brand"), ("sku", "SKU"), ("gtin13", "GTIN"), ("mpn", "MPN"), ("model", "Model")),
    *(("color", "Color"), ("material", "Material"), ("size", "Size"), ("weight", "Weight")),
)


@dataclass(frozen=True, slots=True)
class Section:
    """A text, plain or with HTML in it, and its heading if it has one; or rows of a table."""

    title: str = ""
    text: str = ""
    rows: tuple[tuple[str, str], ...] = ()


def find_article(nodes: list[Node], shown: str) -> str:
    """The text of the page's article, where the markup shows next to nothing; else ""."""
    if len(_squeeze(shown[:THIN_REACH])) >= THIN_CHARS_MAX:
        return ""
    texts = (
        read_text(node, key)
        for node in nodes
        if has_type(node, _PAGES)
        for key in ("articleBody", "text")
    )
    return max(texts, key=len, default="")


def find_missing(nodes: list[Node], shown: str) -> list[Section]:
    """The answers and the product's facts that are not among the shown text."""
    if not nodes:
        return []
    shown = _squeeze(shown)
    return [*_find_answers(nodes, shown), *_find_product(nodes, shown)]


def _find_answers(nodes: list[Node], shown: str) -> list[Section]:
    sections: list[Section] = []
    for node in nodes:
        if not has_type(node, _QUESTION) or len(sections) >= QUESTIONS_MAX:
            continue
        answer = node.get("acceptedAnswer")
        answer = answer[0] if isinstance(answer, list) and answer else answer
        text = read_text(answer, "text") if isinstance(answer, dict) else ""
        question = strip_tags(read_text(node, "name") or read_text(node, "text"))
        if question and text and not _is_shown(text, shown):
            sections.append(Section(question, text))
    return sections


def _find_product(nodes: list[Node], shown: str) -> list[Section]:
    """A page of several products is a list, which its markup shows."""
    products = [node for node in nodes if has_type(node, _PRODUCT) and read_text(node, "name")]
    if len({read_text(product, "name") for product in products}) != 1:
        return []
    product = max(products, key=len)
    name, description = read_text(product, "name"), read_text(product, "description")
    sections = [Section(text=name)] if _squeeze(name) not in shown else []
    if description and not _is_shown(description, shown):
        sections.append(Section(text=description))
    rows = _read_price(product, shown)
    if len(shown) < THIN_PRODUCT_CHARS_MAX:
        facts = _read_product_facts(product)
        rows += [fact for fact in facts if fact[1] and _squeeze(fact[1]) not in shown]
    return [*sections, Section(rows=tuple(rows))] if rows else sections


def _read_price(product: Node, shown: str) -> list[tuple[str, str]]:
    offers = product.get("offers")
    offer = offers[0] if isinstance(offers, list) and offers else offers
    if not isinstance(offer, dict):
        return []
    price = read_text(offer, "price") or read_text(offer, "lowPrice")
    currency = read_text(offer, "priceCurrency")
    is_missing = price and _squeeze(price) not in shown
    return [("Price", f"{price} {currency}".strip())] if is_missing else []


def _read_product_facts(product: Node) -> list[tuple[str, str]]:
    properties = product.get("additionalProperty")
    pairs = [(label, read_text(product, key)) for key, label in _PRODUCT_FACTS]
    for one in properties if isinstance(properties, list) else []:
        if isinstance(one, dict):
            pairs.append((read_text(one, "name"), read_text(one, "value")))
    return pairs


def _is_shown(text: str, shown: str) -> bool:
    return _squeeze(strip_tags(text))[:BEGINNING_CHARS] in shown


def _squeeze(text: str) -> str:
    return _SIGNS.sub("", text).casefold()


def strip_tags(text: str) -> str:
    return html.unescape(_TAG.sub(" ", html.unescape(text)))


def write_sections(writer: DocumentWriter, sections: list[Section]) -> None:
    for section in sections:
        if section.title:
            writer.add_heading(clean_text(section.title), level=2)
        write_text(writer, section.text)
        table = write_rows([(clean_text(a), clean_text(b)) for a, b in section.rows])
        if table is not None:
            writer.add("table", table.text)


def write_text(writer: DocumentWriter, text: str) -> None:
    """Write a text of JSON-LD: HTML if there are tags in it, else a paragraph a line."""
    text = html.unescape(text) if "&lt;" in text else text
    if _TAG.search(text):
        write_pieces(writer, Walk(heading_level=2).over(parse_html(text).find("body")).pieces)
        return
    for line in clean_text(html.unescape(text)).splitlines():
        writer.add("paragraph", " ".join(line.split()))
