"""Walk through a text window by window, and list the places where it may be cut."""

from dataclasses import dataclass

import numpy as np
import regex

from pipelines.knowledge.split_chars import Codes, Octets
from pipelines.knowledge.split_grade import ALWAYS_MAX, Place, grade, grade_wide, wide_cuts
from pipelines.knowledge.split_window import (
    Ints,
    Layout,
    Window,
    letter_ends,
    open_window,
    safe_places,
)

CONTEXT_CHARS = 16  # Read on each side of a window, for the hashes of the places near its ends.
WINDOW_CHARS = 1 << 18
WINDOW_CHARS_MAX = 1 << 20
TAIL_CHARS = 1 << 10

_GRAPHEME = regex.compile(r"\X")


@dataclass(frozen=True, slots=True)
class Scan:
    """The places in `text[start:stop]`, as parallel arrays; all numbers are offsets in the text.

    A chunk ends at `cuts[i]` and the next begins there; `lefts[i]:rights[i]` is the white space
    around it, empty in scripts without spaces. At the offsets in `safe`, both ends included,
    tokens add up. `torn` says that `stop` has to be a cut, for no safe place was near.
    """

    start: int
    stop: int
    torn: bool
    safe: Ints
    lefts: Ints
    rights: Ints
    cuts: Ints
    places: Octets
    origin: int  # The offset of codes[0].
    codes: Codes


def scan(layout: Layout, start: int) -> Scan:
    """Scan from `start` to the end, or to just behind a good place in the next WINDOW_CHARS.

    Where a window ends is no reason to cut there: an edit would move every later window.
    """
    size = WINDOW_CHARS
    while True:
        found = _scan_window(layout, start, min(start + size, layout.high))
        if found.stop == layout.high:
            return found
        ended = _end_behind_good_place(found)
        if ended or size >= WINDOW_CHARS_MAX:
            return ended or _tear(found, layout.text)
        size *= 2


def _scan_window(layout: Layout, start: int, stop: int) -> Scan:
    window = open_window(layout.text, max(start - CONTEXT_CHARS, 0), stop + CONTEXT_CHARS)
    lefts, rights, cuts, places, safe = _list_places(window, layout)
    origin, end = window.origin, min(stop, layout.content_end)
    here = slice(
        np.searchsorted(cuts, start - origin, "right"), np.searchsorted(cuts, end - origin)
    )
    safe = safe + origin
    return Scan(
        start=start,
        stop=stop,
        torn=False,
        safe=np.concatenate(
            [[start], safe[(safe > start) & (safe <= end) & (safe < stop)], [stop]]
        ),
        lefts=lefts[here] + origin,
        rights=rights[here] + origin,
        cuts=cuts[here] + origin,
        places=places[here],
        origin=origin,
        codes=window.codes,
    )


def _list_places(window: Window, layout: Layout) -> tuple[Ints, Ints, Ints, Octets, Ints]:
    places, safe, wide = grade(window, layout), safe_places(window), wide_cuts(window)
    if not wide.size:
        return window.lefts, window.rights, window.cuts, places, safe
    order = np.argsort(np.append(window.cuts, wide), kind="stable")
    lefts, rights, cuts = (
        np.append(side, wide)[order] for side in (window.lefts, window.rights, window.cuts)
    )
    places = np.append(places, grade_wide(wide, window, layout))[order]
    return lefts, rights, cuts, places, np.union1d(safe, letter_ends(window))


def _end_behind_good_place(found: Scan) -> Scan | None:
    half = (found.start + found.stop) // 2
    for worst in (Place.BLOCK, ALWAYS_MAX):
        good = found.cuts[(found.places <= worst) & (found.cuts <= found.safe[-2])]
        if good.size and good[-1] >= half:
            stop = int(found.safe[np.searchsorted(found.safe, good[-1])])
            return _until(found, stop)
    return None


def _tear(found: Scan, text: str) -> Scan:
    """End a scan of endless text at its last white space, or else between two graphemes."""
    if found.cuts.size and found.cuts[-1] > (found.start + found.stop) // 2:
        return _until(found, int(found.cuts[-1]), torn=True)
    tail = text[found.stop - TAIL_CHARS : found.stop]
    last = max(grapheme.start() for grapheme in _GRAPHEME.finditer(tail))
    return _until(found, found.stop - (len(tail) - last if last else 0), torn=True)


def _until(found: Scan, stop: int, *, torn: bool = False) -> Scan:
    here = slice(0, np.searchsorted(found.cuts, stop, "left" if torn else "right"))
    return Scan(
        start=found.start,
        stop=stop,
        torn=torn,
        safe=np.append(found.safe[found.safe < stop], stop),
        lefts=found.lefts[here],
        rights=found.rights[here],
        cuts=found.cuts[here],
        places=found.places[here],
        origin=found.origin,
        codes=found.codes,
    )
