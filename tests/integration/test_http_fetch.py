"""Reading a page or file for a knowledge source."""

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from pipelines.gateways import fetch
from pipelines.gateways.addresses import Egress
from pipelines.gateways.fetch import fetch_file, fetch_page
from pipelines.gateways.http import Client
from pipelines.gateways.http_failures import HttpPermanent, HttpTransient
from tests.fakes_site import Hit, Site, Wire, site


@pytest.fixture
def server() -> Iterator[Site]:
    with site() as served:
        yield served


@pytest.fixture
def client() -> Iterator[Client]:
    with closing(Client(Egress.parse("127.0.0.1"))) as opened:
        yield opened


def test_a_page_keeps_what_the_site_says_about_it(client: Client, server: Site) -> None:
    headers = {"ETag": '"v1"', "Last-Modified": "Sat, 01 Feb 2025 12:00:00 GMT"}
    last = server.page("/last", "<p>hi", headers=headers)

    page = fetch_page(client, server.redirect("/a", "/last"))

    assert (page.url, page.body, page.unchanged) == (last, b"<p>hi", False)
    assert (page.content_type, page.charset) == ("text/html", "utf-8")
    assert (page.etag, page.last_modified) == ('"v1"', "Sat, 01 Feb 2025 12:00:00 GMT")


def test_the_reader_says_who_it_is(client: Client, server: Site) -> None:
    fetch_page(client, server.page("/a"))

    assert server.hits[0].headers["user-agent"].startswith("AvivroBot/1.0 (+http")
    assert "text/html" in server.hits[0].headers["accept"]


@pytest.mark.parametrize(
    "headers", [{"ETag": '"v1"'}, {"Last-Modified": "Sat, 01 Feb 2025 12:00:00 GMT"}]
)
def test_a_page_that_did_not_change_is_not_sent_again(
    client: Client, server: Site, headers: dict[str, str]
) -> None:
    url = server.page("/a", "long", headers=headers)
    first = fetch_page(client, url)

    again = fetch_page(client, url, etag=first.etag, last_modified=first.last_modified)

    assert (again.unchanged, again.body) == (True, b"")
    assert (again.etag, again.last_modified) == (first.etag, first.last_modified)


def test_an_unchanged_page_keeps_validators_that_are_not_repeated(
    client: Client, server: Site
) -> None:
    url = server.raw("/a", lambda wire, _: wire.send("HTTP/1.1 304 Not Modified\r\n\r\n"))

    page = fetch_page(client, url, etag='"v1"', last_modified="Sat, 01 Feb 2025 12:00:00 GMT")

    assert page.unchanged
    assert (page.etag, page.last_modified) == ('"v1"', "Sat, 01 Feb 2025 12:00:00 GMT")


@pytest.mark.parametrize("pause_s", [0.0, 0.05])
def test_a_body_behind_not_modified_is_passed_over(
    client: Client, server: Site, pause_s: float
) -> None:
    def answer(wire: Wire, hit: Hit) -> None:
        wire.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n")
        time.sleep(pause_s)
        wire.send("new")

    url = server.raw("/a", answer)
    pages = [fetch_page(client, url, etag='"v1"') for _ in range(2)]

    assert [page.unchanged for page in pages] == [True, True]
    assert len(server.hits) == 2


def test_a_page_that_did_change_is_sent_in_full(client: Client, server: Site) -> None:
    url = server.page("/a", "new", headers={"ETag": '"v2"'})

    page = fetch_page(client, url, etag='"v1"')

    assert (page.unchanged, page.body, page.etag) == (False, b"new", '"v2"')


def test_a_not_modified_that_nobody_asked_for_is_a_failure(client: Client, server: Site) -> None:
    with pytest.raises(HttpPermanent, match="HTTP 304"):
        fetch_page(client, server.page("/a", status=304))


def test_a_validator_that_cannot_be_sent_back_is_dropped(client: Client, server: Site) -> None:
    page = fetch_page(client, server.page("/a", headers={"ETag": '"caf\u00e9"'}))

    assert page.etag is None


def test_a_missing_page_fails_for_good_in_plain_words(client: Client, server: Site) -> None:
    url = server.url("/missing")

    with pytest.raises(HttpPermanent) as caught:
        fetch_page(client, url)

    assert str(caught.value) == f"{url} could not be read: it was not found (HTTP 404)"


def test_a_busy_site_may_say_when_to_come_back(client: Client, server: Site) -> None:
    url = server.page("/a", status=503, headers={"Retry-After": "30"})

    with pytest.raises(HttpTransient) as caught:
        fetch_page(client, url)

    assert (caught.value.status, caught.value.retry_after_s) == (503, 30)


def test_a_redirect_that_names_no_target_is_a_failure(client: Client, server: Site) -> None:
    with pytest.raises(HttpPermanent, match="without saying where to"):
        fetch_page(client, server.page("/a", status=302))


def test_a_dripping_page_ends_at_the_deadline(
    client: Client, server: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "FETCH_DEADLINE_S", 0.3)

    with pytest.raises(HttpTransient, match=r"did not answer in full within 0\.3 seconds"):
        fetch_page(client, server.drip("/a"))


def test_a_file_may_be_larger_than_a_page(client: Client, server: Site) -> None:
    url = server.page("/a.bin", bytes(fetch.PAGE_BYTES_MAX + 1))

    with pytest.raises(HttpPermanent, match=r"limit is 25,000,000 bytes, and it is 25,000,001"):
        fetch_page(client, url)
    assert len(fetch_file(client, url).body) == fetch.PAGE_BYTES_MAX + 1


def test_an_endless_page_fails_with_the_limit(client: Client, server: Site) -> None:
    with pytest.raises(HttpPermanent, match=r"limit is 25,000,000 bytes, and it is longer"):
        fetch_page(client, server.endless("/a"))
