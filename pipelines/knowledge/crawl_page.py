"""What a crawler wants to know of a page that it has read. Pure."""

import hashlib
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pipelines.knowledge.crawl_robots import AGENT
from pipelines.knowledge.crawl_urls import is_same_site, normalise, settle_scheme
from pipelines.knowledge.document import Document
from pipelines.knowledge.robots_directives import parse_robots

NAME_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Facts:
    """`text_hash` is of the words: pages that differ in white space alone are one."""

    title: str | None
    canonical: str | None
    text_hash: str
    noindex: bool
    nofollow: bool


def facts_of(document: Document, *, header: str | None) -> Facts:
    """`header` is X-Robots-Tag; what either the page or its header asks for holds."""
    said = frozenset(document.robots) | parse_robots(header or "", agent=AGENT)
    words = " ".join(document.text.split())
    return Facts(
        document.title,
        document.canonical,
        hashlib.sha256(words.encode()).hexdigest(),
        "noindex" in said,
        "nofollow" in said,
    )


def address_of(url: str, canonical: str | None) -> str:
    """What the page calls itself, if that is believable: an address of the same site.

    Every page that calls itself the site's front page is a template's mistake, and no duplicate.
    """
    address = normalise(canonical) if canonical else None
    if address is None or not is_same_site(address, url):
        return url
    address = settle_scheme(address, url)
    is_front = urlsplit(address).path == "/" and not urlsplit(address).query
    return url if is_front and urlsplit(url).path != "/" else address


def name_of(title: str | None, url: str) -> str:
    """The page's title, else the end of its address."""
    name = " ".join((title or "").split())
    if not name:
        parts = urlsplit(url)
        name = unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.netloc
    return name[:NAME_CHARS_MAX].replace("\0", "")
