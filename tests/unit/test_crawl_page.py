"""What a crawler makes of a page: its own address, its name, what it asks of crawlers."""

import pytest

from pipelines.knowledge.crawl_links import find_links
from pipelines.knowledge.crawl_page import address_of, facts_of, name_of
from pipelines.knowledge.document import Document

PAGE = "https://a.example/shoes?colour=red"


@pytest.mark.parametrize(
    ("canonical", "address"),
    [
        (None, PAGE),
        ("https://a.example/shoes", "https://a.example/shoes"),
        ("http://a.example/shoes#top", "https://a.example/shoes"),
        ("https://www.a.example/shoes", "https://www.a.example/shoes"),
        ("https://b.example/shoes", PAGE),
        ("http://169.254.169.254/latest", PAGE),
        ("https://a.example/", PAGE),
        ("javascript:x", PAGE),
    ],
)
def test_a_canonical_counts_when_it_is_believable(canonical: str | None, address: str) -> None:
    assert address_of(PAGE, canonical) == address


def test_white_space_alone_makes_no_other_page() -> None:
    one, other = Document("a  b\nc", ()), Document("a b c", ())

    assert facts_of(one, header=None).text_hash == facts_of(other, header=None).text_hash


@pytest.mark.parametrize(
    ("meta", "header", "noindex", "nofollow"),
    [
        ((), None, False, False),
        (("noindex",), None, True, False),
        ((), "none", True, True),
        ((), "otherbot: noindex", False, False),
        ((), "AvivroBot: nofollow", False, True),
        (("nofollow",), "noindex", True, True),
    ],
)
def test_the_page_and_its_header_both_count(
    meta: tuple[str, ...], header: str | None, noindex: bool, nofollow: bool
) -> None:
    facts = facts_of(Document("x", (), robots=meta), header=header)

    assert (facts.noindex, facts.nofollow) == (noindex, nofollow)


@pytest.mark.parametrize(
    ("title", "url", "name"),
    [
        ("  Red \n shoes ", PAGE, "Red shoes"),
        (None, "https://a.example/red%20shoes/", "red shoes"),
        ("", "https://a.example/", "a.example"),
        ("x" * 500, PAGE, "x" * 200),
    ],
)
def test_a_child_is_named_after_its_title(title: str | None, url: str, name: str) -> None:
    assert name_of(title, url) == name


def test_a_menu_without_text_still_leads_on() -> None:
    body = (
        b"<base href='/docs/'><a class=x href='a?x=1&amp;y=2'>A</a><AREA HREF=b>"
        b'<a rel="nofollow" href="/ads">Ad</a><a href="#top">Top</a><a href="mailto:x@y">M</a>'
    )

    assert find_links(body, PAGE) == (
        "https://a.example/docs/a?x=1&y=2",
        "https://a.example/docs/b",
    )


def test_a_menu_that_asks_not_to_be_followed_is_not() -> None:
    body = b"<meta name=robots content='noindex, nofollow'><a href='/x'>X</a>"

    assert find_links(body, PAGE) == ()


@pytest.mark.parametrize("hostile", [b"<a " * 600_000, b"<a href=" * 200_000, b"<a x='" * 300_000])
def test_broken_tags_without_end_take_no_time(hostile: bytes) -> None:
    assert find_links(hostile, PAGE) == ()
