"""JSON-LD of a page: what it says to search engines, and at times to nobody else."""

import json
import re
from collections.abc import Iterator
from typing import Any

from lxml.html import HtmlElement

SCRIPT_CHARS_MAX = 2_000_000
NODES_MAX = 2_000
ARTICLE_TYPES = re.compile(r"(?:[A-Za-z]*Article|BlogPosting|Report|LiveBlogPosting)")

_ARTICLE_MARK = re.compile(r'"@type"\s*:\s*\[?\s*"(' + ARTICLE_TYPES.pattern + r')"')
_PADDING = re.compile(r"^\s*(?:<!--|<!\[CDATA\[|//\s*<!\[CDATA\[)|(?:-->|//\s*\]\]>|\]\]>)\s*$")

Node = dict[str, Any]


def read_nodes(root: HtmlElement) -> list[Node]:
    """Every JSON object with a type, outer ones first; of broken JSON its article's type alone."""
    nodes: list[Node] = []
    for script in root.iter("script"):
        text = script.text or ""
        if "ld+json" in script.get("type", "").lower() and len(text) <= SCRIPT_CHARS_MAX:
            nodes += _read_script(text)
    return nodes[:NODES_MAX]


def _read_script(text: str) -> list[Node]:
    try:
        # Line breaks inside of strings are common: strict=False reads them.
        values = json.loads(_PADDING.sub("", text), strict=False)
    except (ValueError, RecursionError):
        mark = _ARTICLE_MARK.search(text)
        return [{"@type": mark[1]}] if mark else []
    return list(_iterate_nodes(values))


def _iterate_nodes(values: Any) -> Iterator[Node]:
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "@type" in value:
                yield value
            waiting += reversed(value.values())
        elif isinstance(value, list):
            waiting += reversed(value)


def has_type(node: Node, pattern: re.Pattern[str]) -> bool:
    types = node.get("@type")
    names = types if isinstance(types, list) else [types]
    return any(isinstance(name, str) and pattern.fullmatch(name) for name in names)


def read_text(node: Node, key: str) -> str:
    """A property as text: a string, a number, or the first of several; "" for anything else."""
    value = node.get(key)
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("@value", value.get("name"))
    is_text = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value).strip() if is_text else ""
