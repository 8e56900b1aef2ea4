"""Where a page leads, which address it calls its own, and what it asks of crawlers."""

from collections.abc import Iterator
from urllib.parse import urljoin

from lxml.html import HtmlElement
from yarl import URL

from pipelines.knowledge.html_facts import Metas
from pipelines.knowledge.robots_directives import parse_robots

LINKS_MAX = 10_000
URL_CHARS_MAX = 2_048
AGENT = "avivrobot"
_STRIPPED = str.maketrans("", "", "\t\n\r")


def find_base(root: HtmlElement, url: str | None) -> str | None:
    """What relative addresses on the page are relative to: its first <base>, else its own."""
    hrefs = (base.get("href") for base in root.iter("base"))
    href = next((href for href in hrefs if href is not None), None)
    return (resolve(url, href) if href else None) or url


def find_canonical(root: HtmlElement, base: str | None) -> str | None:
    """The address that the page's head calls the page's own; the first that is one."""
    for link in root.iterfind("./head//link"):
        if "canonical" in link.get("rel", "").lower().split():
            address = resolve(base, link.get("href", ""))
            if address:
                return address
    return None


def find_links(root: HtmlElement, base: str | None) -> tuple[str, ...]:
    """The pages that the page links to, in order, each once; at most LINKS_MAX."""
    found: dict[str, None] = {}
    for address in _iterate_links(root, base):
        found[address] = None
        if len(found) == LINKS_MAX:
            break
    return tuple(found)


def _iterate_links(root: HtmlElement, base: str | None) -> Iterator[str]:
    """Each `href` is resolved once; two of them may be one address."""
    seen: set[str] = set()
    for element in root.iter("a", "area"):
        href = element.get("href")
        if not href or href in seen or "nofollow" in element.get("rel", "").lower().split():
            continue
        seen.add(href)
        address = None if href.lstrip().startswith("#") else resolve(base, href)
        if address:
            yield address


def find_robots(metas: Metas) -> tuple[str, ...]:
    """What meta elements say to all crawlers and to ours, sorted."""
    contents = [*metas["robots"], *metas[AGENT]]
    directives = (parse_robots(content, agent=AGENT) for content in contents)
    return tuple(sorted(frozenset[str]().union(*directives)))


def resolve(base: str | None, href: str) -> str | None:
    """The absolute http(s) address without its fragment; None when there is none."""
    href = href.strip().translate(_STRIPPED)
    if not href or len(href) > URL_CHARS_MAX or any(ord(sign) < 32 for sign in href):
        return None
    try:
        address = URL(urljoin(base or "", href)).with_fragment(None)
    except ValueError:
        return None
    if address.scheme not in ("http", "https") or not address.host or address.user:
        return None
    written = str(address)
    return written if len(written) <= URL_CHARS_MAX else None
