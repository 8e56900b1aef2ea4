"""Count tokens at the places of a text, exactly, while encoding it only once.

Tokens add up at safe places alone, and a chunk rarely begins or ends at one: its first word has
lost the space before it, its last one keeps the space after it. So a place has two counts, of the
tokens up to there when a chunk ends there and when one begins there: a chunk from place i to
place j has `left[j] - right[i]` tokens, whichever i and j.
"""

from contextlib import suppress
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt
import tiktoken

from pipelines.knowledge.split_chars import PLANE_SIZE, Octets, Sort, sorts_of
from pipelines.knowledge.split_grade import ALWAYS_MAX, Place
from pipelines.knowledge.split_scan import Scan, scan
from pipelines.knowledge.split_window import Ints, Layout
from pipelines.knowledge.tokens import count

Hashes = npt.NDArray[np.uint64]

WORD_CHARS_MAX = 32  # Longer words are counted anew each time.
REACH_CHARS_MAX = 256  # Without a safe place so near, a place is not offered.
BLOCK_PHRASES = 0.75  # The longest block whose sentences are no places, in longest phrases.
HASH_CHARS = 8  # On each side of a place.

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Marks:
    """The places offered, as parallel arrays: the first is the text's start, the last its end.

    The chunk before place i ends at `ends[i]` and the next begins at `starts[i]`; they differ only
    by white space that no chunk has room for. No chunk reaches over a place that is `single`, and
    the one that ends there begins at the place before.
    """

    ends: Ints
    starts: Ints
    left: Ints
    right: Ints
    places: Octets
    hashes: Hashes
    single: Octets


@dataclass(frozen=True, slots=True)
class _Reading:
    """A scan and its tokens, of which `ends[i]` is the byte behind the i-th, counted in it."""

    text: str
    found: Scan
    base: int  # Tokens of the text before the scan.
    ends: Ints
    byte_starts: Ints | None  # None for ASCII, where bytes and characters are one.

    def total(self) -> int:
        return self.base + self.ends.size

    def at(self, offsets: Ints) -> Ints:
        """Count the tokens of the text up to safe offsets in this scan."""
        return np.searchsorted(self.ends, self._bytes(offsets), "right") + self.base

    def _bytes(self, offsets: Ints) -> Ints:
        inside = offsets - self.found.start
        return inside if self.byte_starts is None else self.byte_starts[inside]

    def divides(self, cuts: Ints) -> npt.NDArray[np.bool_]:
        """Tell which cuts between a sign and a letter lie between two tokens: they add up there.

        One piece holds both, but what follows the sign would be one piece too; and merging bytes
        into tokens goes the same way on each side of a border that no merge ever crosses.
        """
        places = self._bytes(cuts)
        border = self.ends[np.searchsorted(self.ends, places)] == places
        codes = cuts - self.found.origin
        sign = sorts_of(self.found.codes[codes - 1]) == Sort.OTHER
        divides: npt.NDArray[np.bool_] = (
            border & sign & (sorts_of(self.found.codes[codes]) == Sort.LETTER)
        )
        return divides


@dataclass(frozen=True, slots=True)
class _Before:
    """What lies before a scan: its tokens, and those up to the last place offered and block end."""

    tokens: int = 0
    offered: int = 0
    block: int = 0

    def after(self, reading: _Reading, last: Marks) -> Self:
        found = reading.found
        blocks = found.cuts[found.places <= Place.BLOCK]
        return type(self)(
            tokens=reading.total(),
            offered=int(last.right[-1]) if last.right.size else self.offered,
            block=int(reading.at(blocks[-1:])[0]) if blocks.size else self.block,
        )


