"""Sheets as a person sees them."""

from pathlib import Path

import pytest

from pipelines.errors import Permanent
from pipelines.knowledge import office_grid, xlsx
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from pipelines.knowledge.xlsx_formats import make_formatter
from tests.unit.extract_packages import make_xlsx, row

HEAD = row(1, "Item", "Price")
SAMPLES = Path(__file__).parent.parent / "samples"


def read(body: bytes) -> Document:
    return extract(body, content_type=None, name="prices.xlsx")


def show(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_each_sheet_is_a_heading_above_its_table() -> None:
    body = make_xlsx({"Soap": HEAD + row(2, "Olive", 3.5), "Oil": HEAD + row(2, "Crete", 9)})

    document = read(body)

    assert show(document) == [
        ("heading", "Soap"),
        ("table", "| Item | Price |\n| --- | --- |\n| Olive | 3.5 |"),
        ("heading", "Oil"),
        ("table", "| Item | Price |\n| --- | --- |\n| Crete | 9 |"),
    ]
    assert document.blocks[3].heading_path == ("Oil",)
    assert document.blocks[1].header_end > document.blocks[1].start


def test_hidden_and_empty_sheets_are_left_out() -> None:
    body = make_xlsx({"Secret": HEAD, "Empty": "", "Open": HEAD}, hidden=["Secret"])

    assert "Secret" not in read(body).text
    assert "Empty" not in read(body).text


def test_texts_truths_formulas_and_errors() -> None:
    cells = (
        '<row r="1"><c r="A1" t="s"><v>1</v></c><c r="B1" t="b"><v>1</v></c>'
        '<c r="C1" t="str"><f>A1&amp;1</f><v>made</v></c><c r="D1" t="e"><v>#N/A</v></c>'
        '<c r="E1"><f>1+1</f><v>2</v></c><c><v>3</v></c></row>'
    )

    body = make_xlsx({"Soap": cells}, texts=["zero", "one"])

    assert read(body).text == "Soap\n\n| one | TRUE | made | 2 | 3 |"


@pytest.mark.parametrize(
    ("code", "format_id", "number", "shown"),
    [
        ("", 0, 1.0, "1"),
        ("", 0, 0.1 + 0.2, "0.3"),
        ("", 0, 1e20, "1e+20"),
        ("", 9, 0.15, "15%"),
        ("0.0%", 164, 0.155, "15.5%"),
        ("", 14, 45352, "2024-03-01"),
        ("", 22, 45352.604166667, "2024-03-01 14:30"),
        ("dd.mm.yyyy", 164, 45352, "2024-03-01"),
        ("[$-407]d. mmmm yyyy;@", 164, 45352, "2024-03-01"),
        ("yyyy年m月d日", 164, 45352, "2024-03-01"),
        ("", 20, 0.5, "12:00"),
        ("[h]:mm:ss", 46, 1.5, "36:00:00"),
        ("", 4, 1234.5, "1,234.50"),
        ('#,##0.00 "€"', 164, 1234.5, "1,234.50 €"),
        ("[$€-407] #,##0.00", 164, 9.9, "€ 9.90"),
        ('"$"#,##0_);[Red]("$"#,##0)', 164, -1234, "($1,234)"),
        ("0.00", 164, -1.5, "-1.50"),
        ("00000", 164, 501, "00501"),
        ("0.###", 164, 2.5, "2.5"),
        ("#,##0,", 164, 12000, "12"),
        ("# ?/?", 164, 0.5, "0.5"),
        ("0.00E+00", 164, 12345, "12345"),
        ("", 49, 7.0, "7"),
        ("General", 164, 7.25, "7.25"),
        ("", 14, -5.0, "-5"),
        ("", 14, 60.0, "1900-03-01"),
    ],
)
def test_numbers_look_as_in_excel(code: str, format_id: int, number: float, shown: str) -> None:
    assert make_formatter(code, format_id=format_id)(number) == shown


def test_a_cells_style_leads_to_its_format() -> None:
    styles = (
        '<numFmts><numFmt numFmtId="164" formatCode="0%"/></numFmts>'
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="14"/></cellXfs>'
    )
    cells = '<row r="1"><c s="1"><v>0.5</v></c><c s="2"><v>2</v></c></row>'
    settings = '<workbookPr date1904="1"/>'

    body = make_xlsx({"Soap": cells}, styles=styles, settings=settings)

    assert read(body).text.endswith("| 50% | 1904-01-03 |")


def test_empty_rows_and_columns_around_a_table_are_trimmed() -> None:
    cells = row(7, None, None, "Item", None, "Price") + row(8, None, None, "Olive", None, 3)

    assert show(read(make_xlsx({"Soap": cells})))[1:] == [
        ("table", "| Item | Price |\n| --- | --- |\n| Olive | 3 |")
    ]


def test_several_tables_of_a_sheet_stay_apart_with_the_lines_around_them() -> None:
    cells = (
        row(1, "Prices of 2024")
        + row(2, "Item", "Price")
        + row(3, "Olive", 3)
        + row(4, "All prices are net.")
        + row(7, "City", "Shops")
        + row(8, "Kiel", 2)
    )

    assert [kind for kind, _ in show(read(make_xlsx({"Soap": cells})))[1:]] == [
        *("paragraph", "table", "paragraph", "table")
    ]


def test_an_empty_row_does_not_end_a_table_that_goes_on() -> None:
    cells = HEAD + row(2, "Olive", 3) + row(4, "Palm", 2)

    assert show(read(make_xlsx({"Soap": cells})))[1:] == [
        ("table", "| Item | Price |\n| --- | --- |\n| Olive | 3 |\n| Palm | 2 |")
    ]


def test_rows_of_figures_have_no_header_and_years_are_names() -> None:
    figures = make_xlsx({"Soap": row(1, 1, 2) + row(2, 3, 4)})
    years = make_xlsx({"Soap": row(1, "Shop", "2023", "2024") + row(2, "Kiel", 1, 2)})

    assert "---" not in read(figures).text
    assert "| Shop | 2023 | 2024 |\n| --- |" in read(years).text


def test_a_cell_that_spans_rows_is_said_in_each() -> None:
    content = (
        f"<!><sheetData>{row(1, 'Land', 'City')}{row(2, 'North', 'Kiel')}{row(3, None, 'Husum')}"
        '</sheetData><mergeCells><mergeCell ref="A2:A3"/></mergeCells>'
    )

    assert read(make_xlsx({"Soap": content})).text.endswith("| North | Husum |")


def test_macros_are_not_read() -> None:
    body = make_xlsx({"Soap": HEAD}, kind="xlsm", parts={"xl/vbaProject.bin": b"Sub Auto_Open()"})

    assert read(body).text == "Soap\n\n| Item | Price |"


def test_too_many_cells_are_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "CELLS_MAX", 3)

    with pytest.raises(Permanent, match=r"more than 3 filled cells \(the limit\)"):
        read(make_xlsx({"Soap": HEAD + row(2, "Olive", 3)}))


