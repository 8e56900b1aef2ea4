"""Whatever was done to a file of any format: a sound document, the same each time, or Permanent."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.errors import Permanent
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import FORMATS, extract
from tests.unit.extract_hostile import honest_files
from tests.unit.extract_packages import make_docx, make_pptx, make_xlsx, pack
from tests.unit.extract_pdfs import make_pdf, stack
from tests.unit.test_extract_fuzz import assert_sound

SAMPLES = Path(__file__).parent.parent / "samples"
PACKED = honest_files()
FILES = {
    **{kind: pack(parts) for kind, parts in PACKED.items()},
    "pdf": make_pdf(stack("Words of a page.", "And more of them."), title="Soap"),
    "csv": b'Item;Price;City\nOlive;"3,50";Kiel\nPalm;2;Husum\nLye;1;Bonn\n',
    "json": b'{"title": "Soap", "oils": [{"a": 1, "b": "<p>x</p>"}, {"a": 2}], "x": {"y": [1]}}',
    "jsonl": b'{"a": 1, "b": 2}\n{"a": 3, "c": {"d": 4}}\n',
    "html": b"<!doctype html><title>Soap</title><h1>Soap</h1><p>Words.</p><ul><li>x</ul>",
    "markdown": b"# Soap\n\n- oil\n- lye\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n**bold**\n",
    "xls": (SAMPLES / "prices.xls").read_bytes(),
}
PARTS = [(kind, name) for kind, parts in PACKED.items() for name in parts]
TOKENS = st.sampled_from(
    [
        *("<", ">", "&", '"', "/>", "<a>", "</a>", "<!--", "]]>", "<![CDATA[", "<?x?>", "&#0;"),
        *("<w:p>", "</w:p>", "<w:tbl>", "<w:tr>", "<w:tc>", "<w:del>", "<w:sdt>", "<w:vanish/>"),
        *("<row>", "<c>", "<v>", 't="s"', 'r="A0"', 'r="ZZZZ9"', 's="9"', "<si>", "<is>"),
        *("<p:sp>", "<a:p>", "<a:tbl>", "<p:grpSp>", "-1", "99999999999999999999", "1e999"),
        *("\0", "\ud800", "٣", "石", "\u202e", "", "../", "file:///etc/passwd", "#", "nan"),
    ]
)
INLINE = st.sampled_from(["w:r", "w:ins", "w:del", "w:hyperlink", "w:sdt", "w:smartTag"])
WORDS = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="<&>"), max_size=9
)
RUNS = st.recursive(
    WORDS.map(lambda text: f"<w:r><w:t>{text}</w:t></w:r>"),
    lambda inner: st.builds(lambda tag, x: f"<{tag}>{x}</{tag}>", INLINE, inner),
    max_leaves=4,
)
BLOCKS = st.recursive(
    st.builds(
        lambda style, level, runs: (
            f'<w:p><w:pPr><w:pStyle w:val="H{style}"/><w:outlineLvl w:val="{level}"/></w:pPr>'
            f"{runs}</w:p>"
        ),
        st.integers(0, 10),
        st.integers(-1, 12),
        RUNS,
    ),
    lambda inner: st.lists(st.lists(inner, max_size=3), max_size=3).map(
        lambda rows: (
            "<w:tbl>"
            + "".join(
                f"<w:tr>{''.join(f'<w:tc>{cell}</w:tc>' for cell in row)}</w:tr>" for row in rows
            )
            + "</w:tbl>"
        )
    ),
    max_leaves=8,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text(max_size=12) | st.sampled_from(["title", "body"]), inner, max_size=5
        )
    ),
    max_leaves=30,
)
ROWS = st.lists(
    st.lists(
        st.text(max_size=8) | st.sampled_from(["1", "2024", "50%", '"', "a b", "石鹸"]),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_anywhere_is_read_or_refused(kind: str) -> None:
    body = FILES[kind]

    for end in range(0, len(body), max(1, len(body) // 60)):
        check(body[:end])


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_read_the_same_each_time(kind: str) -> None:
    first, again = (extract(FILES[kind], content_type=None) for _ in range(2))

    assert first == again
    assert_sound(first)
    assert first.blocks


def test_a_sample_of_every_format_is_here() -> None:
    mimes = {extract(body, content_type=None).mime for body in FILES.values()}

    assert mimes >= set(FORMATS) - {"text/plain"}


@given(
    kind=st.sampled_from(sorted(FILES)),
    place=st.floats(0, 1, exclude_max=True),
    value=st.binary(min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_a_file_with_wrong_bytes_is_read_or_refused(kind: str, place: float, value: bytes) -> None:
    body = bytearray(FILES[kind])
    start = int(place * len(body))
    body[start : start + len(value)] = value

    check(bytes(body))


@given(
    part=st.sampled_from(PARTS),
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 20), TOKENS), min_size=1, max_size=3
    ),
)
@example(part=("xlsx", "xl/workbook.xml"), changes=[(0.0, 9_999, "<a/>")])
@settings(max_examples=60, deadline=None)
def test_a_file_with_a_changed_part_is_read_or_refused(
    part: tuple[str, str], changes: list[tuple[float, int, str]]
) -> None:
    kind, name = part
    content = PACKED[kind][name]
    text = content if isinstance(content, str) else content.decode()
    for place, length, token in changes:
        start = int(place * len(text))
        text = text[:start] + token + text[start + length :]

    check(pack({**PACKED[kind], name: text.encode("utf-8", "surrogatepass")}))


@given(blocks=st.lists(BLOCKS, max_size=6))
@settings(max_examples=30, deadline=None)
def test_any_body_of_a_word_file_is_read_or_refused(blocks: list[str]) -> None:
    check(make_docx("".join(blocks)))


@given(rows=ROWS, slides=st.lists(WORDS, max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_cells_and_slides_are_read_or_refused(rows: list[list[str]], slides: list[str]) -> None:
    cells = "".join(
        f"<row>{''.join(f'<c t=@str@><v>{_escape(cell)}</v></c>' for cell in row)}</row>"
        for row in rows
    ).replace("@", '"')
    shapes = "".join(
        f"<p:sp><p:txBody><a:p><a:t>{text}</a:t></a:p></p:txBody></p:sp>" for text in slides
    )

    check(make_xlsx({"a": cells}))
    check(make_pptx(shapes))


@given(value=VALUES)
@settings(max_examples=40, deadline=None)
def test_any_json_is_read_or_refused(value: object) -> None:
    check(json.dumps(value).encode(), "application/json")


@given(rows=ROWS, delimiter=st.sampled_from(",;\t|"), end=st.sampled_from(["\n", "\r\n", "\r"]))
@settings(max_examples=40, deadline=None)
def test_any_table_in_text_is_read_or_refused(
    rows: list[list[str]], delimiter: str, end: str
) -> None:
    text = end.join(delimiter.join(row) for row in rows)

    check(text.encode("utf-8", "ignore"), "text/csv")


def check(body: bytes, content_type: str | None = None) -> None:
    document, message = read_or_refuse(body, content_type)

    assert message.isprintable()
    if document:
        assert_sound(document)


def read_or_refuse(body: bytes, content_type: str | None) -> tuple[Document | None, str]:
    try:
        return extract(body, content_type=content_type), ""
    except Permanent as refusal:
        return None, str(refusal)


def _escape(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable() and letter not in "<&")
