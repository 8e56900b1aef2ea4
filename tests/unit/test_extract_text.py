import random

import pytest

from pipelines.errors import Permanent
from pipelines.knowledge import plain
from pipelines.knowledge.extract import FORMATS, extract
from pipelines.knowledge.sniff import HTML, JSON, MARKDOWN, PDF, PLAIN, sniff


def test_text_is_kept_exactly() -> None:
    text = "  First line \r\nsecond\tline\n\n\n  indented  \n \t \nlast\f\n\n"

    document = extract(text.encode(), content_type="text/plain")

    assert document.text == text
    assert [text[block.start : block.end] for block in document.blocks] == [
        "First line \r\nsecond\tline",
        "indented",
        "last",
    ]


def test_nuls_and_the_byte_order_mark_are_dropped() -> None:
    document = extract(b"\xef\xbb\xbfone\0 two\0\n\nthree", content_type="text/plain")

    assert document.text == "one two\n\nthree"


def test_lone_surrogates_never_appear() -> None:
    body = "before \ud800 after".encode("utf-8", "surrogatepass")

    document = extract(body, content_type="text/plain")

    assert not any("\ud800" <= character <= "\udfff" for character in document.text)
    assert document.text.startswith("before ")


def test_after_so_many_paragraphs_the_rest_is_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "PARAGRAPHS_MAX", 3)

    spans = list(plain.find_paragraphs("a\n\nb\n\nc\n\nd\n\ne\n"))

    assert spans == [(0, 1), (3, 4), (6, 13)]


@pytest.mark.parametrize("body", [b"", b" \n\t\r\n ", b"\xef\xbb\xbf", b"\0\0\0", b"\xe3\x80\x80"])
def test_nothing_but_white_space_is_empty(body: bytes) -> None:
    with pytest.raises(Permanent, match=r"notes\.txt is empty"):
        extract(body, content_type="text/plain", name="notes.txt")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\x7fELF\x02\x01\x01\0\0\0\0", "a program"),
        (b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff" + bytes(200), "a program"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "an image"),
        (b"{\\rtf1\\ansi Hello}", "a Rich Text file"),
        (b"\0\0\0\x18ftypmp42\0\0", "a video"),
        (random.Random(1).randbytes(5_000), "a binary file"),
        (b"readable words " * 5_000 + random.Random(2).randbytes(90_000), "a binary file"),
    ],
)
def test_a_binary_called_txt_is_refused_with_what_it_is(body: bytes, kind: str) -> None:
    with pytest.raises(Permanent, match=f"notes.txt is not text: it looks like {kind}"):
        extract(body, content_type="text/plain", name="notes.txt")


@pytest.mark.parametrize("word", ["MZ", "BM", "ID3", "RIFF", "GIF8"])
def test_a_text_may_begin_like_the_name_of_a_format(word: str) -> None:
    document = extract(f"{word} is how this text begins.".encode(), content_type=None)

    assert document.mime == PLAIN


@pytest.mark.parametrize(
    ("body", "content_type", "name", "mime"),
    [
        (b"%PDF-1.7 ...", "text/html", "page.html", PDF),
        (b"\n\n%PDF-1.7 ...", "text/plain", None, PDF),
        (b"<!DOCTYPE html><p>Hi", "text/plain", "page.txt", HTML),
        (b"<?xml version='1.0'?>\n<html><p>Hi", "application/octet-stream", None, HTML),
        (b"<!-- x --> <html lang=en><p>Hi", None, None, HTML),
        ("<html><p>Hi".encode("utf-16"), None, None, HTML),
        (b"<p>Hello <b>you</b></p>", "text/html", None, HTML),
        (b"<p>Hello <b>you</b></p>", None, None, HTML),
        (b"<p>Hello <b>you</b></p>", "text/plain", None, PLAIN),
        (b"<section><em>Hello</em></section>", "text/html", None, HTML),
        (b"Hello, <b>you</b>", "text/html", None, HTML),
        (b"<div " + b"a=1 " * 50_000 + b">Hello</div>", "text/html", None, HTML),
        (b"usage: copy <from> <to>", "text/html", None, PLAIN),
        (b"no tag at all", "text/html", "page.html", PLAIN),
        (b"# Title\n\nText", None, "README.md", MARKDOWN),
        (b"# Title\n\nText", "text/markdown; charset=utf-8", None, MARKDOWN),
        (b"<p align=center>Logo</p>\n\n# Title", "text/plain", "README.md", MARKDOWN),
        (b"# Title\n\n**bold** text", None, None, MARKDOWN),
        (b"# Title\n\n**bold** text", "text/plain", "notes.txt", PLAIN),
        (b"# one sign is not enough", None, None, PLAIN),
        (b'{"a": 1}', "text/plain", "notes.txt", JSON),
    ],
)
def test_the_bytes_say_what_a_file_is_and_labels_tell_texts_apart(
    body: bytes, content_type: str | None, name: str | None, mime: str
) -> None:
    assert sniff(body, content_type=content_type, name=name) == mime


def test_the_address_tells_markdown_from_text() -> None:
    url = "https://raw.example/docs/README.md?raw=1"

    assert sniff(b"# Title", content_type="text/plain", url=url) == MARKDOWN


def test_what_is_too_large_is_refused_with_its_size_and_the_limit() -> None:
    limit = FORMATS[PLAIN].bytes_max

    with pytest.raises(Permanent, match=f"log.txt is too large: 50,000,001 bytes.*{limit:,}"):
        extract(b"x" * 50_000_001, content_type="text/plain", name="log.txt")
