"""A linear model over grams, one byte a weight."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.sentiment.network import Floats


@dataclass(frozen=True, slots=True)
class Linear:
    """`weights` has a power of two of rows, a column an answer; a column times `scale` counts."""

    weights: NDArray[np.int8]
    scale: Floats
    bias: Floats

    @classmethod
    def build(cls, arrays: Mapping[str, NDArray[np.generic]], name: str) -> "Linear":
        return cls(
            weights=arrays[f"{name}_weights"].astype(np.int8),
            scale=arrays[f"{name}_scale"].astype(np.float32),
            bias=arrays[f"{name}_bias"].astype(np.float32),
        )

    def answer(self, grams: list[int]) -> Floats:
        """A longer text counts no more than a short one."""
        rows = np.array(grams, dtype=np.int64) & (len(self.weights) - 1)
        total = self.weights[rows].sum(axis=0, dtype=np.int32) * self.scale
        answers: Floats = (total / np.sqrt(max(1, len(grams))) + self.bias).astype(np.float32)
        return answers
