"""HTML text -> a tree that is safe to walk: no comments, bounded in depth and in size."""

import re
from contextlib import suppress
from typing import Any, cast

from lxml import etree
from lxml.html import HtmlElement, HTMLParser

from pipelines.errors import Permanent

# libxml2 drops a text longer than this, and all that follows.
HTML_CHARS_MAX = 10_000_000
ELEMENTS_MAX = 400_000
# libxml2 stops at 256 and would drop the rest of the page: deeper elements are lifted to this.
DEPTH_MAX = 200

# Icon fonts; html_judge marks texts with characters from here.
_PRIVATE = re.compile("[\U000f0000-\U0010ffff]")
_EMBEDDED_FILE = re.compile(r"(data:[\w/+.-]{3,80};base64,)[A-Za-z0-9+/=]{1000,}+")
_SCRIPT = re.compile(r"<(script|style)\b(?![^>]{0,200}ld\+json)[^>]{0,2000}>", re.IGNORECASE)
_SCRIPT_END = {tag: re.compile(rf"</{tag}\b", re.IGNORECASE) for tag in ("script", "style")}


def parse_html(text: str) -> HtmlElement:
    """Parse a page or a fragment of one; the root is always `html`, and it has a `body`.

    Raises Permanent when the page is larger than HTML_CHARS_MAX or ELEMENTS_MAX.
    """
    if len(text) > HTML_CHARS_MAX:
        text = _drop_scripts(_EMBEDDED_FILE.sub(r"\1", text))
    if len(text) > HTML_CHARS_MAX:
        raise Permanent(
            f"the page is too long: {len(text):,} characters of HTML, limit {HTML_CHARS_MAX:,}"
        )
    source = _PRIVATE.sub("", text).encode("utf-8", "ignore")
    parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    root = _parse(source, parser)
    if root is None or _stopped_at_depth(parser):
        root = _parse_flat(source)
    if root.find("body") is None:
        root.append(root.makeelement("body"))
    _check_size(root)
    return root


def _drop_scripts(text: str) -> str:
    """Leave out scripts and styles but JSON-LD: the largest pages are mostly these."""
    parts, at = [], 0
    for opening in _SCRIPT.finditer(text):
        if opening.start() < at:
            continue
        closing = _SCRIPT_END[opening[1].lower()].search(text, opening.end())
        if closing is None:
            break
        parts.append(text[at : opening.end()])
        at = closing.start()
    return "".join([*parts, text[at:]])


def _parse(source: bytes, parser: HTMLParser) -> HtmlElement | None:
    try:
        root = etree.fromstring(source, parser)
    except etree.LxmlError:
        return None
    return root if root is not None and root.tag == "html" else None


def _stopped_at_depth(parser: HTMLParser) -> bool:
    return any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log)


def _parse_flat(source: bytes) -> HtmlElement:
    """Parse through events, which know no limit of depth, and cut the nesting ourselves."""
    builder = _FlatBuilder()
    with suppress(etree.LxmlError):
        etree.fromstring(source, etree.HTMLParser(encoding="utf-8", target=builder))
    return builder.root


class _FlatBuilder:
    """Builds a tree that is never deeper than DEPTH_MAX, in time linear in the page."""

    def __init__(self) -> None:
        self.root = cast(HtmlElement, HTMLParser().makeelement("html"))
        self._open = [self.root]
        self._last: HtmlElement = self.root
        self._is_tail = False
        self._texts: list[str] = []
        self._depth = 0
        self._elements = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._write_text()
        self._depth += 1
        self._elements += 1
        if self._elements > ELEMENTS_MAX:
            raise _too_many_elements()
        if tag == "html" and self._depth == 1:
            self.root.attrib.update(attributes)
            return
        self._last = etree.SubElement(self._open[-1], tag, attributes)
        self._is_tail = self._depth > DEPTH_MAX
        if not self._is_tail:
            self._open.append(self._last)

    def end(self, tag: str) -> None:
        self._write_text()
        if 1 < self._depth <= DEPTH_MAX:
            self._last = self._open.pop()
            self._is_tail = True
        self._depth -= 1

    def data(self, text: str) -> None:
        self._texts.append(text)

    def comment(self, text: str) -> None:
        pass

    def close(self) -> Any:
        self._write_text()
        return self.root

    def _write_text(self) -> None:
        """Text belongs to what was last opened (as its text) or closed (as its tail)."""
        text = "".join(self._texts)
        self._texts.clear()
        if text and self._is_tail:
            self._last.tail = (self._last.tail or "") + text
        elif text:
            self._last.text = (self._last.text or "") + text


def _check_size(root: HtmlElement) -> None:
    if sum(1 for _ in root.iter(etree.Element)) > ELEMENTS_MAX:
        raise _too_many_elements()


def _too_many_elements() -> Permanent:
    return Permanent(f"the page is too large: more than {ELEMENTS_MAX:,} HTML elements (the limit)")
