"""What a page says of itself, and what a crawler needs to know of it."""

import pytest

from pipelines.knowledge import html_links
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from pipelines.knowledge.robots_directives import parse_robots

ADDRESS = "https://shop.example/help/returns.html?page=2"
BOTH = ("nofollow", "noindex")


def read(head: str = "", body: str = "<p>Some words to read.</p>") -> Document:
    page = f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"
    return extract(page.encode(), content_type="text/html; charset=utf-8", url=ADDRESS)


@pytest.mark.parametrize(
    ("head", "canonical"),
    [
        ("<link rel=canonical href=/help/returns>", "https://shop.example/help/returns"),
        ("<link rel='Canonical nofollow' href='./a#x'>", "https://shop.example/help/a"),
        ("<base href=/b/><link rel=canonical href=c>", "https://shop.example/b/c"),
        ("<link rel=canonical href=/1><link rel=canonical href=/2>", "https://shop.example/1"),
        ("<link rel=canonical href='//cdn.example/x'>", "https://cdn.example/x"),
        ("<link rel=canonical href='javascript:alert(1)'>", None),
        ("<link rel=canonical href='http://'>", None),
        ("<link rel=canonical href='http://[::1'>", None),
        ("<link rel=canonical href='https://user:pass@shop.example/'>", None),
        ("<link rel=canonical href=''>", None),
        ("<meta property='og:url' content='https://shop.example/og'>", None),
    ],
)
def test_the_canonical_address_is_the_one_in_the_head(head: str, canonical: str | None) -> None:
    document = read(head)

    assert document.canonical == canonical


def test_a_canonical_address_in_the_body_is_not_the_pages() -> None:
    document = read(body="<p>A comment.</p><link rel=canonical href=https://evil.example/>")

    assert document.canonical is None


def test_links_are_absolute_in_order_and_each_once() -> None:
    document = read(
        body="<nav><a href=/>Home</a></nav><p>Enough words that are no links at all to "
        "stay a paragraph. <a href='a.html#top'>a</a> <a href=#x>x</a>"
        "<a href='a.html'>a</a><a href='https://shop.example/full'>f</a>"
        "<a href='HTTP://Other.Example:80/é b'>o</a><a>none</a>"
        "<a href=mailto:x@y.z>m</a><a href=tel:1>t</a><a href='?page=3'>3</a>"
        "<a rel='nofollow ugc' href=/spam>s</a><map><area href=/area></map><div hidden>"
        "<a href=/hidden>h</a></div></p>"
    )

    assert document.links == (
        "https://shop.example/",
        "https://shop.example/help/a.html",
        "https://shop.example/full",
        "http://other.example/%C3%A9%20b",
        "https://shop.example/help/returns.html?page=3",
        "https://shop.example/area",
        "https://shop.example/hidden",
    )


def test_the_base_of_a_page_holds_for_its_links() -> None:
    document = read("<base href='https://cdn.example/root/'>", "<p>Words <a href=x>x</a></p>")

    assert document.links == ("https://cdn.example/root/x",)


def test_links_are_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_links, "LINKS_MAX", 5)

    document = read(body="<p>Words</p>" + "".join(f"<a href=/{n}>{n}</a>" for n in range(9)))

    assert len(document.links) == 5


@pytest.mark.parametrize(
    ("head", "robots"),
    [
        ("", ()),
        ("<meta name=robots content='index, follow'>", ()),
        ("<meta name=ROBOTS content='NoIndex'>", ("noindex",)),
        ("<meta name=robots content=none>", BOTH),
        ("<meta name=robots content=noindex><meta name=avivrobot content=none>", BOTH),
        ("<meta name=googlebot content=noindex>", ()),
    ],
)
def test_a_page_says_what_crawlers_may_do(head: str, robots: tuple[str, ...]) -> None:
    document = read(head)

    assert document.robots == robots


@pytest.mark.parametrize(
    ("value", "directives"),
    [
        ("noindex", {"noindex"}),
        ("NONE", {"noindex", "nofollow"}),
        ("all, noarchive", set()),
        ("googlebot: noindex", set()),
        ("googlebot: noindex, AvivroBot: nofollow", {"nofollow"}),
        ("googlebot: noindex, nofollow", set()),
        ("*: noindex", {"noindex"}),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST, noindex", {"noindex"}),
        ("max-snippet:-1, nofollow", {"nofollow"}),
        (", ,:", set()),
    ],
)
def test_directives_hold_for_the_agent_they_name(value: str, directives: set[str]) -> None:
    assert parse_robots(value, agent="avivrobot") == directives


@pytest.mark.parametrize(
    ("head", "body", "published_at"),
    [
        (
            '<script type="application/ld+json">{"@graph":[{"@type":"WebPage"},'
            '{"@type":"Article","datePublished":"2025-03-04T05:06:07+01:00"}]}</script>',
            "",
            "2025-03-04T05:06:07+01:00",
        ),
        (
            "<meta property=article:published_time content=2025-03-04T05:06Z>",
            "",
            "2025-03-04T05:06Z",
        ),
        ("<meta name=date content=2025-03-04>", "", "2025-03-04"),
        ("<meta name=DC.date content='2025-03-04 05:06:07 +0100'>", "", "2025-03-04T05:06:07+0100"),
        ("", "<article><time datetime=2025-03-04>4 March</time></article>", "2025-03-04"),
        (
            "",
            "<time datetime=2001-01-01>x</time><time class=entry-date datetime=2025-03-04>y</time>",
            "2025-03-04",
        ),
        ("", "<time datetime=2001-01-01>x</time><time datetime=2002-01-01>y</time>", None),
        ("<meta name=date content=2025-02-30><meta name=pubdate content='last week'>", "", None),
        ("<meta name=date content=0001-01-01>", "", None),
        (
            '<script type="application/ld+json">{"@type":"Article","dateModified":"2025-03-04"}'
            "</script>",
            "",
            "2025-03-04",
        ),
        ('<script type="application/ld+json">{"@type":"Article",</script>', "", None),
    ],
)
def test_the_date_of_a_page_is_a_real_one(head: str, body: str, published_at: str | None) -> None:
    document = read(head, f"<p>Some words to read.</p>{body}")

    assert document.published_at == published_at


@pytest.mark.parametrize(
    ("head", "body", "title"),
    [
        ("<title>Returns | Mill Shop</title>", "<h1>Returns</h1>", "Returns"),
        ("<title>Mill Shop: Returns</title>", "<h1>Returns</h1>", "Returns"),
        ("<title>Returns - Shop</title>", "", "Returns"),
        ("<title>Returns – Mill</title><meta property=og:site_name content=Mill>", "", "Returns"),
        ("<title>x</title><meta property=og:title content='A &amp; b'>", "", "A & b"),
        ("<title>Shop</title>", "<h1>Returns</h1>", "Returns"),
        ("<title>Five-a-side - rules</title>", "", "Five-a-side - rules"),
        ("<title>Shop</title>", "", "Shop"),
        ("", "<h1>Our <em>returns</em></h1>", "Our returns"),
        ("", "", None),
    ],
)
def test_the_title_is_without_the_name_of_the_site(head: str, body: str, title: str | None) -> None:
    document = read(head, f"{body}<p>Some words to read.</p>")

    assert document.title == title
