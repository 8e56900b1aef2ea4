"""Which of a page's pieces are its content."""

from collections.abc import Iterable
from dataclasses import dataclass

from lxml.html import HtmlElement

from pipelines.knowledge.html_article import correct_article
from pipelines.knowledge.html_judge import judge_article
from pipelines.knowledge.html_noise import Chrome, is_call_to_action, text_of
from pipelines.knowledge.html_page import Facts
from pipelines.knowledge.html_pieces import Area, Piece
from pipelines.knowledge.html_walk import Walk

# An area with more unlinked text than this is content, whatever its class says.
WORDED_CHARS_MAX = 600
LINKED_CHARS_MAX = 100
AREA_SHARE_MAX = 0.5
# Pages that are arranged by tables have their menus in cells; a table of links is content.
MENU_LINK_SHARE_MIN = 0.95
MAIN_SHARE_MIN = 0.5
ARTICLE_CHARS_MIN = 250
# A page that does not call itself an article is read as one when the judge leaves little out
# of it, and that is long prose: a short page's prices and hours must not be left out.
PROSE_CHARS_MIN = 1_500
PROSE_SHARE_MIN = 0.75
PROSE_PARAGRAPH_CHARS_MIN = 120
LEFTOVER_LINK_SHARE_MAX = 0.5
# Less text than this in navigation and footer alone is no page.
LEFTOVER_CHARS_MIN = 200


@dataclass(frozen=True, slots=True)
class Content:
    """The indexes of the chosen pieces. An article's own title is not among them."""

    kept: frozenset[int]
    is_article: bool


def choose_content(root: HtmlElement, walk: Walk, facts: Facts) -> Content:
    """Choose the article, or on any other page all that is not furniture.

    Writes marks into the tree: its text is not to be read afterwards.
    """
    pieces, areas = walk.pieces, walk.areas
    wide = choose_widely(pieces, areas)
    judged = judge_article(root, pieces)
    article = correct_article(pieces, areas, judged) if judged else set()
    is_long = _is_prose(pieces, article)
    if (facts.is_article and _count_chars(pieces, article) >= ARTICLE_CHARS_MIN) or (
        facts.is_called_article and is_long
    ):
        return Content(frozenset(_drop_title(pieces, article)), is_article=True)
    if is_long and _leaves_little(pieces, article, wide):
        return Content(frozenset(article | _find_title(pieces, wide)), is_article=False)
    return Content(frozenset(wide or _choose_leftovers(pieces, areas)), is_article=False)


def _is_prose(pieces: list[Piece], article: set[int]) -> bool:
    chars = _count_chars(pieces, article)
    paragraphs = sum(1 for index in article if pieces[index].kind == "paragraph")
    return chars >= max(PROSE_CHARS_MIN, PROSE_PARAGRAPH_CHARS_MIN * paragraphs)


def _leaves_little(pieces: list[Piece], article: set[int], wide: set[int]) -> bool:
    if any(pieces[index].kind in ("table", "code") for index in wide - article):
        return False
    return _count_chars(pieces, article) >= PROSE_SHARE_MIN * _count_chars(pieces, wide)


def _drop_title(pieces: list[Piece], article: set[int]) -> set[int]:
    """Leave out what is a first-level heading before the article's first text."""
    texts = (index for index in sorted(article) if pieces[index].kind != "heading")
    first = next(texts, 0)
    return {index for index in article if index > first or pieces[index].level != 1}


def _find_title(pieces: list[Piece], wide: set[int]) -> set[int]:
    titles = (i for i in sorted(wide) if pieces[i].kind == "heading" and pieces[i].level == 1)
    return {index for index in (next(titles, None),) if index is not None}


def _count_chars(pieces: list[Piece], indexes: Iterable[int]) -> int:
    return sum(len(pieces[index].text) for index in indexes)


def choose_widely(pieces: list[Piece], areas: list[Area]) -> set[int]:
    """Choose all that no area says is furniture, inside the page's main element if it has one."""
    kept = _leave_out(pieces, areas, {Chrome.NAMED})
    total = _count_chars(pieces, kept)
    for area in areas:
        if _is_furniture(area, pieces, total):
            kept.difference_update(range(area.start, area.end))
    kept = _keep_main(pieces, kept)
    return {index for index in kept if not _is_call(pieces[index])}


def _is_furniture(area: Area, pieces: list[Piece], total: int) -> bool:
    own_chars = area.chars - area.links_chars
    if area.chrome is Chrome.WORDED:
        return own_chars < WORDED_CHARS_MAX and area.chars < AREA_SHARE_MAX * total
    if area.chrome is Chrome.NAMED:
        return False
    if area.tag in ("table", "tr", "td") and area.links_chars < MENU_LINK_SHARE_MIN * area.chars:
        return False
    if all(piece.kind == "heading" for piece in pieces[area.start : area.end]):
        return False
    return own_chars < LINKED_CHARS_MAX or area.chars < AREA_SHARE_MAX * total


def _keep_main(pieces: list[Piece], kept: set[int]) -> set[int]:
    """Keep what stands in `main`, and before it the page's first title with what goes with it."""
    inside = {index for index in kept if pieces[index].in_main}
    if _count_chars(pieces, inside) < MAIN_SHARE_MIN * _count_chars(pieces, kept):
        return kept
    if any(pieces[index].kind == "heading" and pieces[index].level == 1 for index in inside):
        return inside
    first = min(inside, default=0)
    title = next((i for i in sorted(kept) if i < first and pieces[i].level == 1), first)
    return inside | {index for index in kept if title <= index < first}


def _is_call(piece: Piece) -> bool:
    """Tell whether the piece is one button, such as "Get started"."""
    if piece.kind != "paragraph" or not piece.slots:
        return False
    element = piece.slots[0][0]
    while element is not None and len(text_of(element)) <= len(piece.text):
        if is_call_to_action(element, piece.text):
            return True
        element = element.getparent()
    return False


def _choose_leftovers(pieces: list[Piece], areas: list[Area]) -> set[int]:
    """Of a page that is all furniture: its lists of links, else unlinked text, if long enough."""
    links = _leave_out(pieces, areas, {Chrome.NAMED, Chrome.WORDED})
    outside = _leave_out(pieces, areas, {Chrome.WORDED})
    texts = {index for index in outside if pieces[index].link_share < LEFTOVER_LINK_SHARE_MAX}
    choices = (kept for kept in (links, texts) if _count_chars(pieces, kept) >= LEFTOVER_CHARS_MIN)
    return next(choices, set())


def _leave_out(pieces: list[Piece], areas: list[Area], chromes: set[Chrome]) -> set[int]:
    kept = set(range(len(pieces)))
    for area in areas:
        if area.chrome in chromes:
            kept.difference_update(range(area.start, area.end))
    return kept
