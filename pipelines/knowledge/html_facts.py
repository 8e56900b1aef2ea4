"""What a page says of itself: its title, its language, and whether it is an article."""

import re

from lxml import etree
from lxml.html import HtmlElement

TITLE_CHARS_MAX = 300
_ARTICLE_TYPE = re.compile(
    r'"@type"\s*:\s*\[?\s*"(?:[A-Za-z]*Article|BlogPosting|Report|LiveBlogPosting)"'
)
_LANGUAGE_TAG = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]+)*\s*")


def find_title(root: HtmlElement) -> str | None:
    """The page's <title>, else its og:title, else its first h1."""
    candidates = [
        *(element.text or "" for element in root.iterfind(".//head/title")),
        *_find_metas(root, "og:title"),
        *("".join(element.itertext()) for element in root.iter("h1")),
    ]
    titles = (" ".join(candidate.split()) for candidate in candidates)
    return next((title[:TITLE_CHARS_MAX] for title in titles if title), None)


def find_declared_language(root: HtmlElement) -> str | None:
    """The primary subtag, lower case: `pt` for `pt-BR`."""
    body = root.find("body")
    tags = [root.get("lang"), root.get("{http://www.w3.org/XML/1998/namespace}lang")]
    tags += [root.get("xml:lang"), body.get("lang") if body is not None else None]
    tags += _find_metas(root, "content-language")
    matches = (_LANGUAGE_TAG.fullmatch(tag) for tag in tags if tag)
    return next((match[1].lower() for match in matches if match), None)


def is_article(root: HtmlElement) -> bool:
    """Tell whether the page declares itself a dated article."""
    if any(_find_metas(root, "article:published_time")):
        return True
    scripts = root.iterfind(".//script[@type='application/ld+json']")
    if any(_ARTICLE_TYPE.search(script.text or "") for script in scripts):
        return True
    return next(root.iterfind(".//*[@itemprop='articleBody']"), None) is not None


def is_called_article(root: HtmlElement) -> bool:
    """Tell whether og:type says article: many site builders write it on every page."""
    return any("article" in value.lower() for value in _find_metas(root, "og:type"))


def _find_metas(root: HtmlElement, name: str) -> list[str]:
    metas = root.iter("meta")
    keys = ("property", "name", "http-equiv")
    return [
        meta.get("content", "")
        for meta in metas
        if any(meta.get(key, "").lower() == name for key in keys)
    ]


def count_elements(root: HtmlElement) -> int:
    return sum(1 for _ in root.iter(etree.Element))
