"""Files that want to do harm, through the real reading child: refused in words, or read right."""

import gzip
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipelines.errors import Permanent
from pipelines.knowledge.document import Document
from pipelines.knowledge.sandbox import Limits, Parser
from tests.integration.watchers import Canary, Watch
from tests.unit.extract_hostile import (
    LATE_LAUGHS,
    LAUGHS,
    MEGABYTE,
    PDF_BOMBS,
    QUADRATIC,
    bomb,
    call_outside,
    crowd,
    declare,
    find_outside,
    find_xml_parts,
    honest_files,
    link_part,
    make_looping_pdfs,
    make_pdf_bomb,
    move_cell,
    nest_zips,
    overlap,
    share_sheet,
)
from tests.unit.extract_packages import (
    make_docx,
    make_epub,
    make_pptx,
    make_xlsx,
    pack,
    paragraph,
    shape,
)
from tests.unit.test_extract_fuzz import assert_sound

# What the child may hold; its address space may be 512 MB.
RSS_BYTES_MAX = 450 * MEGABYTE
LONG_TEXT = b"<si><t>" + b"soap " * 100 + b"</t></si>"
SAMPLES = Path(__file__).parents[1] / "samples"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.close()


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    parser = Parser(Limits(children_max=1))
    yield parser
    parser.close()


def refuse(parser: Parser, body: bytes, name: str = "soap") -> str:
    """The message of the refusal; the children's peak must stay below the limit."""
    with Watch() as watch, pytest.raises(Permanent) as refusal:
        parser.parse(body, content_type=None, name=name)
    assert watch.peak_bytes < RSS_BYTES_MAX
    return str(refusal.value)


def read(parser: Parser, body: bytes, name: str = "soap") -> Document:
    with Watch() as watch:
        document = parser.parse(body, content_type=None, name=name)
    assert watch.peak_bytes < RSS_BYTES_MAX
    assert_sound(document)
    return document


def read_or_refuse(parser: Parser, body: bytes) -> tuple[str, str]:
    """The text, or the message of the refusal: the other one is empty."""
    try:
        return read(parser, body).text, ""
    except Permanent as refusal:
        return "", str(refusal)


# -- archives


@pytest.mark.parametrize(
    ("kind", "name", "before", "filling", "after"),
    [
        ("docx", "word/document.xml", f'<w:document xmlns:w="{WORD}"><w:body>', b" ", "</w:body>"),
        ("docx", "word/styles.xml", "<a>", b"<b/>", "</a>"),
        ("docx", "[Content_Types].xml", "<a>", b"<b/>", "</a>"),
        (
            "xlsx",
            "xl/texts.xml",
            f'<sst xmlns="{SHEET}">',
            b"<si><t>" + b"soap " * 100 + b"</t></si>",
            "</sst>",
        ),
        ("pptx", "ppt/slides/slide1.xml", "<a>", b"<b/>", "</a>"),
        ("epub", "book/one.xhtml", "<html><body>", b"<p>x</p>", "</body></html>"),
        ("epub", "mimetype", "application/epub+zip", b" ", ""),
    ],
)
def test_a_part_that_unpacks_to_hundreds_of_megabytes_is_refused_with_the_limit(
    parser: Parser, kind: str, name: str, before: str, filling: bytes, after: str
) -> None:
    body = bomb(kind, name, before, filling, after, size=450 * MEGABYTE)

    message = refuse(parser, body)

    assert "limit" in message
    assert "more than" in message


def test_entries_that_overlap_are_a_damage(parser: Parser) -> None:
    assert "is damaged" in refuse(parser, overlap(sheets=900))


def test_a_part_that_is_named_often_counts_each_time_it_is_read(parser: Parser) -> None:
    assert "limit" in refuse(parser, share_sheet(sheets=900, sheet_bytes=MEGABYTE))


def test_a_crowd_of_entries_is_refused_with_the_limit(parser: Parser) -> None:
    assert "holds 300,000 entries, the limit is 10,000" in refuse(parser, crowd(300_000))


def test_archives_in_archives_stay_packed(parser: Parser) -> None:
    body = make_docx(paragraph("Words."), parts={"word/embeddings/a.zip": nest_zips(3)})

    assert read(parser, body).text == "Words."
    assert "is a ZIP archive and no document" in refuse(parser, nest_zips(3))