def test_few_cells_far_apart_are_no_large_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    far = '<row r="1"><c r="A1"><v>1</v></c><c r="XFD1"><v>2</v></c></row>'
    last = '<row r="1048576"><c r="XFD1048576"><v>3</v></c><c r="A1"><v>4</v></c></row>'

    assert read(make_xlsx({"Soap": far + last})).text.count("|") == 6

    monkeypatch.setattr(office_grid, "GRID_CELLS_MAX", 3)
    with pytest.raises(Permanent, match=r"more than 3 cells \(the limit\)"):
        read(make_xlsx({"Soap": HEAD + row(2, "Olive", 3)}))


def test_a_text_that_is_missing_is_a_damage() -> None:
    cells = '<row r="1"><c r="A1" t="s"><v>7</v></c></row>'

    with pytest.raises(Permanent, match="the Excel file is damaged"):
        read(make_xlsx({"Soap": cells}))


def test_an_old_excel_file_is_read_too() -> None:
    body = (SAMPLES / "prices.xls").read_bytes()

    document = extract(body, content_type="text/plain", name="prices.txt")

    assert document.text == (
        "Soap\n\n| Item | Price | Since |\n| --- | --- | --- |\n"
        "| Olive | 1 | 2024-03-01 |\n| 石鹸 | 2.5 |  |"
    )


def test_an_old_excel_file_that_is_damaged_is_refused() -> None:
    body = (SAMPLES / "prices.xls").read_bytes()

    with pytest.raises(Permanent, match="the Excel file is damaged"):
        extract(body[:512] + bytes(1024) + body[1536:], content_type=None)
