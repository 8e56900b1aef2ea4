"""A page's tree -> its pieces in reading order, and the areas that may be furniture."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from lxml import etree
from lxml.html import HtmlElement

from pipelines.knowledge.blocks import HEADING_CHARS_MAX, HEADING_LEVEL_MAX
from pipelines.knowledge.html_noise import (
    Chrome,
    find_chrome,
    find_words,
    is_aid,
    is_idle_control,
    is_line_number,
    is_opener,
    is_unseen,
)
from pipelines.knowledge.html_pieces import Area, Piece, Run, Slot
from pipelines.knowledge.html_whole import (
    is_code,
    is_table,
    read_code,
    read_formula,
    read_picture,
    read_table,
)
from pipelines.knowledge.html_words import (
    AFTERWORD_TITLES,
    CONTROL_TAGS,
    INLINE_TAGS,
    ROOT_TAGS,
    SECTION_TAGS,
    SPACED_TAGS,
)

HEADING_LEVELS = {f"h{level}": level for level in range(1, HEADING_LEVEL_MAX + 1)}
LINKED_SHARE_MIN = 0.5
TITLE_CHARS_MAX = 60
FARM_LINKS_MIN = 3
FARM_SHARE_MIN = 0.66
FARM_LINK_CHARS_MAX = 45

_ENDS_PHRASE = tuple(".:!?。：！？؟")


@dataclass(slots=True)
class Item:
    """An open list item: its first text takes the marker, what follows continues it.

    Behind a heading, a table or code in it, text is no longer the item's: `is_plain`.
    """

    marker: str
    level: int
    list_id: int
    is_started: bool = False
    is_plain: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """What the elements around make of a text."""

    kind: Literal["heading", "paragraph", "definition", "caption"] = "paragraph"
    level: int = 0
    item: Item | None = None
    list_id: int = 0
    list_level: int = 0
    is_link: bool = False
    in_main: bool = False


@dataclass(slots=True)
class Frame:
    """An open element and the walk's counts at its start."""

    element: HtmlElement
    place: Place
    is_block: bool
    pieces: int
    chars: int
    links_chars: int
    links: int
    number: int = 1


