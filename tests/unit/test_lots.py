"""In which portions texts are embedded, and what becomes of a portion that fails."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import Permanent
from pipelines.gateways.embedder import BatchLimits
from pipelines.gateways.openai_limits import OPENAI_LIMITS, is_too_long, rate_limits
from pipelines.knowledge.tokens import encoding_for
from pipelines.vectors.lots import (
    LOT_INPUTS_MAX,
    LOT_SHARE_OF_MINUTE,
    LOT_TOKENS_MAX,
    PIECE_TOKENS_MIN,
    Lot,
    Text,
    cut_evenly,
    make_lots,
    pieces_of,
)

ENCODING = encoding_for("text-embedding-ada-002")


def text(words: str) -> Text:
    return Text.of(hashlib.sha256(words.encode()).digest(), words, ENCODING)


def sized(tokens: int, mark: int = 0) -> Text:
    return Text(mark.to_bytes(4, "big"), "abcd" * tokens, tokens)


@given(st.lists(st.integers(1, 9_000), max_size=80), st.none() | st.integers(1, 10**7))
def test_lots_hold_every_text_once_and_stay_small(counts: list[int], minute: int | None) -> None:
    texts = [sized(tokens, mark) for mark, tokens in enumerate(counts)]

    lots = make_lots(texts, OPENAI_LIMITS, tokens_per_minute=minute)

    most = min(LOT_TOKENS_MAX, (minute or 10**9) // LOT_SHARE_OF_MINUTE)
    assert sorted(each.hash for lot in lots for each in lot.texts) == [t.hash for t in texts]
    assert all(len(lot.texts) == 1 or lot.tokens <= most for lot in lots)
    assert all(len(lot.texts) <= LOT_INPUTS_MAX for lot in lots)


def test_a_text_that_is_too_long_is_alone_and_comes_in_pieces() -> None:
    lots = make_lots([sized(5), sized(9_000)], OPENAI_LIMITS, tokens_per_minute=None)

    assert [(lot.tokens, lot.piece_tokens) for lot in lots] == [(9_000, 8_192), (5, None)]


def test_a_text_that_no_request_holds_is_named() -> None:
    with pytest.raises(Permanent, match=r"counts as .* limit of one embedding request is 100"):
        make_lots([sized(101)], BatchLimits(4, 100, 200), tokens_per_minute=None)


def test_halves_are_both_halves_and_fresh() -> None:
    lot = Lot(tuple(sized(1, mark) for mark in range(5)), failures=3, due_at=9.0, failing_since=1.0)

    first, second = lot.halves()

    assert first.texts + second.texts == lot.texts
    assert (first.failures, second.due_at, first.failing_since) == (0, 0.0, None)


def test_smaller_pieces_halve_down_to_a_smallest() -> None:
    lot: Lot | None = Lot((sized(1_000),))
    sizes: list[int | None] = []

    while lot is not None and (lot := lot.in_smaller_pieces()) is not None:
        sizes.append(lot.piece_tokens)

    assert sizes == [500, 250, 125]
    assert PIECE_TOKENS_MIN > 125 // 2


@given(st.text(min_size=1, max_size=400), st.integers(1, 12))
def test_cutting_loses_and_invents_nothing(words: str, number: int) -> None:
    assert "".join(cut_evenly(words, number)) == words


@given(st.text(alphabet="ab cd漢字🙂é ", min_size=1, max_size=300), st.integers(4, 40))
def test_pieces_hold_what_they_may(words: str, tokens_max: int) -> None:
    pieces = pieces_of(words, ENCODING, tokens_max=tokens_max)

    assert all(text(piece).tokens <= tokens_max for piece in pieces)
    assert "".join(pieces).split() == "".join(words).split() or "".join(pieces).strip()


def test_the_vector_of_pieces_is_their_mean_by_length() -> None:
    lot = Lot((sized(1_000),), piece_tokens=500)
    rows = np.eye(2, 1536, dtype=np.float32)

    (row,) = lot.vectors(["x" * 300, "y" * 100], rows)

    assert row[:2] == pytest.approx([0.9487, 0.3162], abs=1e-3)


@pytest.mark.parametrize(
    ("words", "long"),
    [
        ("This model's maximum context length is 8192 tokens, however you requested 9000", True),
        ("Input is too long for requested model.", True),
        ("input is too large to process. increase the physical batch size", True),
        ("'$.input' is invalid. Please check the API reference.", False),
        ("This organisation is blocked", False),
    ],
)
def test_a_refusal_for_length_is_known_by_its_words(words: str, long: bool) -> None:
    assert is_too_long(words) == long


def test_limits_are_read_from_headers_where_they_are_numbers() -> None:
    allowed, left = rate_limits(
        {
            "x-ratelimit-limit-tokens": "1000000",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-limit-requests": "many",
        }
    )

    assert (allowed.tokens, allowed.requests) == (1_000_000, None)
    assert (left.tokens, left.requests) == (0, None)