class _Counter(dict[str, int]):
    """Token counts of short texts: the same few thousand words begin most sentences."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        super().__init__()
        self.encoding = encoding

    def __missing__(self, text: str) -> int:
        tokens = count(text, self.encoding)
        if len(text) <= WORD_CHARS_MAX:
            self[text] = tokens
        return tokens

    def of(self, text: str, starts: Ints, ends: Ints) -> Ints:
        """Count each `text[start:end]`; most are empty or a single space."""
        counts = np.zeros(starts.size, np.int64)
        filled = np.flatnonzero(starts < ends)
        spans = zip(starts[filled].tolist(), ends[filled].tolist(), strict=True)
        counts[filled] = [self[text[start:end]] for start, end in spans]
        return counts


@dataclass(frozen=True, slots=True)
class _Weighed:
    """Places of a scan, by index, and their counts; `before` is the last safe offset up to each."""

    places: Ints
    before: Ints
    left: Ints
    right: Ints

    def merge(self, other: Self) -> Self:
        order = np.argsort(np.append(self.places, other.places))
        mine, theirs = ((part.places, part.before, part.left, part.right) for part in (self, other))
        return type(self)(*(np.append(*pair)[order] for pair in zip(mine, theirs, strict=True)))

    def apart(self, cuts: Ints) -> Self:
        """Drop places with no safe offset between them and the one before: counts need one."""
        kept = np.ones(self.places.size, np.bool_)
        kept[1:] = self.before[1:] >= cuts[self.places[:-1]]
        parts = (self.places, self.before, self.left, self.right)
        return type(self)(*(part[kept] for part in parts))


def measure(
    layout: Layout, encoding: tiktoken.Encoding, *, tokens_max: int, phrase_tokens_max: int
) -> Marks:
    """List the places to choose from, with the counts of any chunk between two of them.

    A span of more than `phrase_tokens_max` is offered to be cut inside a sentence, one of more
    than `tokens_max` wherever there is white space.
    """
    counter = _Counter(encoding)
    parts = [_edge(layout.low, tokens=0)]
    start, before = layout.low, _Before()
    while start < layout.high:
        reading = _read(layout.text, scan(layout, start), encoding, before.tokens)
        part = _offer(reading, counter, (tokens_max, phrase_tokens_max), before)
        start = reading.found.stop
        parts.append(part)
        if reading.found.torn or start == layout.high:
            parts.append(_edge(start, tokens=reading.total(), single=reading.found.torn))
        before = before.after(reading, parts[-1])
    return _join(parts)


def _edge(offset: int, *, tokens: int, single: bool = False) -> Marks:
    """Make a place that is a cut whatever its hash."""
    here, there = np.array([offset], np.int64), np.array([tokens], np.int64)
    place = np.array([Place.GRAPHEME], np.uint8)
    return Marks(
        here, here, there, there, place, np.zeros(1, np.uint64), np.array([single], np.uint8)
    )


def _join(parts: list[Marks]) -> Marks:
    names = [field.name for field in fields(Marks)]
    return Marks(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _read(text: str, found: Scan, encoding: tiktoken.Encoding, base: int) -> _Reading:
    tokens = encoding.encode_to_numpy(text[found.start : found.stop], disallowed_special=())
    ends = np.cumsum(_token_widths(encoding)[tokens], dtype=np.int64)
    return _Reading(text, found, base, ends, _byte_starts(found))


@lru_cache(maxsize=4)
def _token_widths(encoding: tiktoken.Encoding) -> Octets:
    widths = np.zeros(encoding.n_vocab, np.uint8)
    for token in range(encoding.n_vocab):
        with suppress(KeyError):
            widths[token] = len(encoding.decode_single_token_bytes(token))
    return widths


def _byte_starts(found: Scan) -> Ints | None:
    """Return where each character of the scan begins in UTF-8; None if each takes one byte."""
    codes = found.codes[found.start - found.origin : found.stop - found.origin]
    if not codes.size or codes.max() < 0x80:
        return None
    widths = 1 + (codes > 0x7F) + (codes > 0x7FF).astype(np.int64) + (codes >= PLANE_SIZE)
    return np.concatenate([[0], np.cumsum(widths)])


def _offer(reading: _Reading, counter: _Counter, limits: tuple[int, int], before: _Before) -> Marks:
    """Offer good places first, worse ones only inside spans that are too long without them."""
    found, (tokens_max, phrase_max) = reading.found, limits
    good = _good_places(reading, BLOCK_PHRASES * phrase_max, before)
    offered = _weigh(reading, good, counter)
    for best, worst, limit in (
        (Place.GLUE, Place.GLUE, tokens_max),
        (Place.CODE_BLANK, Place.CODE_LINE, tokens_max),
        (Place.CLAUSE, Place.CLAUSE, phrase_max),
        (Place.WORD, Place.WORD, phrase_max),
        (Place.INSIDE, Place.INSIDE, tokens_max),
    ):
        spans = np.append(offered.left, reading.total()) - np.insert(
            offered.right, 0, before.offered
        )
        if spans.max() <= limit:
            continue
        kind = (found.places >= best) & (found.places <= worst)
        inside = _inside(offered.places, spans > limit, found.cuts.size)
        offered = offered.merge(_weigh(reading, np.flatnonzero(kind & inside), counter))
    return _mark(found, offered.apart(found.cuts))


def _good_places(reading: _Reading, block_tokens_max: float, before: _Before) -> Ints:
    """Return the places between blocks, and those between sentences and lines in long blocks.

    Cuts meet again sooner, and chunks read better, where few places are as good as others.
    """
    found = reading.found
    blocks = np.flatnonzero(found.places <= Place.BLOCK)
    counts = np.concatenate([[before.block], reading.at(found.cuts[blocks]), [reading.total()]])
    inside = _inside(blocks, np.diff(counts) > block_tokens_max, found.cuts.size)
    return np.flatnonzero((found.places <= Place.BLOCK) | (inside & (found.places <= ALWAYS_MAX)))


def _mark(found: Scan, weighed: _Weighed) -> Marks:
    cuts = found.cuts[weighed.places]
    return Marks(
        ends=cuts,
        starts=cuts,
        left=weighed.left,
        right=weighed.right,
        places=found.places[weighed.places],
        hashes=_hash(found, weighed.places),
        single=np.zeros(cuts.size, np.uint8),
    )


def _inside(chosen: Ints, long: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.bool_]:
    """Tell of each of `size` places whether the span around it, between chosen ones, is long."""
    return np.repeat(long, np.diff(chosen, prepend=-1, append=size))[:size]


def _weigh(reading: _Reading, places: Ints, counter: _Counter) -> _Weighed:
    """Count the tokens up to places, as chunks that end there and as chunks that begin there.

    Places far from a safe offset are dropped, or a long run of signs would cost quadratic time.
    """
    found, text = reading.found, reading.text
    lefts, cuts, safe = found.lefts[places], found.cuts[places], found.safe
    after = safe[np.searchsorted(safe, cuts)]
    before = np.where(after == cuts, cuts, safe[np.searchsorted(safe, lefts, "right") - 1])
    near = lefts - before <= REACH_CHARS_MAX
    near &= (lefts < cuts) | (after - cuts <= REACH_CHARS_MAX)  # The next space is near a word.
    places, lefts, cuts = places[near], lefts[near], cuts[near]
    before, after = before[near], after[near]
    unspaced = np.flatnonzero(lefts == cuts)
    divided = unspaced[reading.divides(cuts[unspaced])]
    first, last = before.copy(), after
    first[divided] = last[divided] = cuts[divided]
    left = reading.at(first) + counter.of(text, first, cuts)
    right = reading.at(last) - counter.of(text, cuts, last)
    return _Weighed(places, before, left, right)


def _hash(found: Scan, chosen: Ints) -> Hashes:
    """Hash the text on both sides of places; an edit further off changes no hash."""
    codes = found.codes
    lefts, rights = found.lefts[chosen] - found.origin, found.rights[chosen] - found.origin
    mixed = np.zeros(chosen.size, np.uint64)
    for step in range(HASH_CHARS):
        for near in (lefts - 1 - step, rights + step):
            code = codes[np.clip(near, 0, codes.size - 1)].astype(np.uint64)
            mixed = (mixed ^ code) * _MULTIPLIER
            mixed ^= mixed >> np.uint64(29)
    return mixed
