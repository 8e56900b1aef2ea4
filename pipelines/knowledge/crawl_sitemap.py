"""Sitemaps -> addresses. Pure. They are scanned for their few tags and never parsed as XML, so
no entity, however often it is nested, is ever expanded."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from itertools import islice

from pipelines.errors import Permanent
from pipelines.knowledge.charset import decode_text

SITEMAP_BYTES_MAX = 50_000_000
ENTRIES_MAX = 50_000
ENTRY_CHARS_MAX = 10_000
LOC_CHARS_MAX = 2_100

_GZIP = b"\x1f\x8b"
_ROOT = re.compile(r"<(?:(\w{1,20}):)?(urlset|sitemapindex)\b", re.IGNORECASE)
_CDATA = re.compile(r"\A\s*<!\[CDATA\[(.*?)\]\]>\s*\Z", re.DOTALL)
_COMMENT_START, _COMMENT_END = "<!--", "-->"


@dataclass(frozen=True, slots=True)
class Entry:
    url: str
    lastmod: str | None = None


@dataclass(frozen=True, slots=True)
class Sitemap:
    """`pages` of a sitemap, `sitemaps` of an index; `cut` when there were more than are read."""

    pages: tuple[Entry, ...] = ()
    sitemaps: tuple[str, ...] = ()
    cut: bool = False


def parse_sitemap(body: bytes) -> Sitemap:
    """Read a sitemap, an index of them or a list of addresses; raises Permanent for neither."""
    data, cut = unpack(body)
    text = drop_comments(decode_text(data, "utf-8"))
    root = _ROOT.search(text[:5_000])
    if root is None:
        return parse_list(text, cut=cut)
    prefix = f"{root[1]}:" if root[1] else ""
    is_index = root[2].lower() == "sitemapindex"
    entries = list(islice(scan(text, prefix, "sitemap" if is_index else "url"), ENTRIES_MAX + 1))
    cut = cut or len(entries) > ENTRIES_MAX
    if is_index:
        return Sitemap(sitemaps=tuple(entry.url for entry in entries[:ENTRIES_MAX]), cut=cut)
    return Sitemap(pages=tuple(entries[:ENTRIES_MAX]), cut=cut)


def unpack(body: bytes, *, bytes_max: int = SITEMAP_BYTES_MAX) -> tuple[bytes, bool]:
    """Undo gzip, at most to `bytes_max`; whether there was more."""
    if not body.startswith(_GZIP):
        return body[:bytes_max], len(body) > bytes_max
    unzip = zlib.decompressobj(wbits=31)
    try:
        data = unzip.decompress(body, bytes_max)
    except zlib.error as error:
        raise Permanent("the sitemap is damaged: it is no valid gzip file") from error
    return data, bool(unzip.unconsumed_tail) or not unzip.eof


def drop_comments(text: str) -> str:
    """By hand: a pattern would look for an end from every comment that has none."""
    kept, at = [], 0
    while (start := text.find(_COMMENT_START, at)) >= 0:
        kept.append(text[at:start])
        end = text.find(_COMMENT_END, start)
        if end < 0:
            return "".join(kept)
        at = end + len(_COMMENT_END)
    return "".join(kept) + text[at:]


def scan(text: str, prefix: str, name: str) -> Iterator[Entry]:
    """Each <url> or <sitemap> with a <loc>; what other namespaces put there is passed over."""
    for body in elements(text, prefix + name):
        loc = next(elements(body, f"{prefix}loc"), "")
        address = plain(loc)
        if address and len(address) <= LOC_CHARS_MAX:
            lastmod = plain(next(elements(body, f"{prefix}lastmod"), ""))
            yield Entry(address, lastmod[:40] or None)


def elements(text: str, tag: str) -> Iterator[str]:
    """What stands in each <tag>, found in one pass; one that is too long is passed over."""
    opening, closing, at = f"<{tag}", f"</{tag}", 0
    while (start := text.find(opening, at)) >= 0:
        at = start + len(opening)
        # <url is also how <urlset begins.
        if text[at : at + 1] not in (">", " ", "\t", "\n", "\r"):
            continue
        begin = text.find(">", at)
        end = text.find(closing, begin)
        if begin < 0 or end < 0:
            return
        at = end
        if end - begin <= ENTRY_CHARS_MAX:
            yield text[begin + 1 : end]


def plain(value: str) -> str:
    cdata = _CDATA.match(value)
    return cdata[1].strip() if cdata else unescape(value).strip()


def parse_list(text: str, *, cut: bool) -> Sitemap:
    """The plain form: an address a line, and nothing else."""
    lines = [line.strip() for line in text.splitlines()[: ENTRIES_MAX + 1]]
    lines = [line for line in lines if line]
    addresses = [line for line in lines if re.match(r"https?://\S+\Z", line)]
    if not lines or len(addresses) < len(lines):
        raise Permanent("this is no sitemap: neither <urlset>, <sitemapindex> nor a list")
    pages = tuple(Entry(line) for line in addresses[:ENTRIES_MAX] if len(line) <= LOC_CHARS_MAX)
    return Sitemap(pages=pages, cut=cut or len(addresses) > ENTRIES_MAX)


def read_time(value: str | None) -> datetime | None:
    """A lastmod as W3C writes times: a day, or a time with its zone; None where it is neither."""
    try:
        found = datetime.fromisoformat((value or "").strip())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
