"""Where the guarded client lets itself be led: redirects, names, spellings, certificates."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.errors import Permanent
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client, Request
from pipelines.gateways.http_failures import HttpPermanent
from tests.fakes_site import Site, site
from tests.fakes_tls import Authority, make_authority, serve_as
from tests.integration.test_http import fail, get


@pytest.fixture
def server() -> Iterator[Site]:
    with site() as served:
        yield served


@pytest.fixture
def client() -> Iterator[Client]:
    with closing(Client(Egress.parse("127.0.0.1"))) as opened:
        yield opened


@pytest.fixture
def strict() -> Iterator[Client]:
    with closing(Client(Egress())) as opened:
        yield opened


def test_redirects_are_followed_to_the_end(client: Client, server: Site) -> None:
    last = server.page("/last", "here")
    server.redirect("/b", "last", status=301)
    first = server.redirect("/a", server.url("/b#part"), status=308)

    response = get(client, first)

    assert (response.url, response.body) == (last, b"here")


@pytest.mark.parametrize("location", ["/grün", "/gr%C3%BCn", "/gr\udcc3\udcbcn", "/gr\udcfcn"])
def test_a_location_with_raw_bytes_is_understood(
    client: Client, server: Site, location: str
) -> None:
    server.page("/gr%C3%BCn", "green")

    assert get(client, server.redirect("/a", location)).body == b"green"


def test_without_redirects_allowed_one_is_an_answer(client: Client, server: Site) -> None:
    url = server.redirect("/a", "http://169.254.169.254/")

    assert get(client, url, redirects_max=0).status == 302


def test_a_redirect_loop_is_named(client: Client, server: Site) -> None:
    server.redirect("/b", "/a")
    url = server.redirect("/a", "/b")

    with pytest.raises(HttpPermanent, match=r"/a redirects in a loop") as caught:
        get(client, url)

    assert (caught.value.failure_class, len(server.hits)) == ("redirect", 2)


def test_too_many_redirects_are_named_with_the_limit(client: Client, server: Site) -> None:
    for step in range(20):
        server.redirect(f"/{step}", f"/{step + 1}")

    with pytest.raises(HttpPermanent, match="redirects more than 10 times, the limit") as caught:
        get(client, server.url("/0"))

    assert (caught.value.failure_class, len(server.hits)) == ("redirect", 11)


@pytest.mark.parametrize(
    ("location", "failure_class"),
    [
        ("http://169.254.169.254/latest/meta-data", "blocked"),
        ("http://10.0.0.1/", "blocked"),
        ("http://[::ffff:127.0.0.2]/", "blocked"),
        ("http://①②⑦.⓪.⓪.②/", "blocked"),
        ("//localhost.invalid/", "dns"),
        ("http://0x7f.1/", "redirect"),
        ("http://u:p@example.com/", "redirect"),
        ("ftp://example.com/", "redirect"),
        ("file:///etc/passwd", "redirect"),
        ("javascript:alert(1)", "redirect"),
        ("http://[::1/", "redirect"),
        ("\\\\example.com\\x", "redirect"),
        ("", "redirect"),
    ],
)
def test_a_redirect_to_where_it_must_not_lead_is_named(
    client: Client, server: Site, location: str, failure_class: str
) -> None:
    url = server.redirect("/a", location)

    with pytest.raises(HttpPermanent, match="redirects") as caught:
        get(client, url)

    assert caught.value.failure_class == failure_class


def test_another_origin_is_not_told_the_callers_headers(client: Client, server: Site) -> None:
    with site() as other:
        other.page("/b", "ok")
        url = server.redirect("/a", other.url("/b"))

        client.request(
            Request(
                url, headers={"Authorization": "secret", "X-Api-Key": "secret"}, redirects_max=1
            )
        )

        assert server.hits[0].headers["authorization"] == "secret"
        assert {"authorization", "x-api-key"} & other.hits[0].headers.keys() == set()


def test_see_other_turns_a_post_into_a_get_without_its_body(client: Client, server: Site) -> None:
    server.page("/done", "ok")
    url = server.redirect("/form", "/done", status=303)

    client.request(Request(url, method="POST", body=b"a=1", redirects_max=1))

    assert (server.hits[1].method, server.hits[1].body) == ("GET", b"")


LOOPBACK_SPELLINGS = """
http://127.0.0.1:{port}/ http://localhost:{port}/ http://LOCALHOST:{port}/ http://2130706433:{port}/
http://0x7f.1:{port}/ http://0177.0.0.1:{port}/ http://127.1:{port}/ http://0:{port}/
http://0.0.0.0:{port}/ http://[::]:{port}/ http://[::1]:{port}/ http://[::ffff:127.0.0.1]:{port}/
http://[::ffff:7f00:1]:{port}/ http://[0:0:0:0:0:ffff:7f00:1]:{port}/ http://[::127.0.0.1]:{port}/
http://[64:ff9b::7f00:1]:{port}/ http://①②⑦.⓪.⓪.①:{port}/ http://127。0。0。1:{port}/
http://127.0.0.1.:{port}/ http://user@127.0.0.1:{port}/ http://127.0.0.1%2f:{port}/
"""


@pytest.mark.parametrize("spelling", LOOPBACK_SPELLINGS.split())
def test_no_spelling_of_this_machine_reaches_it(
    strict: Client, server: Site, spelling: str
) -> None:
    assert fail(strict, spelling.format(port=server.port)) == (Permanent, "blocked")
    assert (server.connections, server.hits) == (0, [])


def test_a_name_with_one_bad_address_among_good_ones_is_refused(server: Site) -> None:
    egress = Egress.parse("127.0.0.1")

    with closing(Client(egress, lookup=lambda _: ["127.0.0.1", "127.0.0.2"])) as client:
        failure = fail(client, f"http://mixed.example:{server.port}/")

    assert (failure, server.connections) == ((Permanent, "blocked"), 0)


def test_a_name_that_turns_bad_between_requests_is_refused(server: Site) -> None:
    asked: list[str] = []

    def lookup(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with closing(Client(Egress.parse("127.0.0.1"), lookup=lookup)) as client:
        url = server.page("/a", "ok", headers={"Connection": "close"}).replace(
            "127.0.0.1", "x.test"
        )
        first = get(client, url)
        second = fail(client, url)

    assert (first.status, second) == (200, (Permanent, "blocked"))
    assert len(server.hits) == 1


def test_the_connection_goes_to_the_address_that_was_checked(server: Site) -> None:
    asked: list[str] = []

    def lookup(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with closing(Client(Egress.parse("pinned.example"), lookup=lookup)) as client:
        response = get(client, server.page("/a").replace("127.0.0.1", "pinned.example"))

    assert (response.status, asked) == (200, ["pinned.example"])
    assert server.hits[0].headers["host"] == f"pinned.example:{server.port}"


def test_an_allowed_host_opens_its_own_port_only(server: Site) -> None:
    url = server.page("/a", "ok")

    with closing(Client(Egress.parse(f"127.0.0.1:{server.port}"))) as client, site() as other:
        allowed = get(client, url)
        refused = fail(client, other.url("/a"))

    assert (allowed.status, refused, other.connections) == (200, (Permanent, "blocked"), 0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def test_a_certificate_of_a_trusted_authority_is_accepted(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    tls = serve_as("127.0.0.1", tmp_path, signed_by=authority)

    with site(tls=tls) as server, closing(Client(Egress.parse("127.0.0.1"))) as client:
        assert get(client, server.page("/a", "safe")).body == b"safe"


@pytest.mark.parametrize(
    ("host", "days", "trusted", "words"),
    [
        ("127.0.0.1", (-1, 30), False, "self.signed certificate"),
        ("127.0.0.1", (-9, -2), True, "certificate has expired"),
        ("127.0.0.1", (2, 9), True, "certificate is not yet valid"),
        ("other.example", (-1, 30), True, "mismatch"),
    ],
)
def test_a_bad_certificate_is_permanent_and_says_why(
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    days: tuple[int, int],
    trusted: bool,
    words: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    tls = serve_as(host, tmp_path, signed_by=authority if trusted else None, days=days)

    with site(tls=tls) as server, closing(Client(Egress.parse("127.0.0.1"))) as client:
        with pytest.raises(HttpPermanent, match=words) as caught:
            get(client, server.url("/a"))

        assert (caught.value.failure_class, server.hits) == ("tls", [])


def test_a_server_without_tls_on_an_https_address_is_named(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=_answer_in_plain, args=(listener,), daemon=True).start()

        assert fail(client, f"https://127.0.0.1:{port}/") == (Permanent, "tls")


def _answer_in_plain(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.recv(65_536)
