"""A small convolutional network over word pieces, in numpy: one, two and three pieces at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW_PIECES = 64
WINDOWS_MAX = 8
SLICE_WINDOWS = 64
WIDTHS = (1, 2, 3)

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Network:
    """`pieces` is one int8 row a piece; a row times its `scale` is its vector."""

    pieces: NDArray[np.int8]
    scale: Floats
    filters: tuple[Floats, ...]
    filter_bias: Floats
    hidden: Floats
    hidden_bias: Floats
    output: Floats
    output_bias: Floats

    @classmethod
    def build(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "Network":
        def floats(name: str) -> Floats:
            return arrays[name].astype(np.float32)

        return cls(
            pieces=arrays["pieces"].astype(np.int8),
            scale=floats("scale"),
            filters=tuple(floats(f"filter_{width}") for width in WIDTHS),
            filter_bias=floats("filter_bias"),
            hidden=floats("hidden"),
            hidden_bias=floats("hidden_bias"),
            output=floats("output"),
            output_bias=floats("output_bias"),
        )

    def answer(self, texts: Sequence[Sequence[int]]) -> Floats:
        """One row a text, the mean over its windows; a text is its pieces' numbers."""
        windows = [window for text in texts for window in cut_windows(text)]
        owners = np.repeat(np.arange(len(texts)), [len(cut_windows(text)) for text in texts])
        answers = np.zeros((len(windows), len(self.output_bias)), dtype=np.float32)
        order = sorted(range(len(windows)), key=lambda place: len(windows[place]))
        for start in range(0, len(order), SLICE_WINDOWS):
            places = order[start : start + SLICE_WINDOWS]
            answers[places] = self._answer_slice([windows[place] for place in places])
        total = np.zeros((len(texts), answers.shape[1]), dtype=np.float32)
        np.add.at(total, owners, answers)
        counts = np.bincount(owners, minlength=len(texts)).astype(np.float32)
        means: Floats = total / counts[:, None]
        return means

    def _answer_slice(self, windows: list[Sequence[int]]) -> Floats:
        lengths = np.array([len(window) for window in windows])
        ids = np.zeros((len(windows), lengths.max()), dtype=np.int64)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        vectors = self.pieces[ids] * self.scale[ids][..., None] * mask[..., None]
        return self._classify(vectors.astype(np.float32), mask, lengths)

    def _classify(
        self, vectors: Floats, mask: NDArray[np.bool_], lengths: NDArray[np.int64]
    ) -> Floats:
        peaks = self._find_peaks(vectors, mask)
        means = vectors.sum(axis=1) / np.sqrt(lengths)[:, None] * 0.5
        seen = np.concatenate([peaks, means.astype(np.float32)], axis=1)
        hidden = np.maximum(seen @ self.hidden + self.hidden_bias, 0)
        answers: Floats = hidden @ self.output + self.output_bias
        return answers

    def _find_peaks(self, vectors: Floats, mask: NDArray[np.bool_]) -> Floats:
        """The largest answer of each filter anywhere in a window, at least 0."""
        rows, length, size = vectors.shape
        padded = np.concatenate([vectors, np.zeros((rows, 2, size), np.float32)], axis=1)
        found = [
            sum(
                padded[:, at : at + length] @ part
                for at, part in enumerate(np.split(matrix, width))
            )
            for width, matrix in zip(WIDTHS, self.filters, strict=True)
        ]
        answers = np.concatenate(found, axis=2) + self.filter_bias
        peaks: Floats = np.where(mask[..., None], answers, -np.inf).max(axis=1)
        return np.maximum(peaks, 0)


def cut_windows(pieces: Sequence[int]) -> list[Sequence[int]]:
    """At least one window, of at least one piece."""
    used = pieces[: WINDOW_PIECES * WINDOWS_MAX] or [0]
    return [used[at : at + WINDOW_PIECES] for at in range(0, len(used), WINDOW_PIECES)]
