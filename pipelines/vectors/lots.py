"""Texts in the portions in which they are embedded, and what becomes of a portion that fails.

Pure. A lot is one request. It is far below what providers take, and holds about what it would of
chunks of the usual size: what is in flight when a worker dies is paid for in vain, and the answers
in memory are what a job weighs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import tiktoken

from db.vectors import Vector
from pipelines.gateways.embedder import BatchLimits, Vectors, as_stored, pack
from pipelines.knowledge.tokens import count

LOT_TOKENS_MAX = 32_000
LOT_INPUTS_MAX = 64
# Of what is allowed a minute: others get their turn in between.
LOT_SHARE_OF_MINUTE = 10
# A text that is refused as too long is cut into smaller pieces down to these.
PIECE_TOKENS_MIN = 64


@dataclass(frozen=True, slots=True)
class Text:
    """What is embedded once; `hash` is of the text, and what its vector is found by."""

    hash: bytes
    text: str
    tokens: int

    @classmethod
    def of(cls, text_hash: bytes, text: str, encoding: tiktoken.Encoding) -> Self:
        return cls(text_hash, text, count(text, encoding))


@dataclass(frozen=True, slots=True)
class Lot:
    """`piece_tokens` is set where the lot is one text that no model reads at once.

    `failures` counts requests for these texts that came to nothing; `due_at` and `failing_since`
    are moments of the monotonic clock.
    """

    texts: tuple[Text, ...]
    piece_tokens: int | None = None
    failures: int = 0
    due_at: float = 0.0
    failing_since: float | None = None

    @property
    def tokens(self) -> int:
        return sum(text.tokens for text in self.texts)

    @property
    def hashes(self) -> list[bytes]:
        return [text.hash for text in self.texts]

    def without(self, hashes: set[bytes]) -> Self:
        return replace(self, texts=tuple(text for text in self.texts if text.hash not in hashes))

    def halves(self) -> tuple[Self, Self]:
        middle = len(self.texts) // 2
        fresh = replace(self, failures=0, due_at=0.0, failing_since=None)
        return replace(fresh, texts=self.texts[:middle]), replace(fresh, texts=self.texts[middle:])

    def in_smaller_pieces(self) -> Self | None:
        """One text that is too long, cut finer; None where it is short already."""
        pieces = (self.piece_tokens or self.tokens) // 2
        if len(self.texts) != 1 or pieces < PIECE_TOKENS_MIN:
            return None
        return replace(self, piece_tokens=pieces)

    def inputs(self, encoding: tiktoken.Encoding) -> list[str]:
        """What is sent."""
        if self.piece_tokens is None:
            return [text.text for text in self.texts]
        return pieces_of(self.texts[0].text, encoding, tokens_max=self.piece_tokens)

    def vectors(self, sent: Sequence[str], answered: Vectors) -> Vectors:
        """One row a text: that of several pieces is their mean, by their lengths."""
        if self.piece_tokens is None:
            return answered
        weights = np.array([len(piece) for piece in sent], dtype=np.float64)
        mean = (weights[:, None] * answered).sum(axis=0, keepdims=True)
        return as_stored(mean.astype(np.float32))


def make_lots(
    texts: Sequence[Text], limits: BatchLimits, *, tokens_per_minute: int | None
) -> list[Lot]:
    """Each text once, in order, but for those that are too long for the model: they come first."""
    sizes = replace(limits, inputs_max=min(limits.inputs_max, LOT_INPUTS_MAX))
    long = [text for text in texts if text.tokens > limits.input_tokens_max]
    short = [text for text in texts if text.tokens <= limits.input_tokens_max]
    counts = [text.tokens for text in short]
    weights = [len(text.text.encode("utf-8", "replace")) for text in short]
    ranges = pack(counts, weights, sizes, fill_max=fill_max(tokens_per_minute))
    return [
        *(Lot((text,), piece_tokens=limits.input_tokens_max) for text in long),
        *(Lot(tuple(short[each.start : each.stop])) for each in ranges),
    ]


def fill_max(tokens_per_minute: int | None) -> int:
    if tokens_per_minute is None:
        return LOT_TOKENS_MAX
    return min(LOT_TOKENS_MAX, max(1, tokens_per_minute // LOT_SHARE_OF_MINUTE))


def pieces_of(text: str, encoding: tiktoken.Encoding, *, tokens_max: int) -> list[str]:
    """Cut a text into as few pieces of nearly equal length as hold `tokens_max` each."""
    total = count(text, encoding)
    number = max(1, -(-total // tokens_max))
    while True:
        pieces = cut_evenly(text, number)
        if number >= len(text) or all(count(piece, encoding) <= tokens_max for piece in pieces):
            return [piece for piece in pieces if piece.strip()]
        number += 1


def cut_evenly(text: str, number: int) -> list[str]:
    """At white space where some is near."""
    pieces, start = [], 0
    for left in range(number, 1, -1):
        size = -(-(len(text) - start) // left)
        space = text.rfind(" ", start + size // 2, start + size)
        end = space if space > start else start + size
        pieces.append(text[start:end])
        start = end
    return [*pieces, text[start:]]


def by_hash(lot: Lot, rows: Vectors) -> list[tuple[Text, Vector]]:
    return list(zip(lot.texts, rows, strict=True))
