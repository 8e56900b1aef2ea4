"""Where a document with headings, tables, lists and code is cut."""

from random import Random

import pytest

from pipelines.knowledge.document import Block, Chunk, Document
from pipelines.knowledge.split import split
from pipelines.knowledge.split_context import CONTEXT_BYTES_MAX, embedding_text
from pipelines.knowledge.tokens import count, load_encoding
from tests.unit.split_texts import assemble, code, paragraph, sentence

CL100K = load_encoding("cl100k_base")


def cut(document: Document, tokens_max: int) -> list[Chunk]:
    return split(document, encoding=CL100K, tokens_max=tokens_max)


def guide(seed: int = 1, sections: int = 40) -> Document:
    random = Random(seed)
    parts: list[tuple[str, str]] = []
    for _ in range(sections):
        parts.append(("heading", f"## {sentence(random)[:30]}"))
        parts += [("paragraph", paragraph(random)) for _ in range(random.randint(1, 3))]
        parts.append(("code", code(random, lines=random.randint(2, 9))))
    return assemble(*parts)  # type: ignore[arg-type]


def table(rows: int) -> Document:
    header = "| City | Country | People |\n|---|---|---|"
    body = "\n".join(f"| City {row} | Land {row} | {row * 977} |" for row in range(rows))
    text = f"{header}\n{body}"
    block = Block("table", 0, len(text), ("Cities",), header_end=len(header))
    return Document(text, (block,), title="Atlas")


@pytest.mark.parametrize("tokens_max", [64, 128, 512])
def test_no_chunk_ends_with_a_heading(tokens_max: int) -> None:
    document = guide()
    ends = {block.end for block in document.blocks if block.kind == "heading"}

    chunks = cut(document, tokens_max)

    assert not ends & {chunk.start + len(chunk.text.rstrip()) for chunk in chunks}


def test_a_heading_stays_with_a_sentence_that_has_to_be_cut() -> None:
    text = "word after word without any stop " * 60
    document = assemble(("paragraph", text), ("heading", "# One"), ("paragraph", text))

    chunks = cut(document, 64)

    assert not any(chunk.text.rstrip().endswith("# One") for chunk in chunks)


def test_code_that_just_fits_is_whole_even_if_its_heading_has_no_room() -> None:
    text = code(Random(4), lines=12)
    document = assemble(("paragraph", "Before."), ("heading", "# One"), ("code", text))

    chunks = cut(document, count(text, CL100K))

    assert chunks[-1].text == text


@pytest.mark.parametrize("tokens_max", [128, 512])
def test_code_that_fits_is_in_one_chunk(tokens_max: int) -> None:
    document = guide()

    chunks = cut(document, tokens_max)

    for block in document.blocks:
        if block.kind == "code":
            assert any(chunk.start <= block.start and block.end <= chunk.end for chunk in chunks)


def test_code_that_does_not_fit_is_cut_at_lines_and_keeps_their_indent() -> None:
    text = code(Random(1), lines=200)
    document = Document(text, (Block("code", 0, len(text)),))

    chunks = cut(document, 64)

    lines = set(text.split("\n"))
    assert len(chunks) > 10
    assert all(line in lines for chunk in chunks for line in chunk.text.rstrip("\n").split("\n"))


def test_a_table_is_cut_between_rows() -> None:
    chunks = cut(table(rows=200), 100)

    assert len(chunks) > 10
    assert all(chunk.text.startswith("| ") and chunk.text.endswith("|\n") for chunk in chunks[:-1])


def test_a_row_beyond_the_target_stays_whole_below_the_limit() -> None:
    row = "| " + " ".join(f"value{number}" for number in range(40)) + " |"
    text = "\n".join([row] * 6)
    document = Document(text, (Block("table", 0, len(text)),))

    chunks = split(document, encoding=CL100K, tokens_max=200, tokens_target=40)

    assert [chunk.text.rstrip() for chunk in chunks] == [row] * 6


