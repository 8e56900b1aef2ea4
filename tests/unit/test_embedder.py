"""Packing texts into requests, prices, stored vectors, and how long a provider asks to wait."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import Permanent, Transient
from pipelines.gateways.embedder import (
    EMBEDDING_DIMENSIONS,
    BatchLimits,
    as_stored,
    pack,
    price_usd,
    sendable,
)
from pipelines.gateways.openai_limits import OPENAI_LIMITS, parse_duration_s, rate_limit_wait_s

LIMITS = BatchLimits(inputs_max=4, tokens_max=100, input_tokens_max=60)
NOW = datetime(2025, 2, 1, 12, 0, 0, tzinfo=UTC)

sizes = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 400)), max_size=60)


@given(sizes)
def test_batches_hold_every_text_once_and_in_order(texts: list[tuple[int, int]]) -> None:
    batches = pack([t for t, _ in texts], [b for _, b in texts], LIMITS)

    assert [index for batch in batches for index in batch] == list(range(len(texts)))


@given(sizes)
def test_no_batch_is_beyond_a_limit_nor_smaller_than_it_could_be(
    texts: list[tuple[int, int]],
) -> None:
    weights = [max(tokens, math.ceil(size * 0.25)) for tokens, size in texts]

    batches = pack([t for t, _ in texts], [b for _, b in texts], LIMITS)

    for batch in batches:
        assert 0 < len(batch) <= LIMITS.inputs_max
        assert sum(weights[index] for index in batch) <= LIMITS.tokens_max
    for batch, following in pairwise(batches):
        grown = sum(weights[index] for index in batch) + weights[following.start]
        assert len(batch) == LIMITS.inputs_max or grown > LIMITS.tokens_max


def test_openais_limits_decide_the_number_of_requests() -> None:
    many_small = pack([1] * 2_049, [4] * 2_049, OPENAI_LIMITS)
    few_large = pack([8_000] * 38, [8_000] * 38, OPENAI_LIMITS)
    long_tokens = pack([1_000] * 100, [16_000] * 100, OPENAI_LIMITS)

    assert [len(batch) for batch in many_small] == [2_048, 1]
    assert [len(batch) for batch in few_large] == [37, 1]
    assert [len(batch) for batch in long_tokens] == [75, 25]


def test_nothing_needs_no_request() -> None:
    assert pack([], [], OPENAI_LIMITS) == []


@pytest.mark.parametrize(
    ("tokens", "size_bytes", "words"),
    [(61, 61, "text 2 has 61 tokens, .* limit is 60"), (60, 401, "counts as 101 tokens, .* 100")],
)
def test_a_text_that_fits_no_request_is_named(tokens: int, size_bytes: int, words: str) -> None:
    with pytest.raises(Permanent, match=words):
        pack([1, tokens], [1, size_bytes], LIMITS)


@pytest.mark.parametrize(
    ("model", "tokens", "price"),
    [
        ("text-embedding-ada-002", 1_000_000, "0.10"),
        ("text-embedding-ada-002", 1, "0.0000001"),
        ("text-embedding-3-small", 1, "0.00000002"),
        ("text-embedding-3-large", 3_333, "0.00043329"),
        ("wordllama-256", 10**9, "0"),
    ],
)
def test_a_price_is_exact(model: str, tokens: int, price: str) -> None:
    assert price_usd(model, tokens) == Decimal(price)


def test_an_unknown_models_price_is_unknown() -> None:
    assert price_usd("nomic-embed-text", 1_000) is None


def test_fewer_dimensions_are_filled_with_zeros_and_keep_their_angles() -> None:
    vectors = np.array([[3, 4], [1, 0], [-3, -4]], dtype=np.float32)

    stored = as_stored(vectors)

    assert stored.shape == (3, EMBEDDING_DIMENSIONS)
    assert stored.dtype == np.float32
    assert np.allclose(stored @ stored.T, [[1, 0.6, -1], [0.6, 1, -0.6], [-1, -0.6, 1]])
    assert not stored[:, 2:].any()


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e3, 1e30])
def test_every_length_becomes_one(scale: float) -> None:
    vectors = np.full((2, 7), scale, dtype=np.float32)

    assert np.allclose(np.linalg.norm(as_stored(vectors), axis=1), 1)


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf"), -float("inf")])
def test_a_vector_without_direction_is_refused(bad: float) -> None:
    vectors = np.array([[1, 2], [bad, 0]], dtype=np.float32)

    with pytest.raises(Transient, match="zeros or without finite numbers"):
        as_stored(vectors)


def test_more_dimensions_than_are_stored_are_refused_with_the_limit() -> None:
    with pytest.raises(Permanent, match="gives 3072 dimensions, limit 1536"):
        as_stored(np.ones((1, 3072), dtype=np.float32))


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u3000"])
def test_an_empty_text_is_never_sent(text: str) -> None:
    with pytest.raises(Permanent, match="text 2 of 3 is empty"):
        sendable(["a", text, "b"], LIMITS)


def test_more_texts_than_a_request_holds_are_refused_with_the_limit() -> None:
    with pytest.raises(Permanent, match="5 texts in one embedding request, limit 4"):
        sendable(["a"] * 5, LIMITS)


def test_a_lone_surrogate_becomes_a_replacement_character() -> None:
    assert sendable(["a\ud800b", "\U0001f600"], LIMITS) == ["a\ufffdb", "\U0001f600"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("20ms", 0.02),
        ("6m0s", 360),
        ("1h2m3.5s", 3723.5),
        ("8.64s", 8.64),
        ("0", 0),
        ("12", 12),
        ("2m", 120),
        ("1m20ms", 60.02),
        ("999999h", 86_400),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("1e9s", None),
        ("s", None),
    ],
)
def test_a_duration_is_read_or_ignored(text: str, seconds: float | None) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "2", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "junk", "x-ratelimit-reset-tokens": "3s"}, 3),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "9s",
                "x-ratelimit-remaining-tokens": "50",
                "x-ratelimit-reset-tokens": "40s",
            },
            9,
        ),
        (
            {
                "x-ratelimit-remaining-requests": "5",
                "x-ratelimit-reset-requests": "9s",
                "x-ratelimit-remaining-tokens": "50",
                "x-ratelimit-reset-tokens": "40s",
            },
            40,
        ),
    ],
)
def test_the_wait_is_what_the_provider_asks_for(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert rate_limit_wait_s(headers, now=NOW) == wait_s
