"""Find the chunks that a document already had, so that an edit changes only those around it."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from math import ceil

import tiktoken

from pipelines.knowledge.split_chars import WHITE, Trait, codes_of, traits_of
from pipelines.knowledge.split_sizes import Sizes, Span
from pipelines.knowledge.tokens import count

SEARCHES_MAX = 500  # Of known chunks that are not where the one before them ends.
FULL_SHARE = 0.9  # Of the target: how well text that is cut anew is expected to fill chunks.
SMALL_SHARE = 0.5  # What is smaller is cut anew with a neighbour.
GAP_CHARS_MAX = 64  # For each token of the target; more text is cut without its neighbours.
FILL_MIN = 0.6  # Chunks that are worse filled than this on average are all cut anew.
FEW_CHUNKS = 4


def keep_known(
    text: str, known: Sequence[str], encoding: tiktoken.Encoding, sizes: Sizes
) -> list[Span]:
    """Return where known chunks lie in `text`, in order and apart, but for those to cut anew."""
    kept = [
        Span(start, end, count(text[start:end], encoding))
        for start, end in _in_order(_locate(text, known))
        if _is_cut(text, start) and _is_cut(text, end)
    ]
    kept = [span for span in kept if 0 < span.tokens <= sizes.tokens_max]
    filled = sum(span.tokens for span in kept)
    if len(kept) > FEW_CHUNKS and filled < FILL_MIN * sizes.tokens_target * len(kept):
        return []
    joined = set(_to_join(text, kept, encoding, sizes.tokens_target))
    return [span for index, span in enumerate(kept) if index not in joined]


def _locate(text: str, known: Sequence[str]) -> Iterator[tuple[int, int]]:
    cursor = searches = 0
    for chunk in known:
        start = cursor
        if not chunk:
            continue
        if not text.startswith(chunk, cursor):
            searches += 1
            start = text.find(chunk, cursor) if searches <= SEARCHES_MAX else -1
            if start < 0 and searches <= SEARCHES_MAX:
                start = text.find(chunk, 0, cursor)
        if start >= 0:
            cursor = start + len(chunk)
            yield start, cursor


def _in_order(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest row of places, in the given order, that do not overlap in the text."""
    found = list(places)
    ends: list[int] = []  # The smallest end of a row of one, of two, of three places ...
    lasts: list[int] = []  # ... and the last place of that row.
    before = [-1] * len(found)
    for index, (start, end) in enumerate(found):
        length = bisect_right(ends, start)
        before[index] = lasts[length - 1] if length else -1
        if length == len(ends) or end < ends[length]:
            ends[length : length + 1] = [end]
            lasts[length : length + 1] = [index]
    row = []
    last = lasts[-1] if lasts else -1
    while last >= 0:
        row.append(found[last])
        last = before[last]
    return row[::-1]


def _is_cut(text: str, place: int) -> bool:
    """Tell whether the splitter itself might cut here, outside a word."""
    if place in {0, len(text)}:
        return True
    before, after = traits_of(codes_of(text[place - 1 : place + 1])).tolist()
    return not after & Trait.EXTENDER and (text[place - 1] in WHITE or before & Trait.WIDE > 0)


def _to_join(
    text: str, kept: Sequence[Span], encoding: tiktoken.Encoding, tokens_target: int
) -> Iterator[int]:
    """List the kept spans to cut anew with the text beside them, at most one for each text.

    One that takes no more chunks than the text alone costs nothing; otherwise one of the two has
    to be small. Without this, many edits would leave many small chunks.
    """
    starts = [*(span.start for span in kept), len(text)]
    ends = [0, *(span.end for span in kept)]
    for index, (low, high) in enumerate(zip(ends, starts, strict=True)):
        beside = [place for place in (index - 1, index) if 0 <= place < len(kept)]
        if not beside or not low < high < low + tokens_target * GAP_CHARS_MAX:
            continue
        tokens = count(text[low:high], encoding)
        smallest = min(beside, key=lambda place: kept[place].tokens)
        together = tokens + kept[smallest].tokens
        full = FULL_SHARE * tokens_target
        if ceil(together / full) == ceil(tokens / full) or (
            min(tokens, kept[smallest].tokens) < SMALL_SHARE * tokens_target
        ):
            yield smallest
