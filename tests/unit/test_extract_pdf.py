from pathlib import Path

import pytest

from pipelines.errors import Permanent
from pipelines.knowledge import pdf
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from tests.unit.extract_pdfs import BOLD, MONO, Words, make_pdf, stack

LOCKED = Path(__file__).parents[1] / "samples" / "extract" / "locked.pdf"
LONG = "The quick brown fox jumps over the lazy dog and goes home"


def read(*pages: list[Words], title: str | None = None) -> Document:
    return extract(make_pdf(*pages, title=title), content_type="application/pdf")


def outline(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_lines_become_paragraphs_again() -> None:
    page = [
        *stack(LONG, "without looking back.", top=700),
        *stack(LONG, "for the second time.", top=660),
    ]

    document = read(page)

    assert outline(document) == [
        ("paragraph", f"{LONG} without looking back."),
        ("paragraph", f"{LONG} for the second time."),
    ]
    assert document.mime == "application/pdf"


def test_a_word_cut_at_the_end_of_a_line_is_made_whole() -> None:
    page = stack("All of the neigh-", "bours came, and the well-known Mr. Well-", "Known came too.")

    document = read(page)

    assert (
        document.text == "All of the neighbours came, and the well-known Mr. Well-Known came too."
    )


def test_a_hyphen_stays_where_the_word_is_written_with_it_elsewhere() -> None:
    page = stack(
        "A self-service shop is open all night long, and", "pays off: every self-", "service"
    )

    document = read(page)

    assert document.text.endswith("every self-service")


def test_headings_come_from_size_and_weight_and_lead_the_path() -> None:
    page = [
        Words("Handbook", y=760, size=24, font=BOLD),
        Words("Deliveries", y=720, size=16, font=BOLD),
        *stack(LONG, "and sleeps.", top=690),
        Words("By night", y=650, font=BOLD),
        *stack(LONG, "and wakes.", top=630),
    ]

    document = read(page)

    headings = [(b.level, b.heading_path) for b in document.blocks if b.kind == "heading"]
    assert headings == [
        (1, ("Handbook",)),
        (2, ("Handbook", "Deliveries")),
        (3, ("Handbook", "Deliveries", "By night")),
    ]
    assert document.blocks[-1].heading_path == ("Handbook", "Deliveries", "By night")


def test_running_heads_feet_and_page_numbers_are_left_out() -> None:
    pages = [
        [
            Words("Report of the year 2026", y=810, size=9),
            Words(f"Chapter {number}", y=770, size=20, font=BOLD),
            *stack(f"{LONG} number {number}", f"and ends on page {number}.", top=700),
            Words(f"Page {number} of 3", x=280, y=30, size=9),
        ]
        for number in (1, 2, 3)
    ]

    document = read(*pages)

    assert "Report of the year" not in document.text
    assert "of 3" not in document.text
    assert [b.heading_path for b in document.blocks if b.kind == "heading"] == [
        ("Chapter 1",),
        ("Chapter 2",),
        ("Chapter 3",),
    ]


def test_a_paragraph_goes_on_over_the_end_of_a_page() -> None:
    first = stack(LONG, "and then it went", top=100)
    second = stack("on and on until the morning came.", "It was a long way.", top=760)

    document = read(first, second)

    assert outline(document) == [
        (
            "paragraph",
            f"{LONG} and then it went on and on until the morning came. It was a long way.",
        )
    ]


def test_items_become_a_list() -> None:
    page = [
        *stack("You need three things, all of which we sell in our shop:", top=720),
        Words("1. a bucket,", y=700),
        Words("2. a brush that is long enough to reach", y=686),
        Words("the bottom of it,", x=86, y=672),
        Words("3. water.", y=658),
    ]

    document = read(page)

    assert outline(document)[1] == (
        "list",
        "1. a bucket,\n2. a brush that is long enough to reach the bottom of it,\n3. water.",
    )


def test_columns_of_cells_become_a_table_with_its_header() -> None:
    rows = [("Item", "Size", "Price"), ("Tea", "400 ml", "3.50"), ("Coffee", "180 ml", "2.90")]
    page = [
        *stack(LONG, "and looks at the prices.", top=740),
        *(
            Words(cell, x=x, y=690 - 18 * row, font=BOLD if row == 0 else "F1")
            for row, cells in enumerate(rows)
            for x, cell in zip((72, 200, 320), cells, strict=True)
        ),
        *stack(LONG, "and leaves without buying.", top=600),
    ]

    document = read(page)

    (table,) = [block for block in document.blocks if block.kind == "table"]
    assert document.text[table.start : table.end] == (
        "| Item | Size | Price |\n| --- | --- | --- |\n"
        "| Tea | 400 ml | 3.50 |\n| Coffee | 180 ml | 2.90 |"
    )
    assert document.text[table.start : table.header_end].endswith("| --- | --- | --- |")


def test_a_cell_of_two_lines_stays_one_cell() -> None:
    page = [
        *stack(LONG, "and looks at the plans.", top=760),
        *(Words(text, x=x, y=700) for x, text in ((72, "Plan"), (200, "Pages"), (320, "Help"))),
        *stack("Small, for a", "single person", top=680),
        Words("100", x=200, y=680),
        Words("none", x=320, y=680),
        *stack("Large", top=640),
        Words("5,000", x=200, y=640),
        Words("by telephone", x=320, y=640),
    ]

    document = read(page)

    assert "| Small, for a single person | 100 | none |\n| Large | 5,000 | by telephone |" in (
        document.text
    )


def test_two_columns_of_text_are_read_one_after_the_other() -> None:
    left = stack("The first column tells", "of the mountains and", "the sea.", top=700)
    right = [
        Words(text, x=320, y=700 - 14 * n)
        for n, text in enumerate(("The second column tells", "of the city and of", "its people."))
    ]

    document = read([*left, *right])

    assert outline(document) == [
        ("paragraph", "The first column tells of the mountains and the sea."),
        ("paragraph", "The second column tells of the city and of its people."),
    ]


def test_code_keeps_its_lines_and_indentation() -> None:
    page = [
        *stack(LONG, "and writes a program, which is this:", top=740),
        Words("def hello():", y=690, font=MONO),
        Words("    return 1", y=676, font=MONO),
        *stack(LONG, "and is done.", top=640),
    ]

    document = read(page)

    assert ("code", "def hello():\n    return 1") in outline(document)


def test_parts_that_are_drawn_late_are_read_where_they_stand() -> None:
    above = stack(LONG, "and then says:", top=740)
    below = stack(LONG, "after it was said.", top=640)
    late = [Words("print('late')", y=690, font=MONO)]

    document = read([*above, *below, *late])

    assert [text for _, text in outline(document)] == [
        f"{LONG} and then says:",
        "print('late')",
        f"{LONG} after it was said.",
    ]


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Trust report", "Trust report"),
        ("Microsoft Word - report_v3.docx", "Big words"),
        ("untitled", "Big words"),
        (None, "Big words"),
    ],
)
def test_the_title_is_the_one_a_person_wrote(written: str | None, title: str) -> None:
    page = [Words("Big words", y=780, size=24), *stack(LONG, "and reads.", top=740)]

    document = read(page, title=written)

    assert document.title == title


