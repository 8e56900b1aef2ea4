"""What `index_source` decides without any I/O: what is new, what stays, what only moves."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from db.chunks import StoredChunk
from pipelines.errors import Permanent
from pipelines.index_source import CHUNKS_MAX, check_count
from pipelines.knowledge.document import Chunk, Document
from pipelines.knowledge.edition import Cut, Draft, Edition, draw_up
from pipelines.knowledge.sizes import sizes_of
from pipelines.readers import READERS
from pipelines.readers.file import read_uploaded

DOCUMENT = Document("one two", (), title="Shop")


def chunk(text: str, index: int, *path: str) -> Chunk:
    return Chunk(index, text, 0, len(text), 1, heading_path=path)


def stored(edition: Edition) -> list[StoredChunk]:
    return [as_stored(draft) for draft in edition.added]


def as_stored(draft: Draft) -> StoredChunk:
    chunk = draft.chunk
    return StoredChunk(
        *(draft.id, chunk.text, draft.text_hash.hex(), draft.index, draft.metadata),
        *(chunk.start, chunk.end),
    )


def draw(*chunks: Chunk, before: Sequence[StoredChunk] = ()) -> Edition:
    """The edition of a source that is one document."""
    return draw_up([Cut("", DOCUMENT, chunks)], before)


def named(key: str, *chunks: Chunk) -> Cut:
    return Cut(key, DOCUMENT, chunks, f"https://example.com/{key}")


def test_everything_is_new_in_a_first_edition() -> None:
    edition = draw(chunk("one", 0), chunk("two", 1))

    assert [draft.chunk.text for draft in edition.added] == ["one", "two"]
    assert (edition.kept, edition.moved) == ((), ())


def test_an_unchanged_edition_changes_nothing() -> None:
    before = stored(draw(chunk("one", 0), chunk("two", 1)))

    edition = draw(chunk("one", 0), chunk("two", 1), before=before)

    assert (edition.added, edition.moved) == ((), ())
    assert edition.kept == tuple(old.id for old in before)


def test_a_chunk_behind_an_inserted_one_only_moves() -> None:
    before = stored(draw(chunk("one", 0), chunk("two", 1)))

    edition = draw(chunk("one", 0), chunk("new", 1), chunk("two", 2), before=before)

    assert [draft.chunk.text for draft in edition.added] == ["new"]
    assert [(moved.id, moved.chunk_index) for moved in edition.moved] == [(before[1].id, 2)]


def test_equal_chunks_are_matched_one_to_one() -> None:
    before = stored(draw(chunk("same", 0), chunk("same", 1)))

    edition = draw(*(chunk("same", n) for n in range(3)), before=before)

    assert (len(edition.kept), len(set(edition.kept)), len(edition.added)) == (2, 2, 1)


def test_a_chunk_under_another_heading_is_embedded_anew() -> None:
    before = stored(draw(chunk("one", 0, "Prices")))

    edition = draw(chunk("one", 0, "Refunds"), before=before)

    assert (len(edition.added), edition.kept) == (1, ())


def test_a_chunk_whose_white_space_changed_is_kept_and_rewritten() -> None:
    before = stored(draw(chunk("one\n", 0)))

    edition = draw(chunk("one\n\n", 0), before=before)

    assert edition.added == ()
    assert [(moved.id, moved.content) for moved in edition.moved] == [(before[0].id, "one\n\n")]


def test_an_edit_moves_the_spans_of_later_chunks_and_nothing_else_of_them() -> None:
    before = stored(draw(Chunk(0, "one", 0, 3, 1), Chunk(1, "two", 3, 6, 1)))

    edition = draw(Chunk(0, "longer", 0, 6, 1), Chunk(1, "two", 6, 9, 1), before=before)

    assert edition.moved == ()
    assert [(placed.start, placed.end) for placed in edition.placed] == [(0, 6), (6, 9)]


def test_documents_of_one_source_are_numbered_through_and_named() -> None:
    edition = draw_up([named("a", chunk("one", 0)), named("b", chunk("two", 0))], [])

    assert [draft.index for draft in edition.added] == [0, 1]
    assert edition.added[1].metadata["document"] == {
        "key": "b",
        "title": "Shop",
        "url": "https://example.com/b",
    }


def test_a_document_that_was_not_read_again_keeps_its_chunks() -> None:
    before = stored(draw_up([named("a", chunk("one", 0)), named("b", chunk("one", 0))], []))

    edition = draw_up([named("a", chunk("new", 0)), Cut("b", None)], before)

    assert edition.kept == (before[1].id,)
    assert [draft.chunk.text for draft in edition.added] == ["new"]
    assert edition.moved == ()


def test_a_document_that_is_gone_keeps_nothing() -> None:
    before = stored(draw_up([named("a", chunk("one", 0)), named("b", chunk("two", 0))], []))

    edition = draw_up([Cut("b", None)], before)

    assert edition.kept == (before[1].id,)
    assert [moved.chunk_index for moved in edition.moved] == [0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (256, 256, 0)),
        ({"chunking": {"tokens_max": 100}}, (100, 100, 0)),
        ({"chunking": {"tokens_max": None, "tokens_target": None}}, (256, 256, 0)),
        (
            {"chunking": {"tokens_max": 300, "tokens_target": 200, "tokens_overlap": 20}},
            (300, 200, 20),
        ),
        ({"chunking": {"tokens_target": 900}}, (900, 900, 0)),
    ],
)
def test_an_owner_may_say_how_a_source_is_cut(
    settings: dict[str, object], expected: tuple[int, int, int]
) -> None:
    sizes = sizes_of(settings)

    assert (sizes.tokens_max, sizes.tokens_target, sizes.tokens_overlap) == expected


@pytest.mark.parametrize(
    "chunking",
    [
        "small",
        [100],
        {"tokens_max": "100"},
        {"tokens_max": True},
        {"size": 100},
        {"tokens_max": 3},
        {"tokens_max": 10**9},
        {"tokens_max": 100, "tokens_overlap": 80},
    ],
)
def test_sizes_that_make_no_sense_are_refused(chunking: object) -> None:
    with pytest.raises(Permanent):
        sizes_of({"chunking": chunking})


def test_too_many_chunks_are_refused_with_the_limit() -> None:
    with pytest.raises(Permanent, match="50,000"):
        check_count(CHUNKS_MAX + 1)


def test_each_type_of_source_that_is_read_has_a_reader() -> None:
    assert READERS.keys() == {"text", "url", "file", "api", "notion", "google_drive"}


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "none", "\0"])
def test_an_upload_is_only_read_from_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "files"
    folder.mkdir()

    with pytest.raises(Permanent):
        read_uploaded(folder, name)
