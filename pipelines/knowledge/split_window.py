"""Read a stretch of a text character by character: its white space, and where tokens add up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from pipelines.knowledge.document import Block
from pipelines.knowledge.split_chars import (
    WHITE,
    Codes,
    Octets,
    Sort,
    Trait,
    codes_of,
    sorts_of,
    traits_of,
)

Ints = npt.NDArray[np.int64]

INDENT_CHARS_MAX = 64
KINDS = {"paragraph": 0, "heading": 1, "list": 2, "table": 3, "code": 4, "caption": 5}


@dataclass(frozen=True, slots=True)
class Layout:
    """The part `low:high` of a text that is to be cut, and its blocks as arrays.

    `kinds[i + 1]` is the kind of block i, a value of KINDS; text before the first block reads as
    a paragraph. `content_end` is where the white space at the end of the part begins.
    """

    text: str
    starts: Ints
    kinds: Octets
    low: int
    high: int
    content_end: int

    def part(self, low: int, high: int) -> Self:
        content_end = low + len(self.text[low:high].rstrip(WHITE))
        return replace(self, low=low, high=high, content_end=content_end)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of text; its runs of white space are `lefts:rights` and are cut at `cuts`.

    Numbers are offsets in the window, which begins at `origin` in the text.
    """

    origin: int
    codes: Codes
    sorts: Octets
    lefts: Ints
    rights: Ints
    cuts: Ints

    def traits(self, places: Ints) -> Octets:
        return traits_of(self.codes[places])


def lay_out(text: str, blocks: Sequence[Block]) -> Layout:
    """Lay out a whole text, to be cut as a whole."""
    kinds = (0, *(KINDS[block.kind] for block in blocks))
    return Layout(
        text=text,
        starts=np.fromiter((block.start for block in blocks), np.int64, len(blocks)),
        kinds=np.fromiter(kinds, np.uint8, len(kinds)),
        low=0,
        high=len(text),
        content_end=len(text.rstrip(WHITE)),
    )


def open_window(text: str, start: int, stop: int) -> Window:
    codes = codes_of(text[start:stop])
    sorts = sorts_of(codes)
    lefts, rights = _white_runs(sorts)
    # A mark on a space is one grapheme with it.
    whole = (traits_of(codes[rights]) & Trait.EXTENDER) == 0
    lefts, rights = lefts[whole], rights[whole]
    return Window(
        origin=start,
        codes=codes,
        sorts=sorts,
        lefts=lefts,
        rights=rights,
        cuts=_cuts_of(lefts, rights, sorts),
    )


def safe_places(window: Window) -> Ints:
    """Return where no piece of a known encoding's expression spans, whatever stands further off.

    Encoded apart, the texts on both sides have as many tokens as together: before a space that
    follows anything else, and after the last newline of a run, but for a slash, which o200k takes
    with it. White space at the very end of a text is the exception: cl100k takes it whole.
    """
    lefts, cuts, sorts = window.lefts, window.cuts, window.sorts
    spaced = sorts[lefts] == Sort.WHITE
    broken = (sorts[cuts - 1] == Sort.NEWLINE) & (window.codes[cuts] != ord("/"))
    safe: Ints = np.where(spaced, lefts, cuts)[spaced | broken]
    return safe


def letter_ends(window: Window) -> Ints:
    """Return more such places: after a letter, before what is no letter, mark or contraction."""
    before, after, codes = window.sorts[:-1], window.sorts[1:], window.codes[1:]
    return (
        np.flatnonzero((before == Sort.LETTER) & (after >= Sort.NUMBER) & (codes != ord("'"))) + 1
    )


def _white_runs(sorts: Octets) -> tuple[Ints, Ints]:
    """Return where runs of white space begin and end, those with text on both sides."""
    white = sorts >= Sort.WHITE
    turns = np.flatnonzero(white[1:] != white[:-1]) + 1
    first = 1 if white[:1].any() else 0
    pairs = (turns.size - first) // 2
    return turns[first : first + 2 * pairs : 2], turns[first + 1 : first + 2 * pairs : 2]


def _cuts_of(lefts: Ints, rights: Ints, sorts: Octets) -> Ints:
    """Cut after a run's last newline, so that a line keeps its indent, else where it ends."""
    after = np.flatnonzero(sorts == Sort.NEWLINE) + 1
    runs = np.searchsorted(rights, after)
    inside = runs < rights.size
    after, runs = after[inside], runs[inside]
    inside = (lefts[runs] < after) & (rights[runs] - after <= INDENT_CHARS_MAX)
    cuts = rights.copy()
    cuts[runs[inside]] = after[inside]  # Of several newlines in a run the last one is kept.
    return cuts
