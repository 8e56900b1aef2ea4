"""What Word shows of a document, and nothing that it hides."""

import pytest

from pipelines.errors import Permanent
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from tests.unit.extract_packages import (
    HEADING_STYLES,
    docx_parts,
    make_docx,
    pack,
    paragraph,
    table,
    word_part,
)

LEVELS = "".join(
    f'<w:lvl w:ilvl="{n}"><w:start w:val="1"/><w:numFmt w:val="{form}"/>'
    f'<w:lvlText w:val="{text}"/></w:lvl>'
    for n, (form, text) in enumerate([("decimal", "%1."), ("decimal", "%1.%2"), ("bullet", "•")])
)
NUMBERING = {
    "word/numbering.xml": word_part(
        "numbering",
        f'<w:abstractNum w:abstractNumId="0">{LEVELS}</w:abstractNum>'
        '<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl>'
        '<w:lvl w:ilvl="1"><w:numFmt w:val="lowerRoman"/><w:lvlText w:val="(%2)"/></w:lvl>'
        "</w:abstractNum>"
        '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
        '<w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>'
        '<w:num w:numId="3"><w:abstractNumId w:val="0"/>'
        '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride></w:num>',
    )
}


def read(body: bytes) -> Document:
    return extract(body, content_type=None, name="soap.docx")


