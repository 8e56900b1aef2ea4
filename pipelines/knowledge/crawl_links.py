"""Links of a page that holds no text of its own, such as a menu: what its reader refuses still
leads on. Scanned by hand within limits, for it runs outside the sandbox. Pure.
"""

import re
from html import unescape
from urllib.parse import urljoin

from pipelines.knowledge.charset import decode_text
from pipelines.knowledge.crawl_robots import AGENT
from pipelines.knowledge.robots_directives import parse_robots

SCANNED_BYTES_MAX = 2_000_000
LINKS_MAX = 2_000
TAG_CHARS_MAX = 4_000

_TAG = re.compile(rf"<(a|area|base|meta|link)\s([^<>]{{1,{TAG_CHARS_MAX}}})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""([a-z-]{1,20})\s{0,5}=\s{0,5}(?:"([^"]{0,2100})"|'([^']{0,2100})'|([^\s"'>]{1,2100}))""",
    re.IGNORECASE,
)


def find_links(body: bytes, url: str) -> tuple[str, ...]:
    """Where an HTML page leads, in order, each once; none where it asks not to be followed."""
    text = decode_text(body[:SCANNED_BYTES_MAX])
    base, found = url, dict[str, None]()
    for tag in _TAG.finditer(text):
        named = read_attributes(tag[2])
        match tag[1].lower():
            case "base" if "href" in named:
                base = join(url, named["href"]) or url
            case "meta" if named.get("name", "").lower() in ("robots", AGENT.lower()):
                if "nofollow" in parse_robots(named.get("content", ""), agent=AGENT):
                    return ()
            case "a" | "area" if "nofollow" not in named.get("rel", "").lower().split():
                address = join(base, named.get("href", ""))
                if address:
                    found[address] = None
        if len(found) >= LINKS_MAX:
            break
    return tuple(found)


def read_attributes(written: str) -> dict[str, str]:
    matches = _ATTRIBUTE.finditer(written)
    return {each[1].lower(): unescape(each[2] or each[3] or each[4] or "") for each in matches}


def join(base: str, href: str) -> str | None:
    href = href.strip()
    if not href or href.startswith("#"):
        return None
    try:
        address = urljoin(base, href)
    except ValueError:
        return None
    return address if address.startswith(("http://", "https://")) else None
