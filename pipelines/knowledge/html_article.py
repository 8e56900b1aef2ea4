"""Corrections of the judge's choice on an article page, each measured on its own."""

import re
from collections import Counter
from collections.abc import Iterator

from lxml.html import HtmlElement

from pipelines.knowledge.html_pieces import Area, Piece

ARTICLE_CHARS_MIN = 250
# A container is the article's body when this much of the article stands in its like already.
CONTAINER_CHARS_MIN = 300
PARAGRAPH_CHARS_MIN = 60
LINE_CHARS_MIN = 30
LINK_SHARE_MAX = 0.5
TEASER_LINK_SHARE_MIN = 0.7
# How far behind a heading its own text may begin.
SECTION_PIECES = 3

_CREDIT = re.compile(
    r"\b(?:photo\w*\s*(?::|by\b)|credit|courtesy|getty|reuters|afp|ap)\b|©", re.IGNORECASE
)


def correct_article(pieces: list[Piece], areas: list[Area], judged: frozenset[int]) -> set[int]:
    """Apply all corrections; each sees the choice of the one before."""
    article = _Article(pieces, areas, judged)
    article.drop_inner_articles()
    article.add_sibling_paragraphs()
    article.add_neighbours()
    article.add_quoted_posts()
    article.add_headings()
    article.drop_teasers()
    article.drop_dead_headings()
    return article.kept


class _Article:
    """The choice while it is being corrected: `kept` holds indexes of `pieces`."""

    def __init__(self, pieces: list[Piece], areas: list[Area], judged: frozenset[int]) -> None:
        self.kept = set(judged)
        self._pieces = pieces
        self._furniture = {index for area in areas for index in range(area.start, area.end)}

    def drop_inner_articles(self) -> None:
        """An article inside the article is a comment, or a teaser of another page."""
        outer = {i for i in self.kept if _count_articles(self._pieces[i].holder) < 2}
        if sum(len(self._pieces[i].text) for i in outer) >= ARTICLE_CHARS_MIN:
            self.kept = outer

    def add_sibling_paragraphs(self) -> None:
        """Some sites cut the body into containers of one class; the judge may take one of them."""
        chars: Counter[tuple[str, str]] = Counter()
        for piece in map(self._pieces.__getitem__, self.kept):
            chars[_find_container(piece)] += len(piece.text)
        bodies = {name for name, n in chars.items() if name[1] and n >= CONTAINER_CHARS_MIN}
        for index, piece in self._left_out(0, len(self._pieces)):
            is_long = len(piece.text) > PARAGRAPH_CHARS_MIN and piece.link_share < LINK_SHARE_MAX
            if piece.kind == "paragraph" and is_long and _find_container(piece) in bodies:
                self.kept.add(index)

    def add_neighbours(self) -> None:
        """Between first and last: code, tables, and text of the element that holds the most."""
        body = self._find_body()
        for index, piece in self._left_out(*self._span()):
            holder = piece.holder
            is_ours = holder is not None and body in (holder, holder.getparent())
            is_text = len(piece.text) > LINE_CHARS_MIN and piece.link_share < LINK_SHARE_MAX
            is_line = piece.kind in ("paragraph", "item") and is_text
            is_whole = piece.kind in ("code", "table")
            if (is_line and is_ours) or is_whole or _is_own_caption(piece, body):
                self.kept.add(index)

    def _find_body(self) -> HtmlElement | None:
        chars: Counter[HtmlElement] = Counter()
        for piece in map(self._pieces.__getitem__, self.kept):
            parent = piece.holder.getparent() if piece.holder is not None else None
            if parent is not None:
                chars[parent] += len(piece.text)
        return chars.most_common(1)[0][0] if chars else None

    def add_quoted_posts(self) -> None:
        quotes = self._left_out(*self._span(), with_furniture=True)
        self.kept.update(index for index, piece in quotes if _is_quoted_post(piece.holder))

    def add_headings(self) -> None:
        for index, piece in self._left_out(*self._span()):
            if piece.kind == "heading" and index + 1 in self.kept:
                self.kept.add(index)

    def drop_teasers(self) -> None:
        """A paragraph that is one link leads away: "Read more: ..."."""
        for index in list(self.kept):
            piece = self._pieces[index]
            is_linked = piece.link_share > TEASER_LINK_SHARE_MIN
            if is_linked and piece.kind in ("paragraph", "item"):
                self.kept.discard(index)

    def drop_dead_headings(self) -> None:
        """A heading whose section was left out goes with it."""
        for index in sorted(self.kept):
            piece = self._pieces[index]
            if piece.kind == "heading" and not self._has_section(index):
                self.kept.discard(index)

    def _has_section(self, index: int) -> bool:
        following = range(index + 1, min(index + 1 + SECTION_PIECES, len(self._pieces)))
        if following and self._pieces[following[0]].kind == "heading":
            return True
        return any(follower in self.kept for follower in following)

    def _span(self) -> tuple[int, int]:
        return (min(self.kept), max(self.kept)) if self.kept else (0, 0)

    def _left_out(
        self, start: int, end: int, *, with_furniture: bool = False
    ) -> Iterator[tuple[int, Piece]]:
        for index in range(start, end):
            if index not in self.kept and (with_furniture or index not in self._furniture):
                yield index, self._pieces[index]


def _find_container(piece: Piece) -> tuple[str, str]:
    """Tag and class of the element around a paragraph; without a class none is recognised."""
    if piece.holder is None or piece.holder.tag != "p":
        return ("", "")
    parent = piece.holder.getparent()
    return (str(parent.tag), parent.get("class", "")) if parent is not None else ("", "")


def _count_articles(element: HtmlElement | None) -> int:
    if element is None:
        return 0
    return int(element.tag == "article") + sum(1 for _ in element.iterancestors("article"))


def _is_quoted_post(element: HtmlElement | None) -> bool:
    if element is None:
        return False
    quotes = [element, *element.iterancestors("blockquote")]
    return any(q.tag == "blockquote" and "twitter" in q.get("class", "") for q in quotes)


def _is_own_caption(piece: Piece, body: HtmlElement | None) -> bool:
    """Tell the caption of a figure among the article's paragraphs from a press photo's credit."""
    caption = piece.holder
    if piece.kind != "caption" or caption is None or caption.tag != "figcaption":
        return False
    if _CREDIT.search(piece.text):
        return False
    figure = caption.getparent()
    return figure is not None and body is not None and figure.getparent() is body
