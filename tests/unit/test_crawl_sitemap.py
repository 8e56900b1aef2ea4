"""Sitemaps of every make, and those that are made to hurt."""

import gzip
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import Permanent
from pipelines.knowledge.crawl_sitemap import (
    ENTRIES_MAX,
    SITEMAP_BYTES_MAX,
    Entry,
    parse_sitemap,
    read_time,
    unpack,
)

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
XMLNS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*urls: str) -> bytes:
    entries = "".join(f"<url><loc>{url}</loc></url>" for url in urls)
    return f"{HEAD}<urlset {XMLNS}>{entries}</urlset>".encode()


def test_pages_come_with_the_time_of_their_last_change() -> None:
    found = parse_sitemap(
        f"{HEAD}<urlset {XMLNS}><url>\n <loc> https://a.example/x?a=1&amp;b=2 </loc>"
        "<lastmod>2024-05-01</lastmod><priority>0.5</priority></url></urlset>".encode()
    )

    assert found.pages == (Entry("https://a.example/x?a=1&b=2", "2024-05-01"),)


def test_an_index_names_sitemaps() -> None:
    found = parse_sitemap(
        f"{HEAD}<sitemapindex {XMLNS}><sitemap><loc>https://a.example/s1.xml.gz</loc></sitemap>"
        "</sitemapindex>".encode()
    )

    assert (found.pages, found.sitemaps) == ((), ("https://a.example/s1.xml.gz",))


@pytest.mark.parametrize(
    "body",
    [
        b'<s:urlset xmlns:s="x"><s:url><s:loc>https://a.example/</s:loc></s:url></s:urlset>',
        b"<URLSET><url><loc><![CDATA[https://a.example/]]></loc></url></URLSET>",
        b"<!-- <url><loc>https://b.example/</loc></url> --><urlset>"
        b"<url><loc>https://a.example/</loc></url></urlset>",
        b"<urlset><url><image:image><image:loc>https://a.example/i.png</image:loc></image:image>"
        b"<loc>https://a.example/</loc></url></urlset>",
        b"<urlset><url/><url></url><url><loc></loc></url>"
        b"<url><loc>https://a.example/</loc></url></urlset>",
        b"\xef\xbb\xbfhttps://a.example/\r\n\r\n",
        gzip.compress(urlset("https://a.example/")),
        urlset("https://a.example/").decode().encode("utf-16"),
    ],
)
def test_each_make_gives_its_page(body: bytes) -> None:
    assert [entry.url for entry in parse_sitemap(body).pages] == ["https://a.example/"]


@pytest.mark.parametrize("body", [b"", b"<html><body>Not found</body></html>", b"\x1f\x8bbroken"])
def test_what_is_no_sitemap_is_refused(body: bytes) -> None:
    with pytest.raises(Permanent):
        parse_sitemap(body)


def test_entities_are_never_expanded() -> None:
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE u [<!ENTITY a "aaaaaaaaaa">'
        b'<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY x SYSTEM "file:///etc/passwd">]>'
        b"<urlset><url><loc>https://a.example/&b;&x;</loc></url></urlset>"
    )

    assert parse_sitemap(bomb).pages == (Entry("https://a.example/&b;&x;"),)


def test_a_gzip_bomb_is_read_up_to_the_limit() -> None:
    bomb = gzip.compress(bytes(10_000_000))

    data, cut = unpack(bomb, bytes_max=1_000)

    assert (len(data), cut) == (1_000, True)
    assert SITEMAP_BYTES_MAX <= 50_000_000


def test_more_entries_than_the_limit_are_left_out() -> None:
    found = parse_sitemap(urlset(*(f"https://a.example/{n}" for n in range(ENTRIES_MAX + 5))))

    assert len(found.pages) == ENTRIES_MAX
    assert found.cut


@pytest.mark.parametrize(
    "hostile",
    [
        b"<urlset>" + b"<url>" * 1_000_000,
        b"<urlset>" + b"<url><loc>" * 300_000,
        b"<urlset>" + b"<!--" * 1_000_000,
        b"<urlset>" + b"<!-- -->" * 300_000,
        b"<urlset><url><loc>" + b"x" * 5_000_000 + b"</loc></url></urlset>",
    ],
)
def test_endless_nesting_is_passed_over_in_one_pass(hostile: bytes) -> None:
    assert parse_sitemap(hostile).pages == ()


@given(st.binary(max_size=200))
def test_any_bytes_give_a_sitemap_or_a_clear_refusal(body: bytes) -> None:
    with suppress(Permanent):
        parse_sitemap(b"<urlset>" + body)


def test_times_are_read_as_they_are_written_there() -> None:
    assert read_time("2024-05-01") == datetime(2024, 5, 1, tzinfo=UTC)
    assert read_time("2024-05-01T10:00:00+02:00") == datetime(2024, 5, 1, 8, tzinfo=UTC)
    assert read_time("yesterday") is None
    assert read_time(None) is None
