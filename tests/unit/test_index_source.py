"""What `index_source` decides without any I/O: what is new, what stays, what only moves."""

from pathlib import Path
from uuid import uuid4

import pytest

from db.chunks import StoredChunk
from pipelines.errors import Permanent
from pipelines.index_source import CHUNKS_MAX, check_count
from pipelines.knowledge.document import Chunk, Document
from pipelines.knowledge.edition import Draft, draw_up, embedded_text
from pipelines.readers import READERS
from pipelines.readers.file import read_uploaded

DOCUMENT = Document("one two", (), title="Shop")


def chunk(text: str, index: int, *path: str) -> Chunk:
    return Chunk(index, text, 0, len(text), 1, heading_path=path)


def stored(draft: Draft, index: int) -> StoredChunk:
    return StoredChunk(uuid4(), draft.chunk.text, draft.text_hash.hex(), index, draft.metadata)


def first_edition(*chunks: Chunk) -> list[StoredChunk]:
    drafts = draw_up(DOCUMENT, chunks, []).added
    return [stored(draft, index) for index, draft in enumerate(drafts)]


def test_everything_is_new_in_a_first_edition() -> None:
    edition = draw_up(DOCUMENT, [chunk("one", 0), chunk("two", 1)], [])

    assert [draft.chunk.text for draft in edition.added] == ["one", "two"]
    assert (edition.kept, edition.moved) == ((), ())


def test_an_unchanged_edition_changes_nothing() -> None:
    before = first_edition(chunk("one", 0), chunk("two", 1))

    edition = draw_up(DOCUMENT, [chunk("one", 0), chunk("two", 1)], before)

    assert (edition.added, edition.moved) == ((), ())
    assert edition.kept == tuple(old.id for old in before)


def test_a_chunk_behind_an_inserted_one_only_moves() -> None:
    before = first_edition(chunk("one", 0), chunk("two", 1))

    edition = draw_up(DOCUMENT, [chunk("one", 0), chunk("new", 1), chunk("two", 2)], before)

    assert [draft.chunk.text for draft in edition.added] == ["new"]
    assert [(moved.id, moved.chunk_index) for moved in edition.moved] == [(before[1].id, 2)]


def test_equal_chunks_are_matched_one_to_one() -> None:
    before = first_edition(chunk("same", 0), chunk("same", 1))

    edition = draw_up(DOCUMENT, [chunk("same", n) for n in range(3)], before)

    assert (len(edition.kept), len(set(edition.kept)), len(edition.added)) == (2, 2, 1)


def test_a_chunk_under_another_heading_is_embedded_anew() -> None:
    before = first_edition(chunk("one", 0, "Prices"))

    edition = draw_up(DOCUMENT, [chunk("one", 0, "Refunds")], before)

    assert (len(edition.added), edition.kept) == (1, ())


@pytest.mark.parametrize(
    ("title", "path", "expected"),
    [
        (None, (), "text"),
        ("Shop", (), "Shop\ntext"),
        ("Shop", ("Prices", "Small"), "Shop > Prices > Small\ntext"),
        ("Shop", ("Shop", "Prices"), "Shop > Prices\ntext"),
    ],
)
def test_what_is_embedded_names_title_and_section_once(
    title: str | None, path: tuple[str, ...], expected: str
) -> None:
    document = Document("text", (), title=title)

    assert embedded_text(document, chunk("text", 0, *path)) == expected


def test_too_many_chunks_are_refused_with_the_limit() -> None:
    with pytest.raises(Permanent, match="50,000"):
        check_count(CHUNKS_MAX + 1)


def test_each_type_of_source_that_is_read_has_a_reader() -> None:
    assert READERS.keys() == {"text", "url", "file"}


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "none", "\0"])
def test_an_upload_is_only_read_from_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "files"
    folder.mkdir()

    with pytest.raises(Permanent):
        read_uploaded(folder, name)