class Walk:
    """Walks a tree once, without recursion."""

    def __init__(self, opened_ids: frozenset[str] = frozenset(), *, heading_level: int = 1) -> None:
        self.pieces: list[Piece] = []
        self.areas: list[Area] = []
        self.chars = self.links_chars = self.links = 0
        self._opened_ids = opened_ids
        self._frames: list[Frame] = []
        self._run = Run()
        self._lists = 0
        self._heading_level = heading_level
        self._details = 0
        self._definitions = 0
        self._openers: list[tuple[int, int]] = []

    def over(self, root: HtmlElement) -> Walk:
        events = etree.iterwalk(root, events=("start", "end"))
        for event, element in events:
            if event == "end":
                self._close(self._frames[-1])
                self._frames.pop()
                if element is not root:
                    self._add_text(element.tail, (element, "tail"))
            elif not self._open(element):
                events.skip_subtree()
        self._flush(Place())
        return self

    # -- opening an element

    def _open(self, element: HtmlElement) -> bool:
        """Push the element's frame; False when its subtree is not walked."""
        place = self._place
        if self._is_skipped(element, place) or self._add_picture(element, place):
            self._push(element, place)
            return False
        if element.tag in INLINE_TAGS and not self._is_title(element, place):
            self._push(element, self._place_inline(element, place))
        else:
            self._flush(place)
            if self._add_whole(element, place):
                self._push(element, place)
                return False
            self._push(element, self._place_block(element, place), is_block=True)
        self._add_text(element.text, (element, "text"))
        return True

    @property
    def _place(self) -> Place:
        return self._frames[-1].place if self._frames else Place()

    def _push(self, element: HtmlElement, place: Place, *, is_block: bool = False) -> None:
        counts = (len(self.pieces), self.chars, self.links_chars, self.links)
        frame = Frame(element, place, is_block, *counts)
        frame.number = _parse_int(element.get("start"), default=1)
        self._frames.append(frame)

    def _is_skipped(self, element: HtmlElement, place: Place) -> bool:
        if is_unseen(element, self._opened_ids):
            return True
        in_heading = place.kind == "heading"
        if element.tag in ("td", "div"):
            return is_line_number(element)
        if element.tag in CONTROL_TAGS:
            return is_idle_control(element, in_heading=in_heading)
        return element.tag in ("a", "sup") and is_aid(element, in_heading=in_heading)

    def _place_inline(self, element: HtmlElement, place: Place) -> Place:
        if element.tag == "br":
            self._break_line(place)
        elif element.tag in SPACED_TAGS:
            self._run.space_before(element)
        if element.tag != "a" or place.is_link:
            return place
        self.links += 1
        return replace(place, is_link=True)

    def _place_block(self, element: HtmlElement, place: Place) -> Place:
        tag = element.tag
        if tag in HEADING_LEVELS or tag == "summary" or self._is_title(element, place):
            return self._place_heading(tag, place)
        if tag in ("ul", "ol", "dir") or (tag == "dl" and _is_simple(element)):
            return self._place_list(place)
        if tag in ("li", "dt", "dd"):
            return self._place_item(element, place)
        if tag == "figcaption" or _is_caption(element):
            return replace(place, kind="caption", item=None)
        if tag == "details":
            self._details += 1
        if tag == "main" or element.get("role") == "main":
            return replace(place, in_main=True)
        return Place(in_main=place.in_main) if tag in ("td", "th") else place

    def _is_title(self, element: HtmlElement, place: Place) -> bool:
        """Tell whether the element is the title of a panel that it opens."""
        if "aria-expanded" not in element.attrib or place.kind == "heading" or place.is_link:
            return False
        return is_opener(element) and not self._holds_blocks(element)

    @staticmethod
    def _holds_blocks(element: HtmlElement) -> bool:
        return (
            next(element.iterdescendants("ul", "ol", "table", "pre", *HEADING_LEVELS), None)
            is not None
        )

    def _place_heading(self, tag: str, place: Place) -> Place:
        """A summary is a heading below the one before it."""
        if place.item:
            place.item.is_plain = True
        level = HEADING_LEVELS.get(tag)
        if level is None:
            level = min(self._heading_level + max(self._details, 1), HEADING_LEVEL_MAX)
        if tag not in HEADING_LEVELS and tag != "summary":
            self._openers.append((len(self.pieces), level))
        elif not self._details:
            self._heading_level = level
        return replace(place, kind="heading", level=level)

    def _place_list(self, place: Place) -> Place:
        if place.item and not place.item.is_plain:
            return replace(place, list_level=place.list_level + 1)
        self._lists += 1
        return replace(place, item=None, list_id=self._lists, list_level=1)

    def _place_item(self, element: HtmlElement, place: Place) -> Place:
        if element.tag == "dd":
            return replace(place, kind="definition") if place.list_id else place
        if element.tag == "dt" and not place.list_id:
            return place
        if not place.list_id:
            self._lists += 1
            place = replace(place, list_id=self._lists, list_level=1)
        self._definitions = 0
        item = Item(self._next_marker(element), place.list_level, place.list_id)
        return replace(place, kind="paragraph", item=item)

    def _next_marker(self, element: HtmlElement) -> str:
        parent = self._frames[-1] if self._frames else None
        if parent is None or parent.element.tag != "ol":
            return "- "
        number = _parse_int(element.get("value"), default=parent.number)
        parent.number = number + 1
        return f"{number}. "

    # -- text

    def _add_text(self, text: str | None, slot: Slot) -> None:
        if text:
            is_link = self._place.is_link
            chars = self._run.add(text, slot, is_link=is_link)
            self._count(chars, chars if is_link else 0, 0)

    def _count(self, chars: int, links_chars: int, links: int) -> None:
        self.chars += chars
        self.links_chars += links_chars
        self.links += links

    def _break_line(self, place: Place) -> None:
        """One break is a new line, two with nothing between are a new paragraph."""
        if self._run.ends_in_break():
            self._flush(place)
        else:
            self._run.add_break()

    def _flush(self, place: Place) -> None:
        run, self._run = self._run, Run()
        text = run.text()
        if text and not (place.kind == "definition" and self._define(place, text, run)):
            self._add_piece(place, text, run)

    def _add_piece(self, place: Place, text: str, run: Run) -> None:
        piece = Piece("paragraph", text, self._find_holder(), links_chars=run.links_chars)
        piece.in_main = place.in_main
        piece.slots = run.find_slots()
        item = place.item
        if place.kind == "heading" and len(text) <= HEADING_CHARS_MAX:
            piece.kind, piece.level = "heading", place.level
        elif place.kind == "caption":
            piece.kind = "caption"
        elif item is not None and not item.is_plain:
            piece.kind, piece.level, piece.list_id = "item", item.level, item.list_id
            piece.marker = "" if item.is_started else item.marker
            item.is_started = True
        self.pieces.append(piece)

    def _define(self, place: Place, text: str, run: Run) -> bool:
        """Write a definition behind its term: `- Term: definition; second definition`."""
        term = self.pieces[-1] if self.pieces else None
        if term is None or term.kind != "item" or term.list_id != place.list_id:
            return False
        between = "; " if self._definitions else ": "
        term.text += (" " if term.text.endswith(_ENDS_PHRASE) else between) + text
        term.links_chars += run.links_chars
        term.slots += run.find_slots()
        self._definitions += 1
        return True

    def _find_holder(self) -> HtmlElement | None:
        return next((frame.element for frame in reversed(self._frames) if frame.is_block), None)

    def _add_whole(self, element: HtmlElement, place: Place) -> bool:
        """Add code or a table, which are read as one piece; False when it is neither."""
        if is_code(element):
            pieces = read_code(element)
        elif is_table(element):
            pieces = read_table(element, self._read_cell)
        else:
            return False
        for piece in pieces:
            piece.in_main = place.in_main
            self._count(len(piece.text), piece.links_chars, min(piece.links_chars, 1))
            self.pieces.append(piece)
        if pieces and place.item:
            place.item.is_plain = True
        return bool(pieces) or is_code(element)

    def _add_picture(self, element: HtmlElement, place: Place) -> bool:
        """Add a formula's source or a picture's description; False when it is neither."""
        if element.tag == "math" and (formula := read_formula(element)):
            self._add_text(formula, (element, "text"))
            return True
        captions = read_picture(element) if element.tag == "img" else []
        if captions:
            self._flush(place)
            captions[0].in_main = place.in_main
            self._count(len(captions[0].text), 0, 0)
            self.pieces += captions
        return bool(captions)

    def _read_cell(self, cell: HtmlElement) -> list[Piece]:
        return Walk(self._opened_ids).over(cell).pieces

    # -- closing an element

    def _close(self, frame: Frame) -> None:
        if not frame.is_block:
            return
        self._flush(frame.place)
        self._leave_panels(frame)
        if frame.element.tag == "details":
            level = min(self._heading_level + self._details, HEADING_LEVEL_MAX)
            self.pieces.append(Piece("leave", level=level))
            self._details -= 1
        elif len(self.pieces) > frame.pieces and frame.element.tag not in ROOT_TAGS:
            self._add_area(frame)

    def _leave_panels(self, frame: Frame) -> None:
        """A panel's section ends with the first element that holds its opener and its text."""
        while self._openers and self._openers[-1][0] >= frame.pieces:
            title, level = self._openers[-1]
            if len(self.pieces) == title + 1:
                return
            self.pieces.append(Piece("leave", level=level))
            self._openers.pop()

    def _add_area(self, frame: Frame) -> None:
        chars, links_chars = self.chars - frame.chars, self.links_chars - frame.links_chars
        chrome = find_chrome(frame.element)
        if chrome is Chrome.LINKED and links_chars < LINKED_SHARE_MIN * chars:
            chrome = None
        if chrome is None and self._is_afterword(frame):
            chrome = Chrome.WORDED
        if chrome is None and _is_link_farm(chars, links_chars, self.links - frame.links):
            chrome = Chrome.LINKED
        if chrome is not None:
            span = (frame.pieces, len(self.pieces))
            self.areas.append(Area(chrome, frame.element.tag, *span, chars, links_chars))

    def _is_afterword(self, frame: Frame) -> bool:
        first = self.pieces[frame.pieces]
        is_short = first.kind in ("heading", "paragraph") and len(first.text) < TITLE_CHARS_MAX
        return is_short and first.text.casefold().strip(" :?!.…") in AFTERWORD_TITLES


def _is_link_farm(chars: int, links_chars: int, links: int) -> bool:
    """Tell a menu or tag list from cards and catalogues, whose links are long."""
    if links < FARM_LINKS_MIN or links_chars < FARM_SHARE_MIN * chars:
        return False
    return links_chars < FARM_LINK_CHARS_MAX * links


def _is_simple(definitions: HtmlElement) -> bool:
    """Tell a list of terms and short definitions from one that holds whole sections."""
    for definition in definitions.iter("dd"):
        blocks = islice((e for e in definition.iterdescendants(*SECTION_TAGS)), 2)
        if [block.tag for block in blocks] not in ([], ["p"], ["div"]):
            return False
    return True


def _is_caption(element: HtmlElement) -> bool:
    if element.tag not in ("p", "div", "caption"):
        return False
    return element.tag == "caption" or "caption" in find_words(element.get("class", ""))


def _parse_int(value: str | None, *, default: int) -> int:
    return int(value) if value and re.fullmatch(r"-?\d{1,6}", value, re.ASCII) else default
