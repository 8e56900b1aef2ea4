"""How few chunks an edit changes, with and without the chunks that were there before."""

from collections.abc import Callable
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.knowledge import split_known
from pipelines.knowledge.document import Block, Chunk, Document
from pipelines.knowledge.split import split
from pipelines.knowledge.tokens import count, load_encoding
from tests.unit.split_texts import assemble, documents, paragraph

CL100K = load_encoding("cl100k_base")

Edit = Callable[[Random, list[str], int], list[str]]


def insert(random: Random, paragraphs: list[str], place: int) -> list[str]:
    return [*paragraphs[:place], paragraph(random), *paragraphs[place:]]


def remove(random: Random, paragraphs: list[str], place: int) -> list[str]:
    return paragraphs[:place] + paragraphs[place + 1 :]


def rewrite(random: Random, paragraphs: list[str], place: int) -> list[str]:
    return [*paragraphs[:place], paragraph(random), *paragraphs[place + 1 :]]


def correct(random: Random, paragraphs: list[str], place: int) -> list[str]:
    words = paragraphs[place].split(" ")
    words[random.randrange(len(words))] = "corrected"
    return [*paragraphs[:place], " ".join(words), *paragraphs[place + 1 :]]


def write(paragraphs: list[str]) -> Document:
    return assemble(*(("paragraph", text) for text in paragraphs))


def cut(document: Document, tokens_max: int, known: list[Chunk] | None = None) -> list[Chunk]:
    texts = [chunk.text for chunk in known or []]
    return split(document, encoding=CL100K, tokens_max=tokens_max, known=texts)


def changed(old: list[Chunk], new: list[Chunk]) -> int:
    known = {chunk.text for chunk in old}
    return sum(chunk.text not in known for chunk in new)


def long_text(random: Random, tokens_max: int, chunks: int) -> list[str]:
    paragraphs: list[str] = []
    while sum(map(len, paragraphs)) < chunks * tokens_max * 5:
        paragraphs.append(paragraph(random))
    return paragraphs


@pytest.mark.parametrize("edit", [insert, remove, rewrite, correct])
@pytest.mark.parametrize("tokens_max", [128, 256, 512, 1024])
def test_an_edit_changes_at_most_three_chunks_of_those_that_are_known(
    edit: Edit, tokens_max: int
) -> None:
    random = Random(tokens_max)
    paragraphs = long_text(random, tokens_max, chunks=40)
    old = cut(write(paragraphs), tokens_max)

    for _ in range(4):
        edited = edit(random, paragraphs, random.randrange(len(paragraphs)))
        new = cut(write(edited), tokens_max, known=old)

        assert "".join(chunk.text for chunk in new) == write(edited).text
        assert changed(old, new) <= 3


@pytest.mark.parametrize("edit", [insert, remove, rewrite, correct])
def test_cuts_meet_again_soon_without_known_chunks(edit: Edit) -> None:
    random = Random(7)
    paragraphs = long_text(random, 512, chunks=60)
    old = cut(write(paragraphs), 512)

    counts = []
    for _ in range(7):
        edited = edit(random, paragraphs, random.randrange(5))
        counts.append(changed(old, cut(write(edited), 512)))

    assert median(counts) <= 3
    assert max(counts) < len(old) // 3


def test_chunks_stay_filled_through_many_edits() -> None:
    random = Random(11)
    paragraphs = long_text(random, 128, chunks=40)
    chunks = cut(write(paragraphs), 128)

    for _ in range(60):
        edit = random.choice([insert, remove, rewrite, correct])
        paragraphs = edit(random, paragraphs, random.randrange(len(paragraphs)))
        chunks = cut(write(paragraphs), 128, known=chunks)

    assert sum(chunk.tokens for chunk in chunks) / len(chunks) / 128 > 0.7
    assert sum(chunk.tokens < 32 for chunk in chunks) <= 2


def test_an_unchanged_text_keeps_all_its_chunks() -> None:
    document = write(long_text(Random(1), 128, chunks=20))
    old = cut(document, 128)

    assert cut(document, 128, known=old) == old


def test_a_half_that_moved_keeps_its_chunks_but_those_at_its_ends() -> None:
    random = Random(1)
    first, second = (long_text(random, 128, chunks=20) for _ in range(2))
    old = cut(write(first + second), 128)

    new = cut(write(second + first), 128, known=old)

    assert changed(old, new) <= 5


def test_a_known_text_that_now_ends_inside_a_word_is_no_chunk() -> None:
    text = write(long_text(Random(1), 128, chunks=3)).text
    document = Document(text, (Block("paragraph", 0, len(text)),))
    inside_word = text.index(" ", 500) + 2

    chunks = split(document, encoding=CL100K, tokens_max=128, known=[text[:inside_word]])

    assert all(text[chunk.start - 1].isspace() for chunk in chunks[1:])


def test_known_chunks_above_a_lowered_limit_are_cut_anew() -> None:
    document = write(long_text(Random(1), 512, chunks=6))

    new = cut(document, 128, known=cut(document, 512))

    assert max(chunk.tokens for chunk in new) <= 128


def test_known_chunks_far_below_a_raised_limit_are_cut_anew() -> None:
    document = write(long_text(Random(1), 512, chunks=10))

    assert cut(document, 512, known=cut(document, 128)) == cut(document, 512)


def test_a_text_that_is_all_new_costs_a_bounded_number_of_searches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(split_known, "SEARCHES_MAX", 3)
    random = Random(1)
    old = cut(write(long_text(random, 64, chunks=20)), 64)
    document = write(long_text(random, 64, chunks=20))

    assert cut(document, 64, known=old) == cut(document, 64)


@settings(max_examples=30, deadline=None)
@given(documents(), documents(), st.sampled_from([4, 16, 64]))
def test_whatever_is_known_the_chunks_are_exact_and_leave_out_white_space_alone(
    before: Document, document: Document, tokens_max: int
) -> None:
    merged = Document(before.text + document.text, before.blocks)
    known = [*cut(before, tokens_max), *cut(document, tokens_max)]

    chunks = cut(merged, tokens_max, known=known)

    end = 0
    for chunk in chunks:
        assert not merged.text[end : chunk.start].strip()
        assert chunk.text == merged.text[chunk.start : chunk.end]
        assert chunk.tokens == count(chunk.text, CL100K) <= tokens_max
        end = chunk.end
    assert not merged.text[end:].strip()
