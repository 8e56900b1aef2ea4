"""When two addresses are one page, and when a link leads in circles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.knowledge.crawl_urls import (
    QUERIES_MAX,
    URL_CHARS_MAX,
    VARIANTS_MAX,
    is_asset,
    is_same_site,
    is_trap,
    normalise,
    origin_of,
    pattern_of,
    settle_scheme,
)


@pytest.mark.parametrize(
    ("written", "one"),
    [
        ("HTTP://A.Example", "http://a.example/"),
        ("http://a.example:80/x", "http://a.example/x"),
        ("https://a.example:443/x", "https://a.example/x"),
        ("https://a.example:8443/x", "https://a.example:8443/x"),
        ("http://a.example./x", "http://a.example/x"),
        ("http://a.example/a/./b/../c", "http://a.example/a/c"),
        ("http://a.example/x#part", "http://a.example/x"),
        ("http://a.example/x?", "http://a.example/x"),
        ("http://a.example/x?b=2&a=1", "http://a.example/x?a=1&b=2"),
        ("http://a.example/x?utm_source=m&id=7&gclid=1&fbclid=2", "http://a.example/x?id=7"),
        ("http://a.example/x;jsessionid=0F3A?id=7", "http://a.example/x?id=7"),
        ("http://a.example/%7euser/%41", "http://a.example/~user/A"),
        ("http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("  http://a.example/x  ", "http://a.example/x"),
    ],
)
def test_an_address_has_one_way_to_be_written(written: str, one: str) -> None:
    assert normalise(written) == one


@pytest.mark.parametrize("kept", ["http://a.example/x/", "http://a.example/x?a=2&a=1"])
def test_what_may_make_a_difference_stays(kept: str) -> None:
    assert normalise(kept) == kept


@pytest.mark.parametrize(
    "written",
    [
        "ftp://a.example/",
        "javascript:alert(1)",
        "mailto:me@a.example",
        "http://me:secret@a.example/",
        "http://",
        "http://a.example:99999/",
        "/only/a/path",
        "http://a.example/" + "x" * URL_CHARS_MAX,
        "http://[::1/x",
    ],
)
def test_what_no_crawler_can_ask_for_is_none(written: str) -> None:
    assert normalise(written) is None


@given(st.text(max_size=60).map(lambda text: f"http://a.example/{text}"))
def test_normalising_twice_changes_nothing(written: str) -> None:
    once = normalise(written)

    assert once is None or normalise(once) == once


def test_a_site_is_its_host_with_or_without_www() -> None:
    assert is_same_site("http://www.a.example/x", "https://a.example/")
    assert not is_same_site("http://b.a.example/", "http://a.example/")
    assert not is_same_site("http://a.example:8080/", "http://a.example/")
    assert not is_same_site("http://a.example.evil.example/", "http://a.example/")


def test_an_encrypted_site_is_not_asked_in_the_clear() -> None:
    assert settle_scheme("http://a.example/x", "https://a.example") == "https://a.example/x"
    assert settle_scheme("http://b.example/x", "https://a.example") == "http://b.example/x"
    assert settle_scheme("http://a.example/x", "http://a.example") == "http://a.example/x"
    assert origin_of("https://a.example:8443/x?y") == "https://a.example:8443"


@pytest.mark.parametrize(
    ("url", "holds_none"),
    [
        ("http://a.example/photo.JPG", True),
        ("http://a.example/setup.tar.gz", True),
        ("http://a.example/manual.pdf", False),
        ("http://a.example/v1.2", False),
        ("http://a.example/", False),
        ("http://a.example/photo.jpg/about", False),
    ],
)
def test_what_holds_no_text_is_told_by_its_ending(url: str, holds_none: bool) -> None:
    assert is_asset(url) is holds_none


def test_a_path_that_repeats_itself_is_a_trap() -> None:
    assert is_trap("http://a.example" + "/a/b" * 4)
    assert is_trap("http://a.example" + "".join(f"/{n}" for n in range(17)))
    assert not is_trap("http://a.example/a/b/a/b/a/c")


def test_calendars_and_filters_share_a_pattern_with_a_limit() -> None:
    first, most = pattern_of("http://a.example/events/2024/05") or ("", 0)

    assert most == VARIANTS_MAX
    assert pattern_of("http://a.example/events/1999/12") == (first, most)
    assert pattern_of("http://a.example/list?sort=up&page=2") == ("/list?page&sort", VARIANTS_MAX)


def test_pages_that_are_named_by_a_number_have_room() -> None:
    assert pattern_of("http://a.example/view?id=7") == ("/view?id", QUERIES_MAX)
    assert pattern_of("http://a.example/questions/12345") is None
    assert pattern_of("http://a.example/2024/05/a-title") is None
