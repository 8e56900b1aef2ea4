"""The pieces that a page's tree is taken apart into, and the run of text each is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from lxml.html import HtmlElement

from pipelines.knowledge.html_noise import Chrome
from pipelines.knowledge.html_words import SPACED_TAGS

PieceKind = Literal["heading", "paragraph", "item", "table", "code", "caption", "leave"]
# Where a mark can be written: the text or the tail of an element.
Slot = tuple[HtmlElement, Literal["text", "tail"]]

LINE_BREAK = "\0"

# Control characters are no text, soft hyphens and zero-width marks split words, and icon fonts
# live in the private use areas.
_INVISIBLE = re.compile(
    "[\0-\x08\x0b\x0e-\x1f\x7f\u00ad\u200b\u2060\ufeff\ufffe\uffff"
    "\ue000-\uf8ff\U000f0000-\U0010ffff]"
)


@dataclass(slots=True)
class Piece:
    """One heading, paragraph, list item, table, code block or caption.

    `holder` is the block element it stands in. `level` is a heading's level or an item's depth,
    from 1. `list_id` is equal for the items of one list. A piece of kind `leave` has no text:
    the section of that level ends there.
    """

    kind: PieceKind
    text: str = ""
    holder: HtmlElement | None = None
    level: int = 0
    marker: str = ""
    list_id: int = 0
    header_chars: int = 0
    links_chars: int = 0
    in_main: bool = False
    slots: list[Slot] = field(default_factory=list)

    @property
    def link_share(self) -> float:
        return self.links_chars / len(self.text) if self.text else 0.0


@dataclass(frozen=True, slots=True)
class Area:
    """The pieces [start, end) of an element that may be furniture of the site."""

    chrome: Chrome
    tag: str
    start: int
    end: int
    chars: int
    links_chars: int


class Run:
    """Text that is being collected for one piece."""

    def __init__(self) -> None:
        self.links_chars = 0
        self._texts: list[str] = []
        self._first: Slot | None = None
        self._longest: tuple[int, Slot] | None = None

    def add(self, text: str, slot: Slot, *, is_link: bool) -> int:
        """Append a text node; returns its characters without the white space around it."""
        text = clean_text(text)
        chars = len(text.strip())
        if text:
            self._texts.append(text)
        if chars:
            self._first = self._first or slot
            if self._longest is None or chars > self._longest[0]:
                self._longest = (chars, slot)
            self.links_chars += chars if is_link else 0
        return chars

    def add_break(self) -> None:
        if self._first:
            self._texts.append(LINE_BREAK)

    def ends_in_break(self) -> bool:
        last = next((text for text in reversed(self._texts) if not text.isspace()), "")
        return last == LINE_BREAK

    def space_before(self, element: HtmlElement) -> None:
        """Set two neighbours apart, but not a word whose letters are styled one by one."""
        previous = element.getprevious()
        if previous is None or previous.tag not in SPACED_TAGS or previous.tail or not self._texts:
            return
        before, after = self._texts[-1], element.text or "".join(element.itertext())
        if min(len(before), len(after)) > 1 and before[-1].isalnum() and after[0].isalnum():
            self._texts.append(" ")

    def text(self) -> str:
        if not self._first:
            return ""
        lines = "".join(self._texts).split(LINE_BREAK)
        return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))

    def find_slots(self) -> list[Slot]:
        """The first text node and the longest: together they outlive what others cut away."""
        if self._first is None or self._longest is None:
            return []
        longest = self._longest[1]
        return [longest] if longest is self._first else [self._first, longest]


def clean_text(text: str) -> str:
    return _INVISIBLE.sub("", text.replace("\f", " ").replace("\v", " "))
