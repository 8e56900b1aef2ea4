"""What a page says of itself: its title, its language, and whether it is an article."""

import re
from collections import defaultdict
from urllib.parse import urlsplit

from lxml.html import HtmlElement

from pipelines.knowledge.html_data import ARTICLE_TYPES, Node, has_type, read_text

TITLE_CHARS_MAX = 300
_LANGUAGE_TAG = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]+)*\s*")
_TITLE_BREAK = re.compile(r"\s+(?:[|–—\-·•«»›>/]|::)\s+|\s*[|｜]\s*|(?<=\w):\s+")
_NAME_SIGN = re.compile(r"[\W_]+")
_WEB_LABELS = frozenset({"www", "com", "co", "org", "net", "docs", "help", "support", "blog"})

Metas = dict[str, list[str]]


def read_metas(root: HtmlElement) -> Metas:
    """The contents of the page's meta elements by name, property or itemprop, lower case."""
    metas: Metas = defaultdict(list)
    for meta in root.iter("meta"):
        names = {meta.get(key, "").lower() for key in ("property", "name", "http-equiv")}
        for name in names - {""}:
            metas[name].append(meta.get("content", ""))
    return metas


def find_title(
    root: HtmlElement, metas: Metas, nodes: list[Node], *, url: str | None = None
) -> str | None:
    """The page's og:title, else its <title>, else its h1; the name of the site is cut off."""
    heads = [_join("".join(heading.itertext())) for heading in root.iter("h1")]
    named = [element.text or "" for element in root.iterfind(".//head/title")]
    sites = _find_site_names(metas, url)
    known = heads + [_join(read_text(node, "headline")) for node in nodes]
    titles = [_cut_site_name(_join(t), known, sites) for t in [*metas.get("og:title", ()), *named]]
    candidates = [title for title in [*titles, *heads] if title]
    telling = (title for title in candidates if _shrink(title) not in sites)
    title = next(telling, candidates[0] if candidates else None)
    return title[:TITLE_CHARS_MAX].rstrip() if title else None


def _find_site_names(metas: Metas, url: str | None) -> frozenset[str]:
    names = {_shrink(name) for key in ("og:site_name", "application-name") for name in metas[key]}
    try:
        labels = (urlsplit(url or "").hostname or "").split(".")
    except ValueError:
        labels = []
    return frozenset(names | {_shrink(label) for label in labels[:-1]} - _WEB_LABELS) - {""}


def _cut_site_name(title: str, heads: list[str], sites: frozenset[str]) -> str:
    """Cut "Fares | Ferries of Kiel" to "Fares": where a name is known, or the h1 says "Fares"."""
    breaks = list(_TITLE_BREAK.finditer(title))
    if not breaks:
        return title
    first, last = breaks[0], breaks[-1]
    ends = [(title[: last.start()], title[last.end() :]), (title[first.end() :], "")]
    ends[1] = (ends[1][0], title[: first.start()])
    for kept, cut in ends:
        if kept.strip() and _shrink(cut) in sites:
            return _cut_site_name(kept.strip(), heads, sites)
    shrunk = {_shrink(head) for head in heads} - {""}
    parts = [title[: one.start()] for one in breaks] + [title[one.end() :] for one in breaks]
    return next((part.strip() for part in parts if part and _shrink(part) in shrunk), title)


def _shrink(text: str) -> str:
    return _NAME_SIGN.sub("", text).casefold()


def _join(text: str) -> str:
    return " ".join(text.split())


def find_declared_language(root: HtmlElement, metas: Metas) -> str | None:
    """The primary subtag, lower case: `pt` for `pt-BR`."""
    body = root.find("body")
    tags = [root.get("lang"), root.get("{http://www.w3.org/XML/1998/namespace}lang")]
    tags += [root.get("xml:lang"), body.get("lang") if body is not None else None]
    tags += metas["content-language"]
    matches = (_LANGUAGE_TAG.fullmatch(tag) for tag in tags if tag)
    return next((match[1].lower() for match in matches if match), None)


def is_article(root: HtmlElement, metas: Metas, nodes: list[Node]) -> bool:
    """Tell whether the page declares itself a dated article."""
    if any(metas["article:published_time"]):
        return True
    if any(has_type(node, ARTICLE_TYPES) for node in nodes):
        return True
    return next(root.iterfind(".//*[@itemprop='articleBody']"), None) is not None


def is_called_article(metas: Metas) -> bool:
    """Tell whether og:type says article: many site builders write it on every page."""
    return any("article" in value.lower() for value in metas["og:type"])
