"""Say what kind of place each possible cut is: between sections, rows, sentences, words."""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pipelines.knowledge.split_chars import Octets, Sort, Trait, traits_of
from pipelines.knowledge.split_window import KINDS, Ints, Layout, Window

Flags = npt.NDArray[np.bool_]


class Place(IntEnum):
    """What a place divides. WORD and CLAUSE are of prose, INSIDE is any other white space."""

    SECTION = 0
    BLOCK = 1
    LINE = 2  # Rows of a table, items of a list.
    SENTENCE = 3
    LOOSE = 4  # Blocks that belong together: a lead-in and its list, a caption and its table.
    CLAUSE = 5
    WORD = 6
    CODE_BLANK = 7
    CODE_LINE = 8
    GLUE = 9  # A heading and what follows it.
    INSIDE = 10
    GRAPHEME = 11


ALWAYS_MAX = Place.LOOSE  # Better places are always offered, worse ones where a span is too long.
_PROSE = np.array([KINDS["paragraph"], KINDS["list"], KINDS["caption"]], np.uint8)
CLOSERS_MAX = 3
WIDE_MIN = 0x3000  # The first character that needs no space after it.


def grade(window: Window, layout: Layout) -> Octets:
    """Return the Place of each run of white space in `window`."""
    places = np.full(window.cuts.size, Place.WORD, np.uint8)
    ends = window.traits(window.lefts - 1)
    marked = np.flatnonzero(ends & (Trait.STOP | Trait.PAUSE | Trait.CLOSER | Trait.SPACELESS))
    places[marked] = _grade_phrases(window, window.lefts[marked], window.rights[marked])
    _grade_lines(places, window)
    if layout.starts.size:
        _grade_by_kind(places, window, layout)
        _grade_block_ends(places, window, layout)
    return places


def _grade_phrases(window: Window, lefts: Ints, rights: Ints) -> Octets:
    last = _skip_closers(window, lefts - 1)
    before, after = window.traits(lefts - 1), window.traits(rights)
    stop = (window.traits(last) & Trait.STOP) > 0
    pause = ((before & Trait.PAUSE) | (before & after & Trait.SPACELESS)) > 0
    ended = stop & ((after & Trait.LOWER) == 0) & ~_abbreviated(window, last)
    places = np.where(stop | pause, Place.CLAUSE, Place.WORD)
    return np.where(ended, Place.SENTENCE, places).astype(np.uint8)


def _skip_closers(window: Window, last: Ints) -> Ints:
    """Step back over quotes and brackets, to what they close."""
    for _ in range(CLOSERS_MAX):
        closer = (window.traits(last) & Trait.CLOSER) > 0
        last = np.where(closer, np.maximum(last - 1, 0), last)
    return last


def _abbreviated(window: Window, stops: Ints) -> Flags:
    """Find the full stops of `J.`, `e.g.`, `Dr.`, `Fig.` and of an item's number, as in `3.`"""
    near = [np.maximum(stops - back, 0) for back in (1, 2, 3, 4)]
    sorts = [window.sorts[place] for place in near]
    letter = [sort == Sort.LETTER for sort in sorts]
    lower = [(window.traits(place) & Trait.LOWER) > 0 for place in near[:2]]
    upper = [(window.traits(place) & Trait.UPPER) > 0 for place in near[1:3]]
    short = letter[0] & ~letter[1]
    short |= lower[0] & upper[0] & ~letter[2]
    short |= lower[0] & lower[1] & upper[1] & ~letter[3]
    number = sorts[0] == Sort.NUMBER
    short |= number & (sorts[1] == Sort.NEWLINE)
    short |= number & (sorts[1] == Sort.NUMBER) & (sorts[2] == Sort.NEWLINE)
    found: Flags = short & (window.codes[stops] == ord("."))
    return found


def _grade_lines(places: Octets, window: Window) -> None:
    """In prose a blank line ends a paragraph; a single newline may be mere wrapping."""
    broken = _newlines_in(window, window.codes == ord("\n"))
    places[(broken == 1) & (places > Place.CLAUSE)] = Place.CLAUSE
    places[broken > 1] = Place.BLOCK


def _newlines_in(window: Window, newline: Flags) -> Ints:
    """Count the newlines in each run of white space."""
    places = np.flatnonzero(newline)
    runs = np.searchsorted(window.rights, places, "right")
    places, runs = places[runs < window.rights.size], runs[runs < window.rights.size]
    runs = runs[window.lefts[runs] <= places]
    counts: Ints = np.bincount(runs, minlength=window.rights.size)
    return counts


def _grade_by_kind(places: Octets, window: Window, layout: Layout) -> None:
    """Correct the places inside blocks that are not paragraphs."""
    starts = layout.starts - window.origin
    first, last = np.searchsorted(starts, (0, window.codes.size))
    if not layout.kinds[first : last + 1].any():
        return
    kinds = layout.kinds[np.searchsorted(starts, window.lefts)]
    broken = _newlines_in(window, window.sorts == Sort.NEWLINE) > 0
    prose = np.isin(kinds, _PROSE)
    places[broken & (kinds == KINDS["list"])] = Place.LINE
    places[~prose] = Place.INSIDE
    places[broken & (kinds == KINDS["table"])] = Place.LINE
    code = kinds == KINDS["code"]
    blank = _newlines_in(window, window.codes == ord("\n")) > 1
    places[broken & code] = Place.CODE_LINE
    places[blank & code] = Place.CODE_BLANK


def _grade_block_ends(places: Octets, window: Window, layout: Layout) -> None:
    starts = layout.starts - window.origin
    near = starts[(starts > 0) & (starts < window.codes.size)]
    runs = np.unique(np.searchsorted(window.rights, near))
    runs = runs[runs < window.rights.size]
    before = np.searchsorted(starts, window.lefts[runs])
    after = np.searchsorted(starts, window.rights[runs], "right")
    runs, before, after = (side[after > before] for side in (runs, before, after))
    kinds_before, kinds_after = layout.kinds[before], layout.kinds[after]
    caption = (kinds_before == KINDS["caption"]) | (kinds_after == KINDS["caption"])
    lead_in = window.codes[window.lefts[runs] - 1] == ord(":")
    places[runs] = np.select(
        [kinds_before == KINDS["heading"], kinds_after == KINDS["heading"], caption | lead_in],
        [Place.GLUE, Place.SECTION, Place.LOOSE],
        Place.BLOCK,
    )


def wide_cuts(window: Window) -> Ints:
    """Return the cuts after Chinese and Japanese stops and pauses, which no space follows."""
    if window.codes.size == 0 or window.codes.max() < WIDE_MIN:
        return np.empty(0, np.int64)
    marks = np.flatnonzero(traits_of(window.codes) & Trait.WIDE)
    cuts = marks[marks + 1 < window.codes.size] + 1
    ended = window.traits(_skip_closers(window, cuts - 1)) & (Trait.STOP | Trait.PAUSE)
    bound = window.traits(cuts) & (Trait.STOP | Trait.PAUSE | Trait.CLOSER | Trait.EXTENDER)
    places: Ints = cuts[(ended > 0) & (bound == 0) & (window.sorts[cuts] < Sort.WHITE)]
    return places


def grade_wide(cuts: Ints, window: Window, layout: Layout) -> Octets:
    last = _skip_closers(window, cuts - 1)
    places = np.where(window.traits(last) & Trait.STOP, Place.SENTENCE, Place.CLAUSE)
    kinds = layout.kinds[np.searchsorted(layout.starts - window.origin, cuts)]
    return np.where(np.isin(kinds, _PROSE), places, Place.INSIDE).astype(np.uint8)
