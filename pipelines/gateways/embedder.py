"""What every embedding model offers, how texts are packed into requests, and what they cost."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import Permanent, Transient
from pipelines.gateways.gate import Claims, Gate

EMBEDDING_DIMENSIONS = 1536
# OpenAI estimates a request before it tokenises it: a quarter of a token for each UTF-8 byte.
TOKENS_PER_BYTE_ESTIMATE = 0.25

# US dollars for a million tokens.
PRICES_USD = {
    "text-embedding-ada-002": Decimal("0.10"),
    "text-embedding-3-small": Decimal("0.02"),
    "text-embedding-3-large": Decimal("0.13"),
    "wordllama-256": Decimal(0),
}

Vectors = NDArray[np.float32]


class InputRefused(Permanent):
    """The provider refused a request for what is in it; `too_long` where that is what it said."""

    def __init__(self, message: str, *, too_long: bool = False) -> None:
        super().__init__(message)
        self.too_long = too_long


class RateLimited(Transient):
    """More requests or tokens than the provider allows for the moment."""


class BadVector(Transient):
    """A vector without a direction. It may be one text's own doing."""


_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one request may hold; `tokens_max` by the provider's estimate."""

    inputs_max: int
    tokens_max: int
    input_tokens_max: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """One row a text, in order, of unit length; `tokens` as the provider billed them, else 0."""

    vectors: Vectors
    tokens: int


NOTHING = Embedded(np.zeros((0, EMBEDDING_DIMENSIONS), dtype=np.float32), tokens=0)


class Embedder(Protocol):
    """`model` is the name stored with each chunk: vectors of two names are never compared.

    `gate` says when the next request may be sent; `embed` itself does not wait for it. `claims`
    says which texts others are embedding.
    """

    model: str
    limits: BatchLimits
    gate: Gate
    claims: Claims

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed within `limits`, in one request; raises Permanent or Transient."""
        ...


def pack(
    token_counts: Sequence[int],
    byte_counts: Sequence[int],
    limits: BatchLimits,
    *,
    fill_max: int | None = None,
) -> list[range]:
    """Group neighbouring texts into as few requests as the limits allow.

    Two texts or more weigh `fill_max` tokens at most, if given. Raises Permanent where one text
    alone is beyond the limits.
    """
    fill = limits.tokens_max if fill_max is None else min(fill_max, limits.tokens_max)
    batches: list[range] = []
    start = filled = 0
    for index, (tokens, size_bytes) in enumerate(zip(token_counts, byte_counts, strict=True)):
        weight = max(tokens, math.ceil(size_bytes * TOKENS_PER_BYTE_ESTIMATE))
        _check_input(index, tokens, weight, limits)
        full = filled + weight > fill or index - start == limits.inputs_max
        if full and index > start:
            batches.append(range(start, index))
            start, filled = index, 0
        filled += weight
    if start < len(token_counts):
        batches.append(range(start, len(token_counts)))
    return batches


def price_usd(model: str, tokens: int) -> Decimal | None:
    """Price `tokens`, exactly; None where the model's price is not known."""
    price = PRICES_USD.get(model)
    return None if price is None else price * tokens / 1_000_000


def sendable(texts: Sequence[str], limits: BatchLimits) -> list[str]:
    """Return the texts as UTF-8 can carry them: lone surrogates become U+FFFD.

    Raises Permanent where the provider would refuse all for one empty text, or for their number.
    """
    if len(texts) > limits.inputs_max:
        raise Permanent(f"{len(texts)} texts in one embedding request, limit {limits.inputs_max}")
    for position, text in enumerate(texts, start=1):
        if not text.strip():
            raise Permanent(f"text {position} of {len(texts)} is empty and cannot be embedded")
    return [_LONE_SURROGATE.sub("\ufffd", text) for text in texts]


def as_stored(vectors: Vectors) -> Vectors:
    """Bring vectors to unit length and, with zeros, to EMBEDDING_DIMENSIONS columns.

    Neither changes the angle between any two of them. Raises Permanent where they have more
    columns, Transient where one holds no direction at all.
    """
    count, dimensions = vectors.shape
    if dimensions > EMBEDDING_DIMENSIONS:
        raise Permanent(
            f"the embedding model gives {dimensions} dimensions, limit {EMBEDDING_DIMENSIONS}"
        )
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise BadVector("the embedding model gave a vector of zeros or without finite numbers")
    stored = np.zeros((count, EMBEDDING_DIMENSIONS), dtype=np.float32)
    stored[:, :dimensions] = vectors / lengths
    return stored


def _check_input(index: int, tokens: int, weight: int, limits: BatchLimits) -> None:
    if tokens > limits.input_tokens_max:
        raise Permanent(
            f"text {index + 1} has {tokens:,} tokens, the embedding model's limit is"
            f" {limits.input_tokens_max:,}"
        )
    if weight > limits.tokens_max:
        raise Permanent(
            f"text {index + 1} counts as {weight:,} tokens, the limit of one embedding request is"
            f" {limits.tokens_max:,}"
        )
