"""Split a document into chunks: exact token counts, whole words, good places to cut.

Boundaries re-synchronise: all places where the text may be cut are priced by what they divide and
by a hash of the text around them, and the cheapest way through them is taken, so two versions of a
text soon meet at the same cut. Chunks that are known already are kept outright. Measured over
edits of one paragraph at 128-1,024 tokens: with known chunks 1-2 change, 3 at most; without, 2-5 in
the median (8 at 128), at a fill of 0.86-0.92. Less luck in the prices fills more, meets later.

The whole text is tiled: a chunk ends behind the white space after its last word. White space that
no chunk has room for is the only thing ever left out.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import tiktoken

from pipelines.knowledge.document import Block, Chunk, Document
from pipelines.knowledge.split_chars import WHITE
from pipelines.knowledge.split_known import keep_known
from pipelines.knowledge.split_measure import measure
from pipelines.knowledge.split_mend import mend
from pipelines.knowledge.split_overlap import overlap
from pipelines.knowledge.split_pack import choose_cuts
from pipelines.knowledge.split_sizes import TOKENS_MAX, Sizes, Span
from pipelines.knowledge.split_window import Layout, lay_out
from pipelines.knowledge.tokens import WHITE_RUN_CHARS_MAX


def split(
    document: Document,
    *,
    encoding: tiktoken.Encoding,
    tokens_max: int = TOKENS_MAX,
    tokens_target: int | None = None,
    tokens_overlap: int = 0,
    known: Sequence[str] = (),
) -> list[Chunk]:
    """Cut a document into chunks of at most `tokens_max` tokens, in order.

    `tokens_target` is where filling stops (None: at `tokens_max`); what is to stay whole may be
    longer. `tokens_overlap` is how much of the text before a chunk it may repeat. `known` are the
    texts of the chunks this document had under the same settings: those that still occur are kept
    as they are, so that an edit changes the chunks around it only.

    Raises Permanent when the sizes make no sense.
    """
    sizes = Sizes.of(tokens_max, tokens_target, tokens_overlap)
    text = document.text
    kept = [] if tokens_overlap else keep_known(text, known, encoding, sizes)
    layout = lay_out(text, document.blocks)
    spans = list(kept)
    for low, high in _between(kept, len(text)):
        for part in _without_huge_white(text, low, high):
            spans += _cut(layout.part(*part), encoding, sizes)
    spans = sorted(span for span in spans if text[span.start : span.end].strip())
    return _describe(document, spans, overlap(spans, text, encoding, sizes))


def _between(kept: Sequence[Span], length: int) -> Iterator[tuple[int, int]]:
    low = 0
    for span in kept:
        if low < span.start:
            yield low, span.start
        low = span.end
    if low < length:
        yield low, length


def _without_huge_white(text: str, low: int, high: int) -> Iterator[tuple[int, int]]:
    """Leave out white space that no chunk could hold and no tokenizer should meet.

    A run of WHITE_RUN_CHARS_MAX covers one of the places that are looked at whole.
    """
    step = WHITE_RUN_CHARS_MAX // 2
    at = low - low % step
    while at < high:
        if at >= low and text[at] in WHITE and not text[at : at + step].strip(WHITE):
            left = low + len(text[low:at].rstrip(WHITE))
            right = high - len(text[at:high].lstrip(WHITE))
            if left > low:
                yield low, left
            low = right
            at = low - low % step
        at += step
    if low < high:
        yield low, high


def _cut(layout: Layout, encoding: tiktoken.Encoding, sizes: Sizes) -> Iterator[Span]:
    marks = measure(
        layout, encoding, tokens_max=sizes.tokens_max, phrase_tokens_max=sizes.phrase_tokens_max
    )
    marks = mend(marks, layout.text, encoding, tokens_max=sizes.tokens_max)
    way = choose_cuts(marks, tokens_target=sizes.tokens_fill)
    for first, last in pairwise(way):
        yield Span(
            start=int(marks.starts[first]),
            end=int(marks.ends[last]),
            tokens=int(marks.left[last] - marks.right[first]),
        )


def _describe(document: Document, spans: Sequence[Span], read: Sequence[Span]) -> list[Chunk]:
    """Make chunks of what they read; `spans` are their own parts, without the overlap."""
    chunks = []
    blocks = document.blocks
    first = 0
    for index, (own, whole) in enumerate(zip(spans, read, strict=True)):
        while first < len(blocks) and blocks[first].end <= own.start:
            first += 1
        within = list(_blocks_within(blocks, first, own.end))
        chunks.append(
            Chunk(
                index=index,
                text=document.text[whole.start : whole.end],
                start=whole.start,
                end=whole.end,
                tokens=whole.tokens,
                heading_path=_heading_path(within),
                kinds=tuple(dict.fromkeys(block.kind for block in within)),
            )
        )
    return chunks


def _blocks_within(blocks: Sequence[Block], first: int, end: int) -> Iterator[Block]:
    for index in range(first, len(blocks)):
        if blocks[index].start >= end:
            return
        yield blocks[index]


def _heading_path(within: Sequence[Block]) -> tuple[str, ...]:
    """Return the path of a chunk's first content: what comes later has its heading in the text."""
    for block in within:
        if block.kind != "heading":
            return block.heading_path
    return within[0].heading_path if within else ()
