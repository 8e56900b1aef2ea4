"""Vectors on a shelf come back as they were put there, and weigh nothing."""

import gc
import os

import numpy as np
import psutil

from pipelines.vectors.shelf import FileShelf

VECTORS = 5_000
GROWTH_MB_MAX = 10


def vector(number: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.random.default_rng(number).random(1536, dtype=np.float32)


def test_a_vector_comes_back_as_it_was() -> None:
    with FileShelf() as shelf:
        for number in range(50):
            shelf[bytes([number])] = vector(number)

        assert all(np.array_equal(shelf[bytes([n])], vector(n)) for n in (49, 0, 17))
        assert (len(shelf), b"\x07" in shelf, b"x" in shelf) == (50, True, False)
        assert shelf.get(b"x") is None


def test_what_is_put_twice_is_the_latter() -> None:
    with FileShelf() as shelf:
        shelf[b"a"], shelf[b"a"] = vector(1), vector(2)

        assert np.array_equal(shelf[b"a"], vector(2))


def test_thousands_of_vectors_take_no_memory() -> None:
    process, one = psutil.Process(os.getpid()), vector(1)
    with FileShelf() as shelf:
        gc.collect()
        before = process.memory_info().rss
        for number in range(VECTORS):
            shelf[number.to_bytes(32, "big")] = one.copy()

        assert (process.memory_info().rss - before) / 2**20 < GROWTH_MB_MAX