def test_a_title_that_is_no_text_is_left_out() -> None:
    body = make_pdf(stack(LONG)).replace(b"/Title ()", b"/Title <FEFFD8000041>")

    assert extract(body, content_type="application/pdf").title is None


def test_a_locked_file_says_that_it_needs_a_password() -> None:
    with pytest.raises(Permanent, match="encrypted and needs a password"):
        extract(LOCKED.read_bytes(), content_type="application/pdf")


def test_a_file_that_is_encrypted_without_a_password_is_read() -> None:
    body = LOCKED.with_name("no-password.pdf").read_bytes()

    assert extract(body, content_type=None).text == "Anyone may read this."


def test_too_many_pages_are_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "PAGES_MAX", 2)

    with pytest.raises(Permanent, match="the PDF has 3 pages, the limit is 2"):
        read(stack(LONG), stack(LONG), stack(LONG))


def test_a_truncated_file_says_that_its_end_is_missing() -> None:
    body = make_pdf(stack(LONG))

    with pytest.raises(Permanent, match="cut off"):
        extract(body[: len(body) // 2], content_type="application/pdf")


def test_a_damaged_file_is_refused() -> None:
    with pytest.raises(Permanent, match="damaged"):
        extract(b"%PDF-1.7\n" + b"rubbish " * 50 + b"\n%%EOF", content_type=None)


def test_a_scan_says_that_it_holds_no_text() -> None:
    with pytest.raises(Permanent, match="no text, only images"):
        extract(make_pdf([]), content_type="application/pdf")


def test_a_pdf_is_read_as_one_whatever_it_is_called() -> None:
    document = extract(make_pdf(stack(LONG)), content_type="text/html", name="page.html")

    assert document.text == LONG
