"""Cut what offers no place to cut: words, and runs of white space, beyond the limit."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np
import regex
import tiktoken

from pipelines.knowledge.split_chars import EXTENDERS, WHITE
from pipelines.knowledge.split_grade import Place
from pipelines.knowledge.split_measure import Marks
from pipelines.knowledge.tokens import count

FULL_SHARE = 0.75  # A long word's pieces end anywhere between this share of the limit and all.
HASH_CHARS = 8
TOKEN_CHARS_MAX = 128
GRAPHEME_CHARS_MAX = 64  # Looked at behind a piece, to see whether its last grapheme goes on.

_GRAPHEME = regex.compile(r"\X")
_WORD = regex.compile(f"[^{WHITE}]+(?:[{WHITE}]+(?=[{EXTENDERS}])[^{WHITE}]+)*")


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    tokens: int


def mend(marks: Marks, text: str, encoding: tiktoken.Encoding, *, tokens_max: int) -> Marks:
    """Return marks between which no span is longer than `tokens_max`.

    White space around such a span is left out where that is enough. Otherwise it is one word, and
    is cut between graphemes; inside a grapheme only if that one alone is longer.
    """
    starts, ends, right, single = (
        side.copy() for side in (marks.starts, marks.ends, marks.right, marks.single)
    )
    rows: list[int] = []
    added: list[tuple[int, int, int]] = []  # Where a piece ends, the next begins, and its count.
    for row in np.flatnonzero(marks.left[1:] - marks.right[:-1] > tokens_max).tolist():
        end = int(marks.ends[row + 1])
        pieces = list(_pieces(text, (int(starts[row]), end), encoding, tokens_max))
        starts[row], ends[row + 1] = pieces[0].start, pieces[-1].end
        single[row + 1] |= len(pieces) == 1 or not _adds_up(text, pieces[-1], end)
        # Counted back from the next place, which later chunks are counted from.
        begun = marks.left[row + 1] - np.cumsum([piece.tokens for piece in pieces[::-1]])[::-1]
        right[row] = begun[0]
        rows += [row + 1] * (len(pieces) - 1)
        added += [
            (before.end, after.start, tokens)
            for (before, after), tokens in zip(pairwise(pieces), begun[1:].tolist(), strict=True)
        ]
    added_ends, added_starts, counts = np.array(added, np.int64).reshape(-1, 3).T
    return Marks(
        ends=np.insert(ends, rows, added_ends),
        starts=np.insert(starts, rows, added_starts),
        left=np.insert(marks.left, rows, counts),
        right=np.insert(right, rows, counts),
        places=np.insert(marks.places, rows, Place.GRAPHEME),
        hashes=np.insert(marks.hashes, rows, 0),
        single=np.insert(single, rows, 1),
    )


def _adds_up(text: str, last: _Piece, end: int) -> bool:
    """Tell whether a chunk may begin with the last piece of a word and go on behind `end`."""
    word_end = last.start + len(text[last.start : end].rstrip(WHITE))
    if last.end < end or word_end == end:
        return False
    return text[word_end] not in "\r\n" or (
        text[end - 1] in "\r\n" and text[end : end + 1] not in {"/", "\r", "\n"}
    )


def _pieces(
    text: str, span: tuple[int, int], encoding: tiktoken.Encoding, tokens_max: int
) -> Iterator[_Piece]:
    start, end = span
    words = [word.span() for word in _WORD.finditer(text, start, end)] or [(start, start)]
    word_start, word_end = words[0][0], words[-1][1]
    for first, last in ((start, word_end), (word_start, end), (word_start, word_end)):
        if last - first > TOKEN_CHARS_MAX * tokens_max:
            continue
        if (tokens := count(text[first:last], encoding)) <= tokens_max:
            yield _Piece(first, last, tokens)
            return
    if words[1:]:
        middle = words[len(words) // 2][0]
        yield from _pieces(text, (start, middle), encoding, tokens_max)
        yield from _pieces(text, (middle, end), encoding, tokens_max)
        return
    while start < word_end:
        piece = _first_piece(text, (start, word_end), encoding, tokens_max)
        if piece.end == word_end and (tokens := count(text[start:end], encoding)) <= tokens_max:
            piece = _Piece(start, end, tokens)
        yield piece
        start = piece.end


def _first_piece(
    text: str, word: tuple[int, int], encoding: tiktoken.Encoding, tokens_max: int
) -> _Piece:
    """Return the start of a long word, up to the end of a grapheme that its text chooses."""
    start, stop = word
    size = 2 * tokens_max
    tokens = encoding.encode_ordinary(text[start : min(start + size, stop)])
    while len(tokens) <= tokens_max and start + size < stop:
        size *= 2
        tokens = encoding.encode_ordinary(text[start : min(start + size, stop)])
    if len(tokens) <= tokens_max:
        return _Piece(start, stop, len(tokens))

    fitting = start + len(encoding.decode_bytes(tokens[:tokens_max]).decode("utf-8", "ignore"))
    for ends in (_grapheme_ends(text, start, fitting), range(start + 1, fitting + 1)):
        fits = len(ends)
        while fits and count(text[start : ends[fits - 1]], encoding) > tokens_max:
            fits -= 1
        if fits:
            break
    end = _draw(text, start, ends[:fits])
    tokens_there = count(text[start:end], encoding)
    if tokens_there > tokens_max:
        end, tokens_there = ends[fits - 1], count(text[start : ends[fits - 1]], encoding)
    return _Piece(start, end, tokens_there)


def _grapheme_ends(text: str, start: int, stop: int) -> list[int]:
    """Return the ends of the graphemes in `text[start:stop]`, unless one goes on behind it."""
    part = text[start : stop + GRAPHEME_CHARS_MAX]
    ends = [start + grapheme.end() for grapheme in _GRAPHEME.finditer(part)]
    return ends[: bisect_right(ends, stop)]


def _draw(text: str, start: int, ends: Sequence[int]) -> int:
    """Choose one of the last ends by the text around it, so that an edit moves few of them."""
    full = ends[bisect_right(ends, start + FULL_SHARE * (ends[-1] - start)) :] or ends[-1:]
    return min(
        reversed(full), key=lambda end: crc32(text[end - HASH_CHARS : end + HASH_CHARS].encode())
    )
