"""Vectors of one run, by text hash, in a file without a name: 50,000 of them are 300 MB."""

import os
from tempfile import TemporaryFile
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from db.vectors import Vector

NUMBER_BYTES = 4


class Shelf(Protocol):
    """Where vectors are put; a dict will do where they are few."""

    def __setitem__(self, text_hash: bytes, vector: Vector, /) -> None: ...

    def __contains__(self, text_hash: object, /) -> bool: ...


class FileShelf:
    """Closes with its block, and nothing of it is left then; also when the process is killed."""

    def __init__(self) -> None:
        self._file = TemporaryFile(prefix="avivro-vectors-", buffering=0)  # noqa: SIM115 - its block is the shelf's
        self._places: dict[bytes, tuple[int, int]] = {}
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __setitem__(self, text_hash: bytes, vector: Vector) -> None:
        self._file.write(vector.astype(np.float32).tobytes())
        self._places[text_hash] = (self._end, len(vector))
        self._end += len(vector) * NUMBER_BYTES

    def __getitem__(self, text_hash: bytes) -> Vector:
        start, length = self._places[text_hash]
        return np.frombuffer(
            os.pread(self._file.fileno(), length * NUMBER_BYTES, start), dtype=np.float32
        )

    def get(self, text_hash: bytes) -> Vector | None:
        return self[text_hash] if text_hash in self._places else None

    def __contains__(self, text_hash: object) -> bool:
        return text_hash in self._places

    def __len__(self) -> int:
        return len(self._places)
