"""The guarded client against a zoo of servers on 127.0.0.1."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from pipelines.errors import Permanent, Transient
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client, Request, Response
from pipelines.gateways.http_failures import FailureClass, HttpPermanent, HttpTransient
from tests.fakes_site import Hit, Site, Wire, site

LIMIT = 100_000
FAILURES = (HttpPermanent, HttpTransient)


@pytest.fixture
def server() -> Iterator[Site]:
    with site() as served:
        yield served


@pytest.fixture
def client() -> Iterator[Client]:
    with closing(Client(Egress.parse("127.0.0.1"))) as opened:
        yield opened


def get(client: Client, url: str, *, redirects_max: int = 10, deadline_s: float = 5.0) -> Response:
    return client.request(
        Request(url, body_bytes_max=LIMIT, redirects_max=redirects_max, deadline_s=deadline_s)
    )


def fail(
    client: Client, url: str, *, deadline_s: float = 5.0
) -> tuple[type[Exception], FailureClass]:
    with pytest.raises(FAILURES) as caught:
        get(client, url, deadline_s=deadline_s)
    failure = caught.value
    assert isinstance(failure, FAILURES)
    return (Permanent if isinstance(failure, Permanent) else Transient), failure.failure_class


def test_a_page_comes_back_with_its_type_and_charset(client: Client, server: Site) -> None:
    url = server.page("/a", "hello", content_type='Text/HTML ; Charset="Shift_JIS"; x=y')

    response = get(client, url)

    assert (response.status, response.body, response.url) == (200, b"hello", url)
    assert (response.content_type, response.charset) == ("text/html", "shift_jis")
    assert response.headers["CONTENT-length"] == "5"


def test_requests_after_each_other_share_a_connection(client: Client, server: Site) -> None:
    url = server.page("/a", "hello")

    for _ in range(5):
        get(client, url)

    assert (len(server.hits), server.connections) == (5, 1)


FORK = """
import os, sys
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client, Request
def ask():
    return Client(Egress.parse("127.0.0.1")).request(Request(sys.argv[1])).status
