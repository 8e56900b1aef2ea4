"""Tables in text: told by their bytes, whatever their delimiter, quoting and charset."""

import csv

import pytest

from pipelines.errors import Permanent
from pipelines.knowledge import csv_rows
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from pipelines.knowledge.sniff import CSV, PLAIN, sniff

LINES = ["Item{0}Price{0}City", "Olive{0}3.50{0}Kiel", "Palm{0}2.00{0}Husum", "Lye{0}1{0}Bonn"]
TABLE = (
    "| Item | Price | City |\n| --- | --- | --- |\n| Olive | 3.50 | Kiel |\n"
    "| Palm | 2.00 | Husum |\n| Lye | 1 | Bonn |"
)


def read(text: str | bytes, name: str | None = "prices.csv") -> Document:
    body = text.encode() if isinstance(text, str) else text
    return extract(body, content_type=None, name=name)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["prices.csv", None])
def test_every_delimiter_is_found(delimiter: str, end: str, name: str | None) -> None:
    text = end.join(LINES).replace("{0}", delimiter)

    document = read(text, name)

    assert document.text == TABLE
    assert document.mime == "text/csv"
    assert document.blocks[0].header_end == TABLE.index("\n| Olive")


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_every_charset_is_found(charset: str) -> None:
    text = "Name;Ort;Preis\nSeife;Köln;1,50\nÖl;Düsseldorf;2,00\nMühle;Überlingen;3,10\n"

    assert "| Seife | Köln | 1,50 |" in read(text.encode(charset)).text


@pytest.mark.parametrize("text", ["石鹸", "صابون", "สบู่", "мыло"])
def test_every_script_survives(text: str) -> None:
    assert f"| {text} | 1 |" in read(f"名前,値段\n{text},1\n{text},2\n").text


def test_quotes_keep_delimiters_and_line_ends_in_a_field() -> None:
    text = 'Item,Text\nOil,"olive, ""extra""\nfrom Crete"\nLye,strong\n'

    assert read(text).text == (
        '| Item | Text |\n| --- | --- |\n| Oil | olive, "extra" from Crete |\n| Lye | strong |'
    )


def test_a_quote_that_nothing_closes_swallows_no_rows() -> None:
    rows = [f"item {n},{'5' + chr(34) if n == 3 else n}" for n in range(400)]
    stray = [row if n != 5 else f'"item {n},{n}' for n, row in enumerate(rows)]

    assert len(read("name,size\n" + "\n".join(stray)).text.splitlines()) == 402


def test_the_line_that_names_the_separator_is_not_a_row() -> None:
    assert read("sep=;\na;b\n1;2\n").text == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_rows_of_figures_have_no_header() -> None:
    assert read("1,2\n3,4\n").text == "| 1 | 2 |\n| 3 | 4 |"


def test_pipes_in_cells_are_escaped() -> None:
    assert "| a\\|b | 1 |" in read("x;y\na|b;1\nc;2\n").text


@pytest.mark.parametrize(
    "text",
    [
        "Dear Ann,\n\nthank you for oil, lye, and water.\n\nYours,\nBob",
        "Soap needs oil, lye, and water.\nStir it, wait, and pour.\nCut, dry, and pack.\nSell it.",
        "I came, I saw, I won\nHe came, he saw, he lost\nWe came, we saw, we sat\nAll, of, us",
        "# head\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n",
        "int a[] = {1, 2, 3};\nint b[] = {4, 5, 6};\nint c[] = {7, 8, 9};\nint d[] = {1, 2, 3};",
        "import a, b, c\nfrom x import a, b, c\nfrom y import a, b, c\nfrom z import a, b, c\n",
        "one\ttab here\nand none here\nnone\nnone at all\n",
        "Name: Ann; Age: 3\nName: Bob; Age: 4\nName: Eve; Age: 5\nName: Joe; Age: 6",
    ],
)
def test_prose_and_code_are_no_tables(text: str) -> None:
    assert sniff(text.encode(), name=None) != CSV


def test_a_label_is_not_enough() -> None:
    assert sniff(b"Just a sentence.\nAnd another.", name="notes.csv") == PLAIN


def test_too_many_cells_are_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "CELLS_MAX", 3)

    with pytest.raises(Permanent, match=r"more than 3 filled cells \(the limit\)"):
        read("a,b\n1,2\n")


def test_a_field_too_long_is_refused_with_the_limit() -> None:
    before = csv.field_size_limit()

    with pytest.raises(Permanent, match=r"a field of more than 1,000,000 characters"):
        read("a,b\n1," + "x" * 1_100_000)

    csv.field_size_limit(before)
