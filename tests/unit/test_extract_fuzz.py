"""Whatever the bytes are: a sound document, or Permanent."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.errors import Permanent
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from tests.unit.extract_pdfs import Words, make_pdf

TYPES = (None, "text/plain", "text/html; charset=shift_jis", "text/markdown", "application/pdf")
TAGS = (
    *("div", "p", "h1", "h2", "ul", "ol", "li", "table", "tr", "td", "th", "caption", "pre"),
    *("dl", "dt", "dd", "details", "summary", "a", "b", "span", "br", "nav", "main", "article"),
    *("blockquote", "figure", "figcaption", "button", "sup", "header", "footer", "form"),
)
MARKUP = st.lists(
    st.one_of(
        st.sampled_from([f"<{tag}>" for tag in TAGS] + [f"</{tag}>" for tag in TAGS]),
        st.sampled_from(
            ["<td rowspan=3 colspan=2>", "<p hidden>", "<div class=footer>", "<a href=#>"]
        ),
        st.text(max_size=12),
    ),
    max_size=40,
).map("".join)
LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["# ", "- ", "1. ", "> ", "```", "|a|b|", "|-|-|", "---", "<b>", "    x", ""]
        ),
        st.text(max_size=12),
    ),
    max_size=30,
).map("\n".join)
WORDS = st.builds(
    Words,
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30),
    x=st.integers(0, 500),
    y=st.integers(0, 800),
    size=st.sampled_from([6, 11, 24]),
    font=st.sampled_from(["F1", "F2", "F3"]),
)


@given(body=st.binary(max_size=2_000), content_type=st.sampled_from(TYPES))
@example(body=b"%PDF-1.7\n%%EOF", content_type=None)
@example(body=b"\xff\xfe\x00\xd8", content_type=None)
@settings(max_examples=50, deadline=None)
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str | None) -> None:
    check(body, content_type)


@given(text=st.text(max_size=500), charset=st.sampled_from(["utf-8", "utf-16", "gb18030"]))
@settings(max_examples=40, deadline=None)
def test_any_text_is_read_or_refused(text: str, charset: str) -> None:
    check(text.encode(charset, "surrogatepass" if charset != "gb18030" else "ignore"), "text/plain")


@given(markup=MARKUP)
@settings(max_examples=50, deadline=None)
def test_any_page_is_read_or_refused(markup: str) -> None:
    check(f"<!doctype html><html>{markup}".encode("utf-8", "ignore"), "text/html")


@given(text=LINES)
@settings(max_examples=50, deadline=None)
def test_any_markdown_is_read_or_refused(text: str) -> None:
    check(text.encode("utf-8", "ignore"), "text/markdown")


@given(pages=st.lists(st.lists(WORDS, max_size=12), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_any_layout_of_a_pdf_is_read_or_refused(pages: list[list[Words]]) -> None:
    check(make_pdf(*pages), "application/pdf")


@given(place=st.integers(0, 2_000), value=st.binary(min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_a_pdf_with_wrong_bytes_is_read_or_refused(place: int, value: bytes) -> None:
    body = bytearray(make_pdf([Words("Some words of a page.")] * 3))
    body[place : place + len(value)] = value

    check(bytes(body), "application/pdf")


def check(body: bytes, content_type: str | None) -> None:
    try:
        document = extract(body, content_type=content_type)
    except Permanent:
        return
    assert_sound(document)


def assert_sound(document: Document) -> None:
    text, end = document.text, 0
    assert "\0" not in text
    text.encode()
    for block in document.blocks:
        assert not text[end : block.start].strip()
        assert end <= block.start < block.end <= len(text)
        assert text[block.start : block.end].strip()
        assert block.header_end == 0 or block.start <= block.header_end <= block.end
        assert (block.kind == "heading") == (block.level > 0)
        end = block.end
    assert not text[end:].strip()
