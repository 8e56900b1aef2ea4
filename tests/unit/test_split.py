"""What holds for every text: characters, counts, words, graphemes, limits."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest
import regex
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.errors import Permanent
from pipelines.knowledge import split_scan
from pipelines.knowledge.document import Block, Chunk, Document
from pipelines.knowledge.split import split
from pipelines.knowledge.split_chars import WHITE
from pipelines.knowledge.tokens import count, load_encoding
from tests.unit.split_texts import documents, paragraph

CL100K, O200K = load_encoding("cl100k_base"), load_encoding("o200k_base")
WIDE = "。！？｡．，、；："

encodings = st.sampled_from([CL100K, O200K])
limits = st.sampled_from([4, 6, 8, 16, 40, 128])
thorough = settings(max_examples=30, deadline=None)


def plain(text: str) -> Document:
    return Document(text, (Block("paragraph", 0, len(text)),))


def prose(paragraphs: int, seed: int = 1) -> Document:
    random = Random(seed)
    return plain("\n\n".join(paragraph(random) for _ in range(paragraphs)))


def left_out(document: Document, chunks: Sequence[Chunk]) -> str:
    ends = [0, *(chunk.end for chunk in chunks)]
    starts = [*(chunk.start for chunk in chunks), len(document.text)]
    return "".join(document.text[end:start] for end, start in zip(ends, starts, strict=True))


@thorough
@given(documents(), encodings, limits)
@example(plain("'s\u3000" * 9), O200K, 4)
@example(plain("====\n\n    Word"), CL100K, 5)
def test_chunks_follow_each_other_and_leave_out_white_space_alone(
    document: Document, encoding: tiktoken.Encoding, tokens_max: int
) -> None:
    chunks = split(document, encoding=encoding, tokens_max=tokens_max)

    assert all(one.end <= other.start for one, other in pairwise(chunks))
    assert not left_out(document, chunks).strip()


@thorough
@given(documents(), encodings, limits, st.booleans())
@example(plain("word.\n// no\n" * 9), O200K, 6, False)
@example(plain("a漢字かなa\x85a"), CL100K, 4, False)
@example(plain("字，在字，我" * 20), O200K, 16, False)
@example(plain("'   。<|endoftext|>" * 6), CL100K, 8, True)
@example(plain("汉字。漢字！」かな、" * 9), CL100K, 16, False)
def test_every_chunk_is_a_span_with_its_exact_tokens_within_the_limit(
    document: Document, encoding: tiktoken.Encoding, tokens_max: int, half: bool
) -> None:
    target = max(tokens_max // 2, 4) if half else None

    chunks = split(document, encoding=encoding, tokens_max=tokens_max, tokens_target=target)

    for index, chunk in enumerate(chunks):
        assert chunk.index == index
        assert chunk.text == document.text[chunk.start : chunk.end]
        assert chunk.text.strip()
        assert chunk.tokens == len(encoding.encode_ordinary(chunk.text)) <= tokens_max


@thorough
@given(
    st.lists(
        st.sampled_from(["word", "Word.", "don't", "42", "(a)", "汉字。", "\n", "\n\n", "  "])
    ),
    encodings,
)
def test_with_ordinary_white_space_chunks_tile_the_text(
    pieces: list[str], encoding: tiktoken.Encoding
) -> None:
    document = plain(f"start {' '.join(pieces)}")

    chunks = split(document, encoding=encoding, tokens_max=16)

    assert "".join(chunk.text for chunk in chunks) == document.text


@thorough
@given(documents(), encodings, limits)
def test_no_word_is_cut_unless_it_alone_is_too_long(
    document: Document, encoding: tiktoken.Encoding, tokens_max: int
) -> None:
    text = document.text

    chunks = split(document, encoding=encoding, tokens_max=tokens_max)

    for one, other in pairwise(chunks):
        place = one.end
        if place < other.start or text[place - 1] in WHITE or text[place] in WHITE:
            continue
        words = regex.finditer(f"[^{WHITE}]+", text)
        word = next(match.group() for match in words if match.start() < place < match.end())
        assert count(word, encoding) > tokens_max or any(mark in word for mark in WIDE)


@thorough
@given(documents(), encodings, limits)
@example(plain("👩‍👩‍👧🇩🇪e\u0301" * 9), CL100K, 16)
@example(plain("word. 🏻" * 9), CL100K, 4)
@example(plain("字。\u0301字 \u0301" * 9), CL100K, 6)
def test_no_grapheme_is_cut_unless_it_alone_is_too_long(
    document: Document, encoding: tiktoken.Encoding, tokens_max: int
) -> None:
    chunks = split(document, encoding=encoding, tokens_max=tokens_max)

    places = {one.end for one, other in pairwise(chunks) if one.end == other.start}
    for match in regex.finditer(r"\X", document.text):
        if any(match.start() < place < match.end() for place in places):
            assert count(match.group(), encoding) > tokens_max or match.group().isspace()


@pytest.mark.parametrize("text", ["", " ", "\n\t\u3000" * 40])
def test_a_text_without_words_has_no_chunks(text: str) -> None:
    assert split(plain(text), encoding=CL100K) == []


def test_a_text_that_fits_is_one_chunk() -> None:
    document = prose(4)

    chunks = split(document, encoding=CL100K, tokens_max=512)

    assert [chunk.text for chunk in chunks] == [document.text]


@pytest.mark.parametrize("between", ["\n\n", " "])
def test_where_the_reading_window_ends_changes_no_cut(
    between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = plain(prose(300).text.replace("\n\n", between))
    whole = split(document, encoding=CL100K, tokens_max=64)

    monkeypatch.setattr(split_scan, "WINDOW_CHARS", 1_500)

    assert split(document, encoding=CL100K, tokens_max=64) == whole


def test_a_sentence_longer_than_a_window_is_read_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = plain(f"{'some words without a stop ' * 200}. {prose(20).text}")
    whole = split(document, encoding=CL100K, tokens_max=64)

    monkeypatch.setattr(split_scan, "WINDOW_CHARS", 1_500)

    assert split(document, encoding=CL100K, tokens_max=64) == whole


def test_text_that_does_not_end_is_read_window_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_scan, "WINDOW_CHARS", 2_000)
    monkeypatch.setattr(split_scan, "WINDOW_CHARS_MAX", 4_000)
    document = plain(f"before {'a' * 9_000}{'汉' * 5_000} after {'b c ' * 3_000}")

    chunks = split(document, encoding=CL100K, tokens_max=64)

    assert "".join(chunk.text for chunk in chunks) == document.text
    assert all(chunk.tokens == count(chunk.text, CL100K) <= 64 for chunk in chunks)


def test_a_word_beyond_the_limit_is_cut_between_graphemes() -> None:
    family = "👩‍👩‍👧"
    document = plain(family * 40)

    chunks = split(document, encoding=CL100K, tokens_max=64)

    assert len(chunks) > 1
    assert all(chunk.text == family * chunk.text.count(family) for chunk in chunks)


def test_a_grapheme_beyond_the_limit_is_cut_between_characters() -> None:
    document = plain("e" + "\u0301" * 300)

    chunks = split(document, encoding=CL100K, tokens_max=16)

    assert "".join(chunk.text for chunk in chunks) == document.text
    assert max(chunk.tokens for chunk in chunks) <= 16


def test_chinese_is_cut_behind_its_own_stops() -> None:
    document = plain("我们今天去公园看花，天气很好。大家都很高兴！" * 30)

    chunks = split(document, encoding=CL100K, tokens_max=128)

    assert all(chunk.text[-1] in "。！" for chunk in chunks)


def test_thai_is_cut_at_its_spaces() -> None:
    document = plain("วันนี้อากาศดีมาก เราไปเดินเล่นที่สวนสาธารณะ " * 40)

    chunks = split(document, encoding=CL100K, tokens_max=128)

    assert all(chunk.text.endswith(" ") for chunk in chunks)


def test_white_space_that_no_chunk_could_hold_is_left_out() -> None:
    document = plain(f"before{' ' * 200_000}after")

    chunks = split(document, encoding=O200K)

    assert [chunk.text for chunk in chunks] == ["before", "after"]


def test_a_long_text_is_well_filled() -> None:
    chunks = split(prose(500), encoding=CL100K, tokens_max=128)

    assert sum(chunk.tokens for chunk in chunks) / len(chunks) / 128 >= 0.85


@thorough
@given(documents(), encodings, st.sampled_from([16, 40, 128]))
@example(plain("aसत्य।word. aword. a🇩🇪word. "), CL100K, 16)
def test_an_overlap_is_the_end_of_the_chunk_before(
    document: Document, encoding: tiktoken.Encoding, tokens_max: int
) -> None:
    overlap = tokens_max // 4

    chunks = split(document, encoding=encoding, tokens_max=tokens_max, tokens_overlap=overlap)

    for one, other in pairwise(chunks):
        repeated = document.text[other.start : max(one.end, other.start)]
        assert one.start < other.start
        assert one.end < other.end
        assert count(repeated, encoding) <= overlap
        assert other.tokens == count(other.text, encoding) <= tokens_max


def test_an_overlap_begins_with_a_word_and_is_used() -> None:
    document = prose(60)

    chunks = split(document, encoding=CL100K, tokens_max=128, tokens_overlap=32)

    overlaps = [document.text[other.start : one.end] for one, other in pairwise(chunks)]
    assert min(count(overlap, CL100K) for overlap in overlaps) > 24
    assert all(document.text[chunk.start - 1].isspace() for chunk in chunks[1:])
    assert not any(chunk.text[0].isspace() for chunk in chunks)


def test_a_target_below_the_limit_is_where_filling_stops() -> None:
    chunks = split(prose(100), encoding=CL100K, tokens_max=512, tokens_target=100)

    assert 80 < sum(chunk.tokens for chunk in chunks) / len(chunks) <= 100
    assert max(chunk.tokens for chunk in chunks) <= 100


@pytest.mark.parametrize(
    ("tokens_max", "tokens_target", "tokens_overlap", "complaint"),
    [
        (3, None, 0, "at most 3 tokens were asked for; the limit must lie between 4 and 7000"),
        (8_000, None, 0, "at most 8000 tokens"),
        (100, 101, 0, "about 101 tokens were asked for; the target must lie between 4 and .* 100"),
        (100, 50, 26, "an overlap of 26 tokens was asked for; it must lie between 0 and .* 25"),
        (100, None, -1, "an overlap of -1 tokens"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(
    tokens_max: int, tokens_target: int | None, tokens_overlap: int, complaint: str
) -> None:
    with pytest.raises(Permanent, match=complaint):
        split(
            prose(1),
            encoding=CL100K,
            tokens_max=tokens_max,
            tokens_target=tokens_target,
            tokens_overlap=tokens_overlap,
        )