assert ask() == 200
child = os.fork()
if child == 0:
    os._exit(0 if ask() == 200 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_has_a_loop_of_its_own(server: Site) -> None:
    command = [sys.executable, "-c", FORK, server.page("/a")]

    assert subprocess.run(command, timeout=30, check=False).returncode == 0


def test_threads_share_a_client(client: Client, server: Site) -> None:
    url = server.page("/a", "x" * 10_000)
    bodies: list[bytes] = []

    def work() -> None:
        bodies.extend(get(client, url).body for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert bodies == [b"x" * 10_000] * 160


def test_a_post_sends_its_body_and_headers_and_nothing_else(client: Client, server: Site) -> None:
    url = server.page("/in", "ok")

    client.request(Request(url, method="POST", headers={"X-Own": "1"}, body=b"\x00\xff{}"))

    assert server.hits[0].body == b"\x00\xff{}"
    assert set(server.hits[0].headers) == {
        *("host", "x-own", "content-length", "accept", "accept-encoding", "user-agent")
    }


def test_no_cookie_is_kept(client: Client, server: Site) -> None:
    url = server.page("/a", headers={"Set-Cookie": "id=1; Path=/"})

    get(client, url)
    get(client, url)

    assert "cookie" not in server.hits[1].headers


def test_a_proxy_in_the_environment_is_not_used(
    client: Client, server: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        monkeypatch.setenv("HTTP_PROXY", proxy.url())

        get(client, server.page("/a", "direct"))

        assert (len(proxy.hits), len(server.hits)) == (0, 1)


@pytest.mark.parametrize(
    "header", ["Host", "content-length", "Transfer-Encoding", "Accept-Encoding"]
)
def test_a_header_that_decides_where_a_message_ends_cannot_be_set(
    client: Client, server: Site, header: str
) -> None:
    with pytest.raises(HttpPermanent, match=f"header {header} cannot be set"):
        client.request(Request(server.url("/"), headers={header: "x"}))


@pytest.mark.parametrize(
    ("name", "value"), [("X", "a\r\nHost: b"), ("X\n", "a"), ("", "a"), ("X Y", "a"), ("X", "\0")]
)
def test_a_header_cannot_smuggle_a_line(
    client: Client, server: Site, name: str, value: str
) -> None:
    with pytest.raises(HttpPermanent, match="not a valid HTTP header"):
        client.request(Request(server.url("/"), headers={name: value}))

    assert server.hits == []


def test_a_server_that_drips_its_body_ends_at_the_deadline(client: Client, server: Site) -> None:
    assert fail(client, server.drip("/a"), deadline_s=0.3) == (Transient, "timeout")


def test_a_server_that_drips_its_headers_ends_at_the_deadline(client: Client, server: Site) -> None:
    assert fail(client, server.drip("/a", in_head=True), deadline_s=0.3) == (Transient, "timeout")


def test_a_server_that_never_answers_ends_at_the_deadline(client: Client, server: Site) -> None:
    assert fail(client, server.silent("/a"), deadline_s=0.3) == (Transient, "timeout")


def test_the_deadline_covers_all_redirects_together(client: Client, server: Site) -> None:
    def slow(wire: Wire, hit: Hit) -> None:
        wire.wait(0.1)
        step = int(hit.path[1:]) + 1
        server.raw(f"/{step}", slow)
        wire.send(f"HTTP/1.1 302 Found\r\nLocation: /{step}\r\nContent-Length: 0\r\n\r\n")

    assert fail(client, server.raw("/0", slow), deadline_s=0.35) == (Transient, "timeout")


def test_the_deadline_covers_the_name_lookup() -> None:
    gate = threading.Event()

    def lookup(_: str) -> Sequence[str]:
        gate.wait(5)
        return ["127.0.0.1"]

    with closing(Client(Egress.parse("127.0.0.1"), lookup=lookup)) as client:
        failure = fail(client, "http://slow.example/", deadline_s=0.2)
        gate.set()

    assert failure == (Transient, "timeout")


def test_an_endless_body_ends_at_the_limit(client: Client, server: Site) -> None:
    assert fail(client, server.endless("/a")) == (Permanent, "size")


def test_a_body_announced_beyond_the_limit_is_not_read(client: Client, server: Site) -> None:
    url = server.raw(
        "/a", lambda wire, _: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n")
    )

    with pytest.raises(HttpPermanent, match="limit is 100,000 bytes, and it is 100,001 bytes long"):
        get(client, url)


def test_a_gzip_bomb_ends_at_the_limit(client: Client, server: Site) -> None:
    assert fail(client, server.bomb("/a", 50_000_000)) == (Permanent, "size")


HOSTILE: dict[str, tuple[bytes, type[Exception], FailureClass]] = {
    "another protocol": (b"220 mail.example ESMTP\r\n", Permanent, "protocol"),
    "HTTP/0.9": (b"<html>hello</html>\n", Permanent, "protocol"),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
        Permanent,
        "protocol",
    ),
    "negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", Permanent, "protocol"),
    "bad chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        Permanent,
        "protocol",
    ),
    "NUL in a header": (b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", Permanent, "protocol"),
    "one huge header": (b"HTTP/1.1 200 OK\r\nX: " + b"b" * 1_000_000, Permanent, "size"),
    "many headers": (b"HTTP/1.1 200 OK\r\n" + b"X: b\r\n" * 10_000, Permanent, "size"),
    "huge status line": (b"HTTP/1.1 200 " + b"b" * 1_000_000, Permanent, "size"),
    "100 Continue flood": (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, Permanent, "protocol"),
    "unknown coding": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: rot13\r\nContent-Length: 1\r\n\r\nx",
        Permanent,
        "protocol",
    ),
    "coding that is not true": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain",
        Permanent,
        "protocol",
    ),
    "body cut": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Transient, "protocol"),
    "headers cut": (b"HTTP/1.1 200 OK\r\nX:", Transient, "protocol"),
    "nothing": (b"", Transient, "protocol"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_answer_that_is_not_http_has_one_class(client: Client, server: Site, case: str) -> None:
    sent, *expected = HOSTILE[case]
    url = server.raw("/a", lambda wire, _: wire.send(sent))

    assert fail(client, url) == tuple(expected)


@pytest.mark.parametrize(
    "after",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    ],
)
def test_a_reset_at_any_stage_is_transient(client: Client, server: Site, after: bytes) -> None:
    assert fail(client, server.reset("/a", after=after)) == (Transient, "protocol")


def test_a_refused_connection_is_transient(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    assert fail(client, f"http://127.0.0.1:{port}/") == (Transient, "connect")


def test_other_requests_go_on_while_servers_misbehave(client: Client, server: Site) -> None:
    bad = [server.drip("/drip"), server.silent("/silent"), server.drip("/head", in_head=True)]
    good = server.page("/good", "fine")
    threads = [
        threading.Thread(target=fail, args=(client, url), kwargs={"deadline_s": 1.0}, daemon=True)
        for url in bad * 10
    ]
    for thread in threads:
        thread.start()

    answered = [get(client, good, deadline_s=0.9).status for _ in range(20)]

    assert answered == [200] * 20
    for thread in threads:
        thread.join()


def test_an_optional_body_is_kept_as_far_as_it_came(client: Client, server: Site) -> None:
    urls = [server.drip("/drip"), server.endless("/endless"), server.cut("/cut", b"half")]
    urls += [server.reset("/rst", after=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")]

    answers = [
        client.request(
            Request(url, method="POST", deadline_s=0.5, body_bytes_max=20_000, body_optional=True)
        )
        for url in urls
    ]

    assert [(answer.status, answer.body_complete) for answer in answers] == [(200, False)] * 4
    assert len(answers[1].body) == 20_000
    assert answers[2].body == answers[3].body == b"half"


def test_an_optional_body_is_not_decompressed(client: Client, server: Site) -> None:
    url = server.bomb("/a", 1_000_000)

    answer = client.request(Request(url, body_optional=True))

    assert answer.body[:2] == b"\x1f\x8b"
    assert server.hits[0].headers["accept-encoding"] == "identity"