def show(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def numbered(text: str, list_id: int, level: int = 0) -> str:
    numbers = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{list_id}"/></w:numPr>'
    return paragraph(text, properties=numbers)


def test_headings_lead_the_paths_of_what_is_below_them() -> None:
    body = make_docx(
        paragraph("Soap", style="H1")
        + paragraph("Oil", style="H2")
        + paragraph("Olive oil is best.")
        + paragraph("Care", style="H1")
        + paragraph("Keep it dry.")
    )

    document = read(body)

    assert [block.heading_path for block in document.blocks] == [
        ("Soap",),
        ("Soap", "Oil"),
        ("Soap", "Oil"),
        ("Care",),
        ("Care",),
    ]
    assert document.title == "Soap"


@pytest.mark.parametrize(
    "style",
    [
        '<w:name w:val="Überschrift 2"/>',
        '<w:name w:val="見出し 2"/>',
        '<w:name w:val="Chapter"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr>',
        '<w:name w:val="Chapter"/><w:basedOn w:val="H2"/>',
    ],
)
def test_a_heading_is_known_by_a_translated_name_an_outline_level_or_its_base(style: str) -> None:
    styles = f'{HEADING_STYLES}<w:style w:type="paragraph" w:styleId="X">{style}</w:style>'

    document = read(make_docx(paragraph("Oil", style="X"), styles=styles))

    assert [(block.kind, block.level) for block in document.blocks] == [("heading", 2)]


def test_a_paragraph_with_an_outline_level_of_its_own_is_a_heading() -> None:
    own = paragraph("Oil", properties='<w:outlineLvl w:val="2"/>')

    document = read(make_docx(own))

    assert [(block.kind, block.level) for block in document.blocks] == [("heading", 3)]


def test_a_title_stands_above_all_headings() -> None:
    styles = f'{HEADING_STYLES}<w:style w:styleId="T"><w:name w:val="Title"/></w:style>'
    body = make_docx(paragraph("Handbook", style="T") + paragraph("Oil", style="H1"), styles=styles)

    document = read(body)

    assert document.blocks[-1].heading_path == ("Handbook", "Oil")


def test_the_title_in_the_properties_wins_unless_it_is_a_files_name() -> None:
    heading = paragraph("Soap", style="H1")

    assert read(make_docx(heading, title="Handbook")).title == "Handbook"
    assert read(make_docx(heading, title="Microsoft Word - draft.docx")).title == "Soap"


def test_lists_have_the_numbers_that_word_shows() -> None:
    body = make_docx(
        numbered("Mix", 1)
        + numbered("oil", 1, 1)
        + numbered("lye", 1, 1)
        + numbered("slowly", 1, 2)
        + numbered("Pour", 1)
        + numbered("free", 2)
        + numbered("third", 2, 1),
        parts=NUMBERING,
    )

    assert show(read(body)) == [
        (
            "list",
            "1. Mix\n  1.1 oil\n  1.2 lye\n    - slowly\n2. Pour\n- free\n  (i) third",
        )
    ]


def test_a_list_that_starts_again_is_counted_from_its_start() -> None:
    body = make_docx(
        numbered("a", 1) + numbered("b", 1) + paragraph("Text.") + numbered("c", 3),
        parts=NUMBERING,
    )

    assert show(read(body))[-1] == ("list", "1. c")


def test_numbered_headings_keep_their_numbers() -> None:
    numbers = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'

    document = read(make_docx(paragraph("Scope", style="H1", properties=numbers), parts=NUMBERING))

    assert document.text == "1. Scope"


def test_a_table_repeats_what_spans_rows_and_knows_its_header() -> None:
    look = '<w:tblPr><w:tblLook w:firstRow="1"/></w:tblPr>'
    start, goes_on = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    rows = (
        "<w:tr>" + "".join(f"<w:tc>{paragraph(t)}</w:tc>" for t in ("Oil", "Use")) + "</w:tr>"
        f"<w:tr><w:tc><w:tcPr>{start}</w:tcPr>{paragraph('Olive')}</w:tc>"
        f"<w:tc>{paragraph('hands')}</w:tc></w:tr>"
        f"<w:tr><w:tc><w:tcPr>{goes_on}</w:tcPr><w:p/></w:tc><w:tc>{paragraph('hair')}</w:tc></w:tr>"
    )

    document = read(make_docx(f"<w:tbl>{look}{rows}</w:tbl>"))

    assert document.text == ("| Oil | Use |\n| --- | --- |\n| Olive | hands |\n| Olive | hair |")
    assert document.text[: document.blocks[0].header_end] == "| Oil | Use |\n| --- | --- |"


def test_a_cell_across_columns_leaves_the_others_in_place() -> None:
    wide = f'<w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr>{paragraph("both")}</w:tc>'
    rows = table(["a", "b", "c"]).replace("</w:tbl>", "")
    body = f"{rows}<w:tr>{wide}<w:tc>{paragraph('last')}</w:tc></w:tr></w:tbl>"

    assert read(make_docx(body)).text == "| a | b | c |\n| both |  | last |"


def test_a_table_in_a_cell_becomes_text_of_the_cell() -> None:
    inner = table(["x", "y"], ["z", ""])
    body = (
        f"<w:tbl><w:tr><w:tc>{paragraph('outer')}{inner}<w:p/></w:tc>"
        f"<w:tc>{paragraph('b')}</w:tc></w:tr></w:tbl>"
    )

    assert read(make_docx(body)).text == "| outer x, y; z | b |"


def test_a_table_of_one_column_is_a_frame_around_its_text() -> None:
    content = paragraph("Oil", style="H1") + paragraph("Text.")
    body = f"<w:tbl><w:tr><w:tc>{content}</w:tc></w:tr></w:tbl>"

    assert show(read(make_docx(body))) == [("heading", "Oil"), ("paragraph", "Text.")]


def test_insertions_are_in_and_deletions_and_hidden_text_are_out() -> None:
    run = "<w:r>{}<w:t>{}</w:t></w:r>"
    body = (
        "<w:p>"
        + run.format("", "kept ")
        + f"<w:ins>{run.format('', 'inserted ')}</w:ins>"
        + "<w:del><w:r><w:delText>deleted </w:delText></w:r></w:del>"
        + f"<w:del>{run.format('', 'deleted too ')}</w:del>"
        + f"<w:moveFrom>{run.format('', 'moved ')}</w:moveFrom>"
        + run.format("<w:rPr><w:vanish/></w:rPr>", "hidden ")
        + run.format('<w:rPr><w:vanish w:val="0"/></w:rPr>', "shown")
        + "</w:p>"
    )

    assert read(make_docx(body)).text == "kept inserted shown"


def test_links_fields_and_content_controls_give_their_text() -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    body = (
        f'<w:p><w:hyperlink r:id="x">{run.format("our site")}</w:hyperlink>'
        "<w:r><w:instrText> PAGEREF x </w:instrText></w:r>"
        f"<w:fldSimple>{run.format(' field')}</w:fldSimple></w:p>"
        f"<w:sdt><w:sdtContent>{paragraph('controlled')}</w:sdtContent></w:sdt>"
    )

    assert read(make_docx(body)).text == "our site field\n\ncontrolled"


def test_a_footnote_follows_the_paragraph_that_refers_to_it() -> None:
    note = '<w:footnote w:id="2"><w:p><w:r><w:t>From Crete.</w:t></w:r></w:p></w:footnote>'
    separator = (
        '<w:footnote w:id="0" w:type="separator"><w:p><w:r><w:t>--</w:t></w:r></w:p></w:footnote>'
    )
    parts = {"word/footnotes.xml": word_part("footnotes", separator + note)}
    body = '<w:p><w:r><w:t>Oil</w:t><w:footnoteReference w:id="2"/></w:r></w:p>' + paragraph("Lye")

    assert read(make_docx(body, parts=parts)).text == "Oil[1]\n\n[1] From Crete.\n\nLye"


def test_a_text_box_is_read_once_behind_its_paragraph() -> None:
    box = f"<w:txbxContent>{paragraph('boxed')}</w:txbxContent>"
    body = (
        f"<w:p><w:r><w:t>before</w:t><mc:AlternateContent><mc:Choice>{box}</mc:Choice>"
        f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )

    assert read(make_docx(body)).text == "before\n\nboxed"


def test_headers_contents_and_comments_are_left_out() -> None:
    styles = f'{HEADING_STYLES}<w:style w:styleId="C1"><w:name w:val="toc 1"/></w:style>'
    parts = {"word/header.xml": word_part("hdr", paragraph("running head"))}
    body = paragraph("Oil ....... 3", style="C1") + paragraph("Oil", style="H1")

    assert read(make_docx(body, styles=styles, parts=parts)).text == "Oil"


def test_code_and_captions_are_known_by_their_styles() -> None:
    styles = (
        '<w:style w:styleId="K"><w:name w:val="Source Code"/></w:style>'
        '<w:style w:styleId="B"><w:name w:val="caption"/></w:style>'
    )
    body = (
        paragraph("def f():", style="K")
        + paragraph("    return 1", style="K")
        + paragraph("Listing 1", style="B")
    )

    assert show(read(make_docx(body, styles=styles))) == [
        ("code", "def f():\n    return 1"),
        ("caption", "Listing 1"),
    ]


@pytest.mark.parametrize("text", ["石鹸の作り方", "صابون زيت الزيتون", "สบู่น้ำมันมะกอก", "비누 👩‍🔬"])
def test_every_script_survives(text: str) -> None:
    assert read(make_docx(paragraph(text))).text == text


def test_macros_are_not_read_and_the_text_around_them_is() -> None:
    parts = docx_parts(paragraph("Text."), kind="docm")
    parts["word/vbaProject.bin"] = b"\xd0\xcf\x11\xe0 Sub AutoOpen()"

    assert read(pack(parts)).text == "Text."


def test_a_file_without_its_main_part_is_damaged() -> None:
    parts = docx_parts(paragraph("Text."))
    del parts["word/document.xml"]

    with pytest.raises(Permanent, match="the Word file is damaged: it names no main part"):
        read(pack(parts))


def test_a_file_without_text_is_empty() -> None:
    with pytest.raises(Permanent, match="soap.docx is empty: it holds no text"):
        read(make_docx("<w:p/>"))