def test_a_link_in_an_archive_leads_nowhere(parser: Parser) -> None:
    message = refuse(parser, link_part("docx", "word/document.xml", "/etc/passwd"))

    assert "the Word file is damaged" in message
    assert "root:" not in message


@pytest.mark.parametrize(
    "name",
    [
        *("../../../../etc/passwd", "/etc/passwd", "..\\..\\windows\\win.ini", "C:\\a.docx"),
        *("a\0b.docx", "x" * 10_000 + ".docx", "\u202excod.soap", "\ud800.docx", "http://[/a.md"),
    ],
)
def test_names_with_tricks_are_only_names(parser: Parser, name: str) -> None:
    safe = name.encode("utf-8", "ignore").decode()[:200]
    tricky = {safe: "secret", f"word/{safe}": "secret"}

    assert read(parser, make_docx(paragraph("Words."), parts=tricky), name).text == "Words."

    message = refuse(parser, b"\x7fELF" + bytes(100), name)
    assert len(message) < 300
    assert message.isprintable()


# -- XML


@pytest.mark.parametrize(("kind", "name"), find_xml_parts())
@pytest.mark.parametrize(
    "declaration", [LAUGHS, LATE_LAUGHS, QUADRATIC], ids=["laughs", "late", "quadratic"]
)
def test_entities_that_grow_are_refused_in_every_part(
    parser: Parser, kind: str, name: str, declaration: str
) -> None:
    text, message = read_or_refuse(parser, declare(kind, name, declaration))

    assert "haha" not in text
    assert "xxxx" not in text
    assert text or "XML entities" in message or "Office file of a kind" in message


def test_a_chapter_with_entities_that_grow_is_read_without_them(parser: Parser) -> None:
    page = f"{LAUGHS}<html><body><p>Words. &a;&jj;</p></body></html>"

    assert len(read(parser, make_epub({"a.xhtml": ""}, parts={"book/a.xhtml": page})).text) < 900


@pytest.mark.parametrize(("kind", "name"), find_xml_parts())
@pytest.mark.parametrize("ask", ["file", "http", "parameter", "dtd", "stylesheet"])
def test_nothing_outside_is_read_or_called_from_any_part(
    parser: Parser, canary: Canary, kind: str, name: str, ask: str
) -> None:
    body = declare(kind, name, find_outside(canary.port)[ask])

    with suppress(Permanent):
        assert "root:" not in read(parser, body).text

    assert canary.hits == 0


def test_no_address_in_any_file_is_called(parser: Parser, canary: Canary) -> None:
    for name, body in call_outside(canary.port).items():
        text = read(parser, body, name).text

        assert "Words" in text
        assert "root:" not in text

    assert canary.hits == 0


@pytest.mark.parametrize(
    ("kind", "name"), [("docx", "word/document.xml"), ("xlsx", "xl/sheet1.xml")]
)
def test_xml_nested_too_deeply_is_refused_with_the_limit(
    parser: Parser, kind: str, name: str
) -> None:
    parts = {**honest_files()[kind], name: "<a>" * 100_000 + "</a>" * 100_000}

    assert "more than 256 levels (the limit)" in refuse(parser, pack(parts))


def test_deep_tables_groups_and_lists_are_read(parser: Parser) -> None:
    word, slide = paragraph("deep words"), shape("deep words")
    for _ in range(60):
        word = f"<w:tbl><w:tr><w:tc>{word}</w:tc><w:tc>{paragraph('x')}</w:tc></w:tr></w:tbl>"
        slide = f"<p:grpSp>{slide}</p:grpSp>"

    assert "deep words" in read(parser, make_docx(word)).text
    assert "deep words" in read(parser, make_pptx(slide)).text


def test_a_chapter_nested_too_deeply_is_read(parser: Parser) -> None:
    page = "<div>" * 50_000 + "deep words"

    assert read(parser, make_epub({"a.xhtml": page})).text == "deep words"


# -- sizes


def test_json_nested_too_deeply_is_refused_with_the_limit(parser: Parser) -> None:
    for body in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000):
        assert "more than 100 levels (the limit)" in refuse(parser, body)


def test_json_of_millions_of_empty_lists_stays_within_memory(parser: Parser) -> None:
    message = refuse(parser, b"[" + b"[]," * 8_000_000 + b"[]]")

    assert "soap is empty" in message or "memory limit 512 MB" in message


