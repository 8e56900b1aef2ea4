"""Which chunks need a twin, and from which text it is embedded."""

import hashlib
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from db.models import Original
from pipelines.embed_again import SLICE_CHUNKS, draw, match, slices
from pipelines.knowledge.document import Block, Chunk, Document
from pipelines.knowledge.edition import Cut, context_of, draw_up


def original(index: int, **fields: Any) -> Original:
    given: dict[str, Any] = {"content": f"text {index}", "content_hash": "00", "metadata": {}}
    given |= fields
    return Original(uuid4(), index, **given, span_start=None, span_end=None, context=None)


def twin(chunk: Original, **fields: Any) -> Original:
    return replace(chunk, id=uuid4(), **fields)


def test_without_twins_everything_is_missing() -> None:
    originals = [original(0), original(1)]

    matching = match(originals, [])

    assert matching.missing == tuple(originals)
    assert matching.surplus == ()


def test_a_complete_set_needs_nothing() -> None:
    originals = [original(0), original(1, content_hash=None)]

    matching = match(originals, [twin(originals[0]), twin(originals[1], content_hash="ff")])

    assert (matching.missing, matching.surplus) == ((), ())


@pytest.mark.parametrize(
    "changed",
    [{"content": "edited"}, {"metadata": {"heading_path": ["New"]}}, {"content_hash": "01"}],
)
def test_the_twin_of_an_edited_chunk_is_replaced(changed: dict[str, Any]) -> None:
    before = original(0)
    old = twin(before)

    matching = match([replace(before, **changed)], [old])

    assert [chunk.chunk_index for chunk in matching.missing] == [0]
    assert matching.surplus == (old.id,)


def test_a_twin_whose_chunk_is_gone_is_surplus() -> None:
    chunks = [original(0), original(1)]
    twins = [twin(chunk) for chunk in chunks]

    matching = match(chunks[:1], twins)

    assert (matching.missing, matching.surplus) == ((), (twins[1].id,))


def test_what_is_embedded_again_is_the_very_text_that_was_embedded() -> None:
    text = "Prices\n\n| a | b |\n| - | - |\n| 1 | 2 |\n"
    table = Block("table", 8, len(text), header_end=28)
    document = Document(text, (Block("heading", 0, 6), table), title="Shop")
    chunks = [
        Chunk(0, text[:28], 0, 28, 1, heading_path=("Prices",)),
        Chunk(1, text[28:], 28, len(text), 1, heading_path=("Prices",)),
    ]
    edition = draw_up([Cut("", document, chunks)], [])

    for draft in edition.added:
        stored = original(draft.index, content=draft.chunk.text, content_hash=draft.text_hash.hex())
        again = draw(replace(stored, context=context_of(draft)))

        assert again.embedded == draft.embedded
        assert (
            again.text_hash == draft.text_hash == hashlib.sha256(draft.embedded.encode()).digest()
        )


def test_without_a_note_the_headings_stand_above() -> None:
    chunk = original(0, metadata={"heading_path": ["Shop", "Returns"]})

    assert draw(chunk).embedded == "Shop > Returns\ntext 0"


def test_slices_are_complete_and_bounded() -> None:
    chunks = [original(index) for index in range(SLICE_CHUNKS * 2 + 1)]

    assert [len(part) for part in slices(chunks)] == [SLICE_CHUNKS, SLICE_CHUNKS, 1]
