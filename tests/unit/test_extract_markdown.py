import pytest

from pipelines.knowledge import markdown
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract

GUIDE = """\
# Guide to *soap* {#guide}

Soap is made of fat and lye.
It takes [four weeks](https://soap.example/weeks).

## Things you need

- a pot
  - of steel
- a spoon

| Fat | Grams |
|-----|------:|
| Olive | 700 |

```python
def mix(fat):

    return fat  # slowly
```

Setext
------

> Never pour water into lye.

    indented code
"""


def read(text: str, name: str = "guide.md") -> Document:
    return extract(text.encode(), content_type=None, name=name)


def outline(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_the_text_is_the_source_itself() -> None:
    document = read(GUIDE)

    assert document.text == GUIDE.strip()
    assert document.mime == "text/markdown"


def test_blocks_are_the_elements_of_the_source() -> None:
    document = read(GUIDE)

    assert [(block.kind, block.heading_path) for block in document.blocks] == [
        ("heading", ("Guide to soap",)),
        ("paragraph", ("Guide to soap",)),
        ("heading", ("Guide to soap", "Things you need")),
        ("list", ("Guide to soap", "Things you need")),
        ("table", ("Guide to soap", "Things you need")),
        ("code", ("Guide to soap", "Things you need")),
        ("heading", ("Guide to soap", "Setext")),
        ("paragraph", ("Guide to soap", "Setext")),
        ("code", ("Guide to soap", "Setext")),
    ]


def test_a_table_knows_its_header() -> None:
    document = read(GUIDE)

    (table,) = [block for block in document.blocks if block.kind == "table"]
    assert document.text[table.start : table.header_end] == "| Fat | Grams |\n|-----|------:|"


def test_code_is_kept_with_its_fence_and_spaces() -> None:
    document = read(GUIDE)

    fenced, indented = [text for kind, text in outline(document) if kind == "code"]
    assert fenced == "```python\ndef mix(fat):\n\n    return fat  # slowly\n```"
    assert indented == "    indented code"


def test_front_matter_names_the_title_and_is_left_out() -> None:
    document = read('---\ntitle: "Soap, by hand"\ntags: [a, b]\n---\n# Another\n\nText.\n')

    assert document.title == "Soap, by hand"
    assert document.text == "# Another\n\nText."


def test_without_front_matter_the_first_heading_is_the_title() -> None:
    assert read(GUIDE).title == "Guide to soap"
    assert read("Only text, no heading.").title is None


def test_html_in_it_is_read_and_its_tags_are_left_out() -> None:
    document = read(
        "# Soap\n\n<!-- a note\nto ourselves -->\n"
        '<p align="center"><img src="x.png">Made <b>by hand</b></p>\n\n'
        "A <b>bold</b> word, a break<br>and `<b>` in code.\n\n"
        "<details>\n<summary>Why?</summary>\n\nBecause *so*.\n\n</details>\n\nThe end.\n"
    )

    assert outline(document) == [
        ("heading", "# Soap"),
        ("paragraph", "Made by hand"),
        ("paragraph", "A bold word, a break and `<b>` in code."),
        ("heading", "Why?"),
        ("paragraph", "Because *so*."),
        ("paragraph", "The end."),
    ]
    assert [block.heading_path for block in document.blocks][-2:] == [("Soap", "Why?"), ("Soap",)]


def test_lines_that_are_no_text_are_left_out() -> None:
    document = read("First.\n\n---\n\n[ref]: https://soap.example\n\nSecond.\n")

    assert document.text == "First.\n\nSecond."


def test_line_ends_of_every_system_are_the_same() -> None:
    unix = read(GUIDE)

    assert read(GUIDE.replace("\n", "\r\n")) == unix
    assert read(GUIDE.replace("\n", "\r")) == unix


def test_a_text_too_long_for_the_parser_is_read_as_plain_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(markdown, "MARKDOWN_CHARS_MAX", 100)

    document = read(GUIDE)

    assert document.text == GUIDE
    assert {block.kind for block in document.blocks} == {"paragraph"}