def test_a_page_of_100_mb_is_refused_before_a_child_is_asked() -> None:
    parser = Parser()
    before = psutil.Process().children()

    message = refuse(parser, b"<!doctype html><html><p>" + b"x" * 100 * MEGABYTE)

    assert "is too large: 100,000,024 bytes, the limit for HTML pages is 25,000,000" in message
    assert psutil.Process().children() == before


def test_a_sheet_of_a_million_cells_is_read_whole(parser: Parser) -> None:
    line = "<row>" + "<c><v>7</v></c>" * 100 + "</row>"

    document = read(parser, make_xlsx({"Big": line * 10_000}))

    assert document.text.count("7") == 1_000_000


def test_a_sheet_of_two_million_cells_is_refused_with_the_limit(parser: Parser) -> None:
    line = "<row>" + "<c><v>7</v></c>" * 1_000 + "</row>"

    assert "more than 1,500,000 filled cells (the limit)" in refuse(
        parser, make_xlsx({"Big": line * 2_000})
    )


def test_cells_far_apart_are_refused_with_the_limit(parser: Parser) -> None:
    names = [
        f"{chr(65 + a)}{chr(65 + b)}{chr(65 + c)}"
        for a in range(4)
        for b in range(26)
        for c in range(26)
    ]
    lines = "".join(f'<row><c r="{name}1"><v>1</v></c></row>' for name in names)

    assert "cells (the limit)" in refuse(parser, make_xlsx({"Wide": lines}))


def test_cells_far_apart_in_an_old_file_end_the_child_alone(parser: Parser) -> None:
    body = (SAMPLES / "prices.xls").read_bytes()

    assert "memory limit 512 MB" in refuse(parser, move_cell(body))

    assert "Olive" in read(parser, body).text


def test_a_gzip_archive_stays_packed(parser: Parser) -> None:
    assert "it looks like a gzip archive" in refuse(parser, gzip.compress(bytes(50 * MEGABYTE)))


def test_a_table_of_a_million_fields_is_read_and_a_larger_one_refused(parser: Parser) -> None:
    line = b"a;b;c;d;e;f;g;h;i;7\n"

    assert read(parser, line * 100_000).mime == "text/csv"
    assert "more than 1,500,000 filled cells (the limit)" in refuse(parser, line * 160_000)


def test_a_line_of_50_mb_is_read_or_refused(parser: Parser) -> None:
    assert "limit" in refuse(parser, b"a,b\n1," + b"x" * 20 * MEGABYTE, "wide.csv")


def test_one_paragraph_of_endless_xml_is_refused_with_the_limit(parser: Parser) -> None:
    run = b"<w:r><w:t>soap</w:t></w:r>"
    body = bomb(
        "docx",
        "word/document.xml",
        f'<w:document xmlns:w="{WORD}"><w:body><w:p>',
        run,
        "</w:p></w:body></w:document>",
        size=60 * MEGABYTE,
    )

    message = refuse(parser, body)

    assert "more than 24,000,000 bytes of XML (the limit)" in message


# -- PDFs


@pytest.mark.parametrize("loop", make_looping_pdfs())
def test_a_pdf_that_leads_back_to_itself_ends(parser: Parser, loop: str) -> None:
    text, message = read_or_refuse(parser, make_looping_pdfs()[loop])

    assert "Words" in text or "the PDF" in message


@pytest.mark.parametrize("kind", PDF_BOMBS)
def test_a_page_that_unpacks_without_end_is_refused(parser: Parser, kind: str) -> None:
    message = refuse(parser, make_pdf_bomb(kind))

    assert "memory limit 512 MB" in message or "the PDF holds no text" in message


# -- macros


@pytest.mark.parametrize("kind", ["docx", "xlsx", "pptx"])
def test_macros_and_embedded_programs_are_neither_read_nor_run(
    parser: Parser, kind: str, tmp_path: Path
) -> None:
    trace = tmp_path / "ran"
    macro = f'Sub AutoOpen()\nShell "touch {trace}"\nEnd Sub'.encode()
    parts = dict(honest_files()[kind])
    folder = {"docx": "word", "xlsx": "xl", "pptx": "ppt"}[kind]
    parts |= {f"{folder}/vbaProject.bin": macro, f"{folder}/embeddings/ole.bin": macro}

    assert "AutoOpen" not in read(parser, pack(parts)).text
    assert not trace.exists()
