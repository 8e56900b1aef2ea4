"""Let chunks repeat the end of the text before them."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

import regex
import tiktoken

from pipelines.knowledge.split_chars import EXTENDERS
from pipelines.knowledge.split_sizes import Sizes, Span
from pipelines.knowledge.tokens import count

TOKEN_CHARS_MEAN_MAX = 8

_WORD_START = regex.compile(r"(?<=[\s。！？．，、；：])[^\s。！？．，、；：" + EXTENDERS + "]")


def overlap(
    spans: Sequence[Span], text: str, encoding: tiktoken.Encoding, sizes: Sizes
) -> list[Span]:
    """Begin each span up to `sizes.tokens_overlap` earlier, with a word of the span before it.

    A span that fills its chunk alone gets less, and none if white space was left out before it.
    """
    if not sizes.tokens_overlap:
        return list(spans)
    begun = [
        _begin_earlier(before, span, text, encoding, sizes) for before, span in pairwise(spans)
    ]
    return [*spans[:1], *begun]


def _begin_earlier(
    before: Span, span: Span, text: str, encoding: tiktoken.Encoding, sizes: Sizes
) -> Span:
    if before.end < span.start:
        return span

    def excess(start: int) -> int:
        return count(text[start : span.start], encoding) - sizes.tokens_overlap

    low = max(before.start + 1, span.start - sizes.tokens_overlap * TOKEN_CHARS_MEAN_MAX)
    starts = [match.start() for match in _WORD_START.finditer(text, low, span.start)]
    for start in starts[bisect_left(starts, 0, key=lambda start: -excess(start)) :]:
        tokens = count(text[start : span.end], encoding)
        if tokens <= sizes.tokens_max and excess(start) <= 0:
            return Span(start, span.end, tokens)
    return span
