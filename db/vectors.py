"""pgvector's binary form: what COPY and binary results carry, without a round trip for its oid."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 4

Vector = NDArray[np.float32]


def to_binary(vector: Vector) -> bytes:
    """One vector as `vector_recv` reads it: dimensions and zero as int16, then float32 each."""
    header = len(vector).to_bytes(2, "big") + b"\0\0"
    return header + vector.astype(">f4").tobytes()


def from_binary(value: bytes) -> Vector:
    return np.frombuffer(value, dtype=">f4", offset=HEADER_BYTES).astype(np.float32)


def to_text(vector: Vector) -> str:
    """One vector as its input syntax, for a single parameter of a query."""
    values: Sequence[Any] = vector.tolist()
    return "[" + ",".join(map(repr, values)) + "]"
