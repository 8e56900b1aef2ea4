"""Slides in their order, with what stands on them and what is said to them."""

import pytest

from pipelines.errors import Permanent
from pipelines.knowledge import pptx
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from tests.unit.extract_packages import (
    DRAWING,
    LINKS,
    PACKAGE_LINKS,
    make_pptx,
    make_slide,
    pack,
    pptx_parts,
    shape,
)

CHART = "http://schemas.openxmlformats.org/drawingml/2006/chart"


def read(body: bytes) -> Document:
    return extract(body, content_type=None, name="talk.pptx")


def show(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def relations(**targets: str) -> str:
    links = "".join(
        f'<Relationship Id="{kind}" Type="{LINKS}/{kind}" Target="{target}"/>'
        for kind, target in targets.items()
    )
    return f'<Relationships xmlns="{PACKAGE_LINKS}">{links}</Relationships>'


def frame(content: str) -> str:
    return (
        '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="2" name="x"/></p:nvGraphicFramePr>'
        f"<a:graphic><a:graphicData>{content}</a:graphicData></a:graphic></p:graphicFrame>"
    )


def test_titles_are_headings_and_bodies_are_lists() -> None:
    body = make_pptx(
        shape("oil", "\tolive", "lye", place="body") + shape("What soap is", place="title")
    )

    document = read(body)

    assert show(document) == [
        ("heading", "What soap is"),
        ("list", "- oil\n  - olive\n- lye"),
    ]
    assert document.title == "What soap is"


def test_slides_come_in_the_order_in_which_they_are_shown() -> None:
    body = make_pptx(shape("first", place="title"), shape("second", place="title"), order=[2, 1])

    assert read(body).text == "second\n\nfirst"


def test_a_slide_without_a_title_is_known_by_its_number() -> None:
    document = read(make_pptx(shape("one", place="title"), shape("free text")))

    assert document.blocks[-1].heading_path == ("Slide 2",)
    assert "Slide 2" not in document.text


def test_hidden_slides_and_shapes_and_the_furniture_are_left_out() -> None:
    shown = shape("shown") + shape("secret", hidden=True) + shape("7", place="sldNum")
    parts = {"ppt/slides/slide2.xml": make_slide(shape("unseen"), attributes='show="0"')}

    assert read(make_pptx(shown, "", parts=parts)).text == "shown"


def test_bullets_of_a_text_box_make_a_list() -> None:
    assert show(read(make_pptx(shape("* oil", "* lye")))) == [("list", "- oil\n- lye")]


def test_grouped_shapes_are_read_in_their_place() -> None:
    group = f"<p:grpSp>{shape('inside')}<p:grpSp>{shape('deeper')}</p:grpSp></p:grpSp>"

    assert read(make_pptx(shape("before") + group)).text == "before\n\ninside\n\ndeeper"


def test_a_table_has_its_header() -> None:
    cell = "<a:tc><a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>"
    rows = "".join(
        f"<a:tr>{''.join(cell.format(text) for text in texts)}</a:tr>"
        for texts in (("Oil", "Use"), ("Olive", "hands"))
    )
    table = f'<a:tbl><a:tblPr firstRow="1"/>{rows}</a:tbl>'

    document = read(make_pptx(frame(table)))

    assert show(document) == [("table", "| Oil | Use |\n| --- | --- |\n| Olive | hands |")]
    assert document.blocks[0].header_end > 0


def test_speaker_notes_follow_their_slide() -> None:
    notes = make_slide(shape("Say it slowly.", place="body") + shape("1", place="sldNum"))
    parts = {
        "ppt/slides/_rels/slide1.xml.rels": relations(notesSlide="../notes/n1.xml"),
        "ppt/notes/n1.xml": notes,
    }

    assert read(make_pptx(shape("Soap", place="title"), parts=parts)).text == (
        "Soap\n\nSay it slowly."
    )


def test_a_chart_gives_its_title_and_figures() -> None:
    point = '<c:pt idx="{}"><c:v>{}</c:v></c:pt>'
    chart = (
        f'<c:chartSpace xmlns:c="{CHART}" xmlns:a="{DRAWING}"><c:chart>'
        "<c:title><a:p><a:r><a:t>Sales</a:t></a:r></a:p></c:title><c:ser>"
        f"<c:tx>{point.format(0, 'Kiel')}</c:tx>"
        f"<c:cat>{point.format(0, '2023')}{point.format(1, '2024')}</c:cat>"
        f"<c:val><c:formatCode>0%</c:formatCode>{point.format(0, 0.5)}{point.format(1, 1)}</c:val>"
        "</c:ser></c:chart></c:chartSpace>"
    )
    parts = {
        "ppt/slides/_rels/slide1.xml.rels": relations(chart="../charts/c.xml"),
        "ppt/charts/c.xml": chart,
    }
    body = make_pptx(frame(f'<c:chart xmlns:c="{CHART}" r:id="chart"/>'), parts=parts)

    assert show(read(body)) == [
        ("caption", "Sales"),
        ("table", "|  | Kiel |\n| --- | --- |\n| 2023 | 50% |\n| 2024 | 100% |"),
    ]


@pytest.mark.parametrize("text", ["石鹸の作り方", "صابون زيت الزيتون", "สบู่น้ำมันมะกอก"])
def test_every_script_survives(text: str) -> None:
    assert read(make_pptx(shape(text))).text == text


def test_too_many_slides_are_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pptx, "SLIDES_MAX", 1)

    with pytest.raises(Permanent, match="has 2 slides, the limit is 1"):
        read(make_pptx(shape("one"), shape("two")))


def test_a_slide_that_is_missing_is_a_damage() -> None:
    parts = pptx_parts(shape("one"))
    del parts["ppt/slides/slide1.xml"]

    with pytest.raises(Permanent, match=r"is damaged: its part ppt/slides/slide1\.xml is missing"):
        read(pack(parts))
