"""trafilatura as the judge of what belongs to an article: asked with marked text, not copied from.

Every piece's text is marked in the tree with one private-use character. The marks that come out
again name the pieces it kept; their structure is taken from the page itself, where trafilatura
would lose tables, indentation and lists.
"""

import logging
import re

import trafilatura
from lxml import etree
from lxml.html import HtmlElement
from trafilatura.settings import Document

from pipelines.knowledge.html_pieces import Piece, clean_text

# Beyond this its memory and time grow faster than the page (5 MB: 250 MB and 11 s).
JUDGED_ELEMENTS_MAX = 20_000
# It looks at every element once for each that is around it: an ordinary page adds up to 100,000.
JUDGED_NESTING_MAX = 500_000

# Nothing in these sways the judge; without them it is 13 % faster.
_IGNORED_TAGS = ("script", "style", "svg", "iframe", "link", "meta", "noscript", "template")
_FAILURES = (
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
    etree.LxmlError,
)
_FIRST_MARK = 0xF0000
_MARKS_MAX = 0xFFFD
_MARK = re.compile("[\U000f0000-\U000ffffd]")

logging.getLogger("trafilatura").setLevel(logging.CRITICAL)


def judge_article(root: HtmlElement, pieces: list[Piece]) -> frozenset[int] | None:
    """The indexes of the pieces that make up the article; None when it cannot be judged.

    Writes marks into the tree and strips scripts: its text is not to be read afterwards.
    """
    etree.strip_elements(root, *_IGNORED_TAGS, with_tail=False)
    elements = sum(1 for _ in root.iter(etree.Element))
    if len(pieces) > _MARKS_MAX or elements > JUDGED_ELEMENTS_MAX or _is_too_deep(root):
        return None
    _mark(pieces)
    article = _extract(root)
    if article is None:
        return None
    # A page may write characters of its own that look like marks.
    return _find_marks(article) & frozenset(range(len(pieces)))


def _is_too_deep(root: HtmlElement) -> bool:
    depth = nesting = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        nesting += depth
    return nesting > 2 * JUDGED_NESTING_MAX


def _extract(root: HtmlElement) -> HtmlElement | None:
    try:
        document = trafilatura.bare_extraction(root, favor_precision=True, include_comments=False)
    except _FAILURES:
        # A page that trips the judge is read without it.
        return None
    return document.body if isinstance(document, Document) else None


def _mark(pieces: list[Piece]) -> None:
    for index, piece in enumerate(pieces):
        mark = chr(_FIRST_MARK + index)
        for element, name in piece.slots:
            text = clean_text(getattr(element, name) or "")
            before = len(text) - len(text.lstrip())
            setattr(element, name, f"{text[:before]}{mark} {text[before:]}")


def _find_marks(body: HtmlElement) -> frozenset[int]:
    text = "".join(body.itertext())
    return frozenset(ord(mark) - _FIRST_MARK for mark in _MARK.findall(text))
