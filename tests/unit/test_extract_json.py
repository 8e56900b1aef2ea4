"""JSON reads like text: keys lead, flat lists are tables, markup is gone."""

import json

import pytest

from pipelines.errors import Permanent
from pipelines.knowledge import json_write
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from pipelines.knowledge.sniff import JSON, PLAIN, sniff


def read(value: object) -> Document:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return extract(body, content_type=None, name="soap.json")


def show(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_short_values_are_lines_of_one_paragraph() -> None:
    value = {"city": "Kiel", "open": True, "shops": 3, "none": None, "tags": ["a", "b"], "x": {}}

    assert show(read(value)) == [("paragraph", "city: Kiel\nopen: true\nshops: 3\ntags: a, b")]


def test_numbers_stay_as_they_are_written() -> None:
    assert read(b'{"price": 1.50, "big": 12345678901234567890, "e": 1E5}').text == (
        "price: 1.50\nbig: 12345678901234567890\ne: 1E5"
    )


def test_nested_keys_are_headings() -> None:
    document = read({"shop": {"address": {"city": "Kiel"}}, "phone": "1"})

    assert [(block.kind, block.heading_path) for block in document.blocks] == [
        ("heading", ("shop",)),
        ("heading", ("shop", "address")),
        ("paragraph", ("shop", "address")),
        ("paragraph", ()),
    ]


def test_a_list_of_flat_objects_is_a_table_with_all_their_keys() -> None:
    document = read({"oils": [{"name": "Olive", "price": 3}, {"name": "Palm", "from": "Java"}]})

    assert show(document)[1] == (
        "table",
        "| name | price | from |\n| --- | --- | --- |\n| Olive | 3 |  |\n| Palm |  | Java |",
    )
    assert document.blocks[1].header_end > document.blocks[1].start


def test_a_list_of_long_objects_is_a_section_for_each_by_its_name() -> None:
    long = "word " * 100
    document = read([{"title": "Oil", "body": long}, {"id": 7, "body": long}])

    assert [block.heading_path for block in document.blocks if block.kind == "heading"] == [
        ("Oil",),
        ("2",),
    ]
    assert "title: Oil" not in document.text


def test_html_in_texts_becomes_blocks_below_the_place_it_stands_in() -> None:
    html = "<h2>Use</h2><p>Wet <b>hands</b>.</p><ul><li>rub</li></ul>" + "<p>again</p>" * 30

    document = read({"item": {"name": "Soap", "body": html}})

    assert "<" not in document.text
    uses = [block for block in document.blocks if block.heading_path == ("item", "Use")]
    assert [block.kind for block in uses[:3]] == ["heading", "paragraph", "list"]


def test_html_in_short_values_is_stripped() -> None:
    assert read({"note": "very <b>good</b> soap<br>now"}).text == "note: very good soap now"


def test_long_texts_are_paragraphs_with_their_key() -> None:
    assert show(read({"story": "one\n\ntwo", "content": "three\n\nfour"})) == [
        ("paragraph", "story: one"),
        ("paragraph", "two"),
        ("paragraph", "three"),
        ("paragraph", "four"),
    ]


def test_json_lines_are_the_items_of_one_list() -> None:
    assert read(b'{"a": 1, "b": 2}\n\n{"a": 3, "b": 4}\n').text == (
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |"
    )


def test_escapes_that_no_document_may_hold_are_dropped() -> None:
    assert read(rb'{"k\u0000ey": "a\u0000b\ud800c\u001bd"}').text == "key: abcd"


@pytest.mark.parametrize("text", ["石鹸", "صابون", "สบู่", "👩‍🔬"])
def test_every_script_survives(text: str) -> None:
    assert read({text: text}).text == f"{text}: {text}"
    assert read(json.dumps({"x": text}, ensure_ascii=False).encode("utf-16")).text == f"x: {text}"


def test_values_below_the_last_heading_are_named_by_their_path() -> None:
    value: object = "deep"
    for key in "hgfedcba":
        value = {key: value}

    assert read(value).text.endswith("g.h: deep")


def test_the_title_is_the_objects_own() -> None:
    assert read({"title": "Soap", "a": {"title": "Oil"}}).title == "Soap"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"a": [1, 2', r"damaged or cut off: .* \(line 1, column 12\)"),
        (b'{"a": 1}\n{"a": }\n', r"damaged or cut off: .* \(line 2"),
        (b"[" * 100_000 + b"]" * 100_000, r"nested too deeply: more than 100 levels"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, r"nested too deeply: more than 100 levels"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place_or_the_limit(
    body: bytes, message: str
) -> None:
    with pytest.raises(Permanent, match=message):
        read(body)


def test_too_many_sections_are_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_write, "SECTIONS_MAX", 1)

    with pytest.raises(Permanent, match=r"more than 1 sections \(the limit\)"):
        read({"a": {"b": {"c": 1}}})


@pytest.mark.parametrize(
    "text",
    [
        "[1] Introduction. Soap is old.",
        "[Note] see below",
        "{ braces } in a text",
        "{{ template }} text",
        '["Hello", she said, and left.',
        "{\\rm latex}",
        "[link](http://a.b) and text",
    ],
)
def test_text_that_begins_like_json_is_text(text: str) -> None:
    assert sniff(text.encode()) == PLAIN


def test_json_is_told_from_its_bytes_whatever_it_is_called() -> None:
    assert sniff(b' {"a": 1}', content_type="text/plain", name="a.txt") == JSON
    assert sniff(b'[{"a": 1}]', content_type="text/html", name="a.html") == JSON
