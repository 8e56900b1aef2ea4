"""When a page says it was published."""

import re
from collections.abc import Iterator
from datetime import datetime

from lxml.html import HtmlElement

from pipelines.knowledge.html_data import Node, read_text
from pipelines.knowledge.html_facts import Metas
from pipelines.knowledge.html_noise import find_words

YEAR_MIN, YEAR_MAX = 1900, 2100
META_NAMES = (
    *("article:published_time", "og:published_time", "date", "dc.date", "dc.date.issued"),
    *("dcterms.created", "dcterms.issued", "dcterms.date", "pubdate", "publishdate"),
    *("publish-date", "publish_date", "parsely-pub-date", "citation_publication_date"),
    *("article:modified_time", "og:updated_time", "last-modified"),
)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)\s?(Z|[+-]\d\d(?::?\d\d)?)?)?"
)
_PUBLISHED_WORDS = frozenset({"published", "date", "pubdate", "posted", "publish"})


def find_published_at(root: HtmlElement, metas: Metas, nodes: list[Node]) -> str | None:
    """An ISO 8601 date, or date and time, as the page writes it; when it changed if no more."""
    return next(filter(None, map(check_time, _iterate_times(root, metas, nodes))), None)


def _iterate_times(root: HtmlElement, metas: Metas, nodes: list[Node]) -> Iterator[str]:
    yield from (read_text(node, "datePublished") for node in nodes)
    yield from metas[META_NAMES[0]]
    yield from _iterate_marked(root)
    for name in META_NAMES[1:]:
        yield from metas[name]
    yield from (read_text(node, "dateModified") for node in nodes)
    yield from _iterate_elements(root)


def _iterate_marked(root: HtmlElement) -> Iterator[str]:
    for element in root.iterfind(".//*[@itemprop='datePublished']"):
        yield element.get("datetime") or element.get("content") or element.text or ""


def _iterate_elements(root: HtmlElement) -> Iterator[str]:
    """Times that are called the page's, then the first in its article, then one that is alone."""
    times = [time for time in root.iter("time") if time.get("datetime")]
    yield from (time.get("datetime") for time in times if _is_called_published(time))
    for time in times:
        if next(time.iterancestors("article", "main"), None) is not None:
            yield time.get("datetime")
    if len({time.get("datetime") for time in times}) == 1:
        yield times[0].get("datetime", "")


def _is_called_published(time: HtmlElement) -> bool:
    return "pubdate" in time.attrib or not find_words(time.get("class", "")).isdisjoint(
        _PUBLISHED_WORDS
    )


def check_time(text: str) -> str | None:
    """The text if it is a real ISO 8601 date or time of our days, else None."""
    match = _TIME.fullmatch(text.strip())
    if match is None or not text.isascii():
        return None
    date, clock, zone = match.groups(default="")
    moment = f"{date}T{clock}{zone}" if clock else date
    try:
        year = datetime.fromisoformat(moment).year
    except ValueError:
        return None
    return moment if YEAR_MIN <= year <= YEAR_MAX else None