def test_long_prose_is_cut_behind_sentences() -> None:
    random = Random(2)
    text = " ".join(sentence(random) for _ in range(300))

    chunks = cut(Document(text, (Block("paragraph", 0, len(text)),)), 128)

    assert all(chunk.text.rstrip()[-1] in ".?!" for chunk in chunks)


@pytest.mark.parametrize("short", ["Dr. Who", "e.g. This", "J. Smith", "Fig. Two", "No. Five"])
def test_an_abbreviation_ends_no_sentence(short: str) -> None:
    text = f"He said that {short} is well known in town by now. " * 60

    chunks = cut(Document(text, (Block("paragraph", 0, len(text)),)), 64)

    assert all(chunk.text.endswith("now. ") for chunk in chunks)


def test_a_sentence_beyond_the_limit_is_cut_at_its_commas_first() -> None:
    text = "first this thing happened here, " * 100

    chunks = cut(Document(text, (Block("paragraph", 0, len(text)),)), 64)

    assert all(chunk.text.endswith(", ") for chunk in chunks)


def test_two_sections_that_do_not_fit_together_are_cut_between_them() -> None:
    text = paragraph(Random(3))
    document = assemble(
        ("heading", "# One"), ("paragraph", text), ("heading", "# Two"), ("paragraph", text)
    )
    tokens_max = int(1.5 * count(text, CL100K))

    chunks = cut(document, tokens_max)

    assert [chunk.text.split("\n")[0] for chunk in chunks] == ["# One", "# Two"]


def test_a_chunk_stands_under_the_headings_of_its_first_content() -> None:
    document = assemble(
        ("heading", "# One"),
        ("paragraph", "Alpha beta."),
        ("heading", "# Two"),
        ("list", "- gamma\n- delta"),
    )

    (chunk,) = cut(document, 512)

    assert chunk.heading_path == ("One",)
    assert chunk.kinds == ("heading", "paragraph", "list")


def test_a_chunk_of_headings_alone_stands_under_the_first() -> None:
    (chunk,) = cut(assemble(("heading", "# One"), ("heading", "# Two")), 512)

    assert chunk.heading_path == ("One",)


def test_many_tiny_blocks_are_read_in_one_pass() -> None:
    document = assemble(*(("paragraph", f"Item {number} costs 5.") for number in range(20_000)))

    chunks = cut(document, 512)

    assert "".join(chunk.text for chunk in chunks) == document.text


def test_title_and_headings_are_put_above_the_text_to_embed() -> None:
    document = Document("Text.", (Block("paragraph", 0, 5, ("Guide", "Setup")),), title="Manual")

    (chunk,) = cut(document, 512)

    assert embedding_text(chunk, document) == "Manual > Guide > Setup\nText."


def test_a_title_that_is_the_first_heading_is_not_repeated() -> None:
    document = Document("Text.", (Block("paragraph", 0, 5, ("Manual", "Setup")),), title="Manual")

    (chunk,) = cut(document, 512)

    assert embedding_text(chunk, document) == "Manual > Setup\nText."


def test_a_text_without_title_and_headings_is_embedded_as_it_is() -> None:
    document = Document("Text.", (Block("paragraph", 0, 5),))

    (chunk,) = cut(document, 512)

    assert embedding_text(chunk, document) == "Text."


def test_a_table_that_goes_on_repeats_its_header_in_the_text_to_embed() -> None:
    document = table(rows=60)

    first, second, *_ = cut(document, 100)

    header = "| City | Country | People |\n|---|---|---|"
    assert embedding_text(first, document) == f"Atlas > Cities\n{first.text.rstrip()}"
    assert embedding_text(second, document) == f"Atlas > Cities\n{header}\n{second.text.rstrip()}"


def test_what_is_put_above_a_text_is_bounded() -> None:
    path = tuple("很长的标题" * 300 for _ in range(50))
    document = Document("Text.", (Block("paragraph", 0, 5, path),), title="标题" * 5_000)

    (chunk,) = cut(document, 512)

    added = embedding_text(chunk, document).removesuffix("\nText.")
    assert CONTEXT_BYTES_MAX - 4 < len(added.encode()) <= CONTEXT_BYTES_MAX
