"""Whatever the bytes are: a sound document, or Permanent."""

import json
from datetime import datetime

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
            [
                *("<td rowspan=3 colspan=2>", "<p hidden>", "<div class=footer>", "<a href=#>"),
                *("<div role=table>", "<div role=row>", "<div role=cell>", "<div role=button>"),
                *("<button aria-expanded=true>a long question?", "<div hidden>", "<math>"),
                *("<figure><img alt='A blue boat'>", "<a href='http://[::1'>", "<base href=//x/>"),
                *("<h2>Related articles", "<time datetime=2025-01-01>", "<meta name=robots>"),
                *("<link rel=canonical href=' '>", "<a href=\ud800>", "<a href='//é/%zz'>"),
                *("<div style='white-space:pre;font-family:mono'>", "<frameset>", "<noscript>"),
            ]
        ),
        st.text(max_size=12),
    ),
    max_size=40,
).map("".join)
TEXTS = st.sampled_from(["", "<p>Yes</p>", "&lt;b&gt;", "Open?", "\ud800", "9.90", "x" * 300])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    *("@type", "@graph", "mainEntity", "acceptedAnswer", "name", "text", "offers"),
                    *("articleBody", "description", "price", "additionalProperty", "value"),
                    *("datePublished", "headline", "@value", "brand"),
                ]
            ),
            st.one_of(
                inner,
                st.sampled_from(["Article", "Product", "Question", "FAQPage", "2025-02-30"]),
            ),
            max_size=6,
        ),
    ),
    max_leaves=20,
)
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


@given(values=VALUES, markup=MARKUP)
@settings(max_examples=60, deadline=None)
def test_any_data_of_a_page_is_read_or_refused(values: object, markup: str) -> None:
    data = f'<script type="application/ld+json">{json.dumps(values)}</script>'

    check(f"<!doctype html><html>{data}{markup}".encode("utf-8", "ignore"), "text/html")


@given(words=st.lists(st.text("abcdé漢字สวัสดี مرحبا", min_size=3, max_size=30), max_size=20))
@settings(max_examples=40, deadline=None)
def test_no_paragraph_of_a_plain_page_is_lost_or_changed(words: list[str]) -> None:
    lines = ["Everybody reads this sentence.", *(" ".join(w.split()) for w in words)]
    page = "<main>" + "".join(f"<p>{line}</p>" for line in lines) + "</main>"

    document = extract(page.encode(), content_type="text/html; charset=utf-8")

    assert document.text.split("\n\n") == [line for line in lines if line]


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
    assert_facts(document)


def assert_facts(document: Document) -> None:
    facts = (document.title, document.language, document.published_at, document.canonical)
    for fact in (*facts, *document.robots, *document.links):
        assert fact is None or "\0" not in fact
        (fact or "").encode()
    if document.published_at:
        datetime.fromisoformat(document.published_at)
    addresses = [document.canonical] if document.canonical else []
    for address in [*addresses, *document.links]:
        assert address.startswith(("http://", "https://"))
