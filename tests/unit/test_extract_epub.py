"""Books: chapters in reading order, each read whole."""

import pytest

from pipelines.errors import Permanent
from pipelines.knowledge import epub
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from tests.unit.extract_packages import make_epub

ENCRYPTION = (
    '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" '
    'xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>'
    '<enc:EncryptionMethod Algorithm="{}"/></enc:EncryptedData></encryption>'
)
CONTENTS = (
    '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>First'
    '</text></navLabel><content src="one.xhtml#top"/></navPoint></navMap></ncx>'
)


def read(body: bytes) -> Document:
    return extract(body, content_type=None, name="soap.epub")


def show(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_chapters_come_in_reading_order_with_their_blocks() -> None:
    table = "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
    chapters = {
        "two.xhtml": "<h1>Oil</h1><p>Olive is best.</p><ul><li>green</li></ul>",
        "one.xhtml": f"<h1>Lye</h1>{table}<pre>stir()</pre><img src='x.png'/>",
    }

    document = read(make_epub(chapters, title="Soap", language="en-GB"))

    assert [kind for kind, _ in show(document)] == [
        *("heading", "paragraph", "list", "heading", "table", "code")
    ]
    assert document.blocks[-1].heading_path == ("Lye",)
    assert (document.title, document.language) == ("Soap", "en")


def test_a_short_chapter_is_kept_whole() -> None:
    chapters = {"a.xhtml": "<div class='footer'><p>Printed in Kiel.</p></div><p>The end.</p>"}

    assert "Printed in Kiel." in read(make_epub(chapters)).text


def test_the_table_of_contents_names_chapters_that_name_themselves_not() -> None:
    navigation = "<nav><ol><li><a href='one.xhtml#p'>First</a></li></ol></nav>"

    document = read(make_epub({"one.xhtml": "<p>Words.</p>"}, navigation=navigation))

    assert show(document) == [("heading", "First"), ("paragraph", "Words.")]


def test_older_books_have_their_titles_in_another_file() -> None:
    body = make_epub(
        {"one.xhtml": "<p>Words.</p>"},
        parts={
            "book/content.opf": (
                '<package xmlns="http://www.idpf.org/2007/opf"><metadata/><manifest>'
                '<item id="c" href="one.xhtml" media-type="application/xhtml+xml"/>'
                '<item id="t" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
                '</manifest><spine toc="t"><itemref idref="c"/></spine></package>'
            ),
            "book/toc.ncx": CONTENTS,
        },
    )

    assert show(read(body))[0] == ("heading", "First")


@pytest.mark.parametrize("text", ["石鹸の作り方", "صابون زيت الزيتون", "สบู่น้ำมันมะกอก"])
def test_every_script_survives(text: str) -> None:
    assert read(make_epub({"a.xhtml": f"<p>{text}</p>"})).text == text


@pytest.mark.parametrize(
    "parts",
    [
        {"META-INF/rights.xml": "<rights/>"},
        {"META-INF/encryption.xml": ENCRYPTION.format("http://www.w3.org/2001/04/xmlenc#aes")},
    ],
)
def test_a_protected_book_is_refused(parts: dict[str, str | bytes]) -> None:
    with pytest.raises(Permanent, match=r"the EPUB is protected \(DRM\)"):
        read(make_epub({"a.xhtml": "<p>x</p>"}, parts=parts))


def test_a_book_with_scrambled_fonts_is_read() -> None:
    fonts = {"META-INF/encryption.xml": ENCRYPTION.format("http://ns.adobe.com/pdf/enc#RC")}

    assert read(make_epub({"a.xhtml": "<p>Words.</p>"}, parts=fonts)).text == "Words."


def test_too_many_chapters_are_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epub, "CHAPTERS_MAX", 1)

    with pytest.raises(Permanent, match="has 2 chapters, the limit is 1"):
        read(make_epub({"a.xhtml": "<p>x</p>", "b.xhtml": "<p>y</p>"}))


def test_a_book_that_names_no_content_is_damaged() -> None:
    parts = {"META-INF/container.xml": "<container><rootfiles/></container>"}

    with pytest.raises(Permanent, match="the EPUB is damaged: it names no book"):
        read(make_epub({"a.xhtml": "<p>x</p>"}, parts=parts))
