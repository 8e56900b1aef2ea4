"""A zoo of receivers, and what the row of a delivery says after each: all of them at once."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from db.embedded import Services
from tests.conftest import fresh_database
from tests.fakes_site import Site, site
from tests.fakes_tls import make_authority, serve_as
from tests.posting import posting

FIRST_RETRY_S = 5
DAY_S = 86_400
# Long enough for all at once on a busy machine.
TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Expected:
    """Columns of the row. `error` begins the error message; `wait_s` is until the next attempt."""

    status: str
    http_status: int | None = None
    error: str | None = None
    body: str | None = None
    wait_s: float | None = None


@dataclass
class Places:
    """Where animals live: a plain site, and one for each bad certificate."""

    plain: Site
    tls: Mapping[str, Site]


Animal = Callable[[Places], str]


def again(
    error: str, *, status: int | None = None, wait_s: float = FIRST_RETRY_S, body: str | None = None
) -> Expected:
    return Expected("retrying", status, error, body, wait_s)


def sends(raw: bytes) -> Animal:
    """Answers so, to the byte, and ends the connection."""
    return at(lambda plain, path: plain.raw(path, lambda wire, _: wire.send(raw)))


def at(settle: Callable[[Site, str], str]) -> Animal:
    return lambda places: settle(places.plain, f"/{len(places.plain.answers)}")


def replies(status: int, body: bytes = b"no", **headers: str) -> Animal:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return at(lambda plain, path: plain.page(path, body, status=status, headers=named))


def with_tls(kind: str) -> Animal:
    return lambda places: places.tls[kind].page("/", b"ok")


def broken(after: bytes) -> Animal:
    return at(lambda plain, path: plain.reset(path, after=after))


def waits_then(raw: bytes) -> Animal:
    """Answers so, and keeps the connection open in silence."""

    def answer(wire: Any, _: Any) -> None:
        wire.send(raw)
        wire.wait(30)

    return at(lambda plain, path: plain.raw(path, answer))


def floods(raw: bytes) -> Animal:
    def answer(wire: Any, _: Any) -> None:
        while not wire.stopped.is_set():
            wire.send(raw)

    return at(lambda plain, path: plain.raw(path, answer))


OK = b"HTTP/1.1 200 OK\r\n"
BUSY_S = "120"
KEPT = 20_000

ZOO: dict[str, tuple[Animal, Expected]] = {
    # The status line decides: a 2xx is delivered, whatever becomes of its body.
    "ok": (replies(200, b"fine"), Expected("delivered", 200, body="fine")),
    "created": (replies(201, b""), Expected("delivered", 201, body="")),
    "no content": (sends(b"HTTP/1.1 204 No Content\r\n\r\n"), Expected("delivered", 204, body="")),
    "HTTP/1.0": (sends(b"HTTP/1.0 200 OK\r\n\r\nold"), Expected("delivered", 200, body="old")),
    "drip body": (at(lambda s, p: s.drip(p)), Expected("delivered", 200)),
    "endless body": (at(lambda s, p: s.endless(p)), Expected("delivered", 200, body="x" * KEPT)),
    "body cut": (at(lambda s, p: s.cut(p)), Expected("delivered", 200, body="half")),
    "body missing": (waits_then(OK + b"Content-Length: 9\r\n\r\n"), Expected("delivered", 200)),
    "too much body": (
        sends(OK + b"Content-Length: 2\r\n\r\nok and more"),
        Expected("delivered", 200, body="ok"),
    ),
    "reset in body": (
        broken(OK + b"Content-Length: 9\r\n\r\nhalf"),
        Expected("delivered", 200, body="half"),
    ),
    "gzip bomb": (at(lambda s, p: s.bomb(p, 50_000_000)), Expected("delivered", 200)),
    "unknown coding": (replies(200, b"x", Content_Encoding="rot13"), Expected("delivered", 200)),
    "NUL body": (replies(200, b"a\0b"), Expected("delivered", 200, body="a\ufffdb")),
    "invalid UTF-8": (replies(200, b"a\xffb"), Expected("delivered", 200, body="a\ufffdb")),
    "cut character": (
        replies(200, b"x" + "ü".encode() * KEPT),
        Expected("delivered", 200, body="x" + "ü" * (KEPT // 2 - 1)),
    ),
    "bad chunk": (
        sends(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc"),
        Expected("delivered", 200),
    ),
    "bad chunk later": (
        sends(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n"),
        Expected("delivered", 200),
    ),
    "one 100 Continue": (
        sends(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok"),
        Expected("delivered", 200, body="ok"),
    ),
    # Everything else is tried again.
    "not found": (replies(404), again("status: ", status=404, body="no")),
    "server error": (replies(500), again("status: ", status=500, body="no")),
    "unknown status": (replies(799), again("status: ", status=799, body="no")),
    "error that drips": (
        waits_then(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nhalf"),
        again("status: ", status=500, body="half"),
    ),
    "silent": (at(lambda s, p: s.silent(p)), again("timeout: ")),
    "drip header": (at(lambda s, p: s.drip(p, in_head=True)), again("timeout: ")),
    "100 Continue flood": (floods(b"HTTP/1.1 100 Continue\r\n\r\n"), again("protocol: ")),
    "slow 100 Continue": (waits_then(b"HTTP/1.1 100 Continue\r\n\r\n"), again("timeout: ")),
    "1 MB header": (sends(OK + b"X: " + b"b" * 1_000_000), again("protocol: ")),
    "many headers": (sends(OK + b"X: b\r\n" * 10_000), again("protocol: ")),
    "endless header": (floods(b"HTTP/1.1 200 OK\r\nX: b\r\n"), again("protocol: ")),
    "huge status line": (sends(b"HTTP/1.1 200 " + b"b" * 1_000_000), again("protocol: ")),
    "HTTP/0.9": (sends(b"<html>hello</html>\n"), again("protocol: ")),
    "mail server": (sends(b"220 mail.example ESMTP\r\n"), again("protocol: ")),
    "TLS on a plain port": (sends(b"\x15\x03\x01\x00\x02\x02\x46"), again("protocol: ")),
    "NUL in a header": (sends(OK + b"X: a\0b\r\n\r\n"), again("protocol: ")),
    "two lengths": (
        sends(OK + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"),
        again("protocol: "),
    ),
    "negative length": (sends(OK + b"Content-Length: -3\r\n\r\nabc"), again("protocol: ")),
    "huge length": (
        sends(OK + b"Content-Length: " + b"9" * 400 + b"\r\n\r\nabc"),
        again("protocol: "),
    ),
    "status that is no number": (sends(b"HTTP/1.1 abc OK\r\n\r\n"), again("protocol: ")),
    "headers cut": (sends(OK + b"X:"), again("protocol: ")),
    "nothing": (sends(b""), again("protocol: ")),
    "reset at once": (broken(b""), again("protocol: ")),
    "reset in status": (broken(b"HTTP/1.1 2"), again("protocol: ")),
    "reset in headers": (broken(OK + b"X: b\r\n"), again("protocol: ")),
    # Those that are busy may say for how long.
    "busy": (
        replies(429, Retry_After=BUSY_S),
        again("status: ", status=429, wait_s=120, body="no"),
    ),
    "unavailable": (
        replies(503, Retry_After=BUSY_S),
        again("status: ", status=503, wait_s=120, body="no"),
    ),
    "busy for ever": (
        replies(503, Retry_After="9" * 18),
        again("status: ", status=503, wait_s=DAY_S, body="no"),
    ),
    "busy for 1e99": (replies(503, Retry_After="1e99"), again("status: ", status=503, body="no")),
    "busy for -5": (replies(429, Retry_After="-5"), again("status: ", status=429, body="no")),
    "busy for junk": (
        replies(429, Retry_After="\x80soon\xff"),
        again("status: ", status=429, body="no"),
    ),
    "busy till a date": (
        replies(429, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT"),
        again("status: ", status=429, wait_s=DAY_S, body="no"),
    ),
    "busy till a date long ago": (
        replies(429, Retry_After="Fri, 01 Jan 2010 00:00:00 GMT"),
        again("status: ", status=429, body="no"),
    ),
    "not busy": (replies(500, Retry_After=BUSY_S), again("status: ", status=500, body="no")),
    "gone": (replies(410), Expected("failed", 410, "status: ", "no")),
    # Redirects are not followed.
    "redirect": (
        replies(302, Location="https://example.com/"),
        again("redirect: ", status=302, body="no"),
    ),
    "redirect to metadata": (
        replies(307, Location="http://169.254.169.254/latest/meta-data"),
        again("redirect: ", status=307, body="no"),
    ),
    "redirect to itself": (replies(308, Location="."), again("redirect: ", status=308, body="no")),
    "redirect to junk": (
        replies(301, Location="\x80\xff http://[::1"),
        again("redirect: ", status=301, body="no"),
    ),
    "redirect to nowhere": (replies(303), again("redirect: ", status=303, body="no")),
    "not modified": (
        sends(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        again("status: ", status=304, body=""),
    ),
    # Certificates.
    "good certificate": (with_tls("good"), Expected("delivered", 200, body="ok")),
    "self-signed": (with_tls("self-signed"), again("tls: ")),
    "expired": (with_tls("expired"), again("tls: ")),
    "not yet valid": (with_tls("early"), again("tls: ")),
    "wrong host": (with_tls("other"), again("tls: ")),
    "old TLS": (with_tls("old"), again("tls: ")),
}


@pytest.fixture(scope="module")
def zoo(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, Any]]]:
    """The row of each animal after one attempt."""
    folder = tmp_path_factory.mktemp("zoo")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        tls = {kind: stack.enter_context(kept) for kind, kept in certified(folder, patch).items()}
        places = Places(stack.enter_context(site()), tls)
        url = stack.enter_context(fresh_database(services, template=template))
        desk = stack.enter_context(posting(url, timeout_s=TIMEOUT_S))
        ids = {name: desk.add(animal(places)) for name, (animal, _) in ZOO.items()}
        desk.attempt(*ids.values())
        yield {name: desk.row(delivery_id) for name, delivery_id in ids.items()}


def certified(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    authority = make_authority(folder)
    patch.setenv("SSL_CERT_FILE", str(authority.file))
    contexts = {
        "good": serve_as("127.0.0.1", folder, signed_by=authority),
        "self-signed": serve_as("127.0.0.1", folder),
        "expired": serve_as("127.0.0.1", folder, signed_by=authority, days=(-9, -2)),
        "early": serve_as("127.0.0.1", folder, signed_by=authority, days=(2, 9)),
        "other": serve_as("other.example", folder, signed_by=authority),
        "old": serve_as("127.0.0.1", folder, signed_by=authority),
    }
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        contexts["old"].maximum_version = ssl.TLSVersion.TLSv1_1
    return {kind: site(tls=context) for kind, context in contexts.items()}


@pytest.mark.parametrize("name", ZOO)
def test_each_receiver_has_its_row(zoo: dict[str, dict[str, Any]], name: str) -> None:
    row, expected = zoo[name], ZOO[name][1]

    assert (row["status"], row["http_status"]) == (expected.status, expected.http_status)
    assert (row["error_message"] or "").startswith(expected.error or "")
    assert (row["error_message"] is None) == (expected.error is None)
    assert (row["attempt_count"], row["delivered_at"] is None) == (1, expected.error is not None)
    assert 0 <= row["duration_ms"] < TIMEOUT_S * 1000 + 3000
    if expected.body is not None or expected.http_status is None:
        assert row["response_body"] == expected.body
    if expected.wait_s is None:
        assert row["next_retry_at"] is None
    else:
        assert expected.wait_s - 5 < row["wait_s"] <= expected.wait_s


def test_no_redirect_is_followed_and_the_target_is_named(zoo: dict[str, dict[str, Any]]) -> None:
    message = zoo["redirect to metadata"]["error_message"]

    assert "answered 307 and points to http://169.254.169.254/latest/meta-data" in message


def test_what_was_late_took_its_time_and_no_longer(zoo: dict[str, dict[str, Any]]) -> None:
    late = ["drip body", "body missing", "silent", "drip header", "slow 100 Continue"]

    assert all(zoo[name]["duration_ms"] >= TIMEOUT_S * 1000 - 5 for name in late)


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A socket below HTTP; each connection is handed to `answer`."""

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def garbage(connection: socket.socket) -> None:
    connection.recv(1)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.recv(65_536)


def hang_up(connection: socket.socket) -> None:
    connection.recv(65_536)


def hang_up_hard(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def stall(connection: socket.socket) -> None:
    connection.settimeout(3)
    while connection.recv(65_536):
        pass


@pytest.mark.parametrize(
    ("answer", "error"),
    [(garbage, "tls: "), (hang_up, "tls: "), (hang_up_hard, "tls: "), (stall, "timeout: ")],
)
def test_a_handshake_that_fails_is_classed(
    database_url: str, answer: Callable[[socket.socket], None], error: str
) -> None:
    with posting(database_url) as desk, listening(answer) as port:
        delivery_id = desk.add(f"https://127.0.0.1:{port}/")

        desk.attempt(delivery_id)

        row = desk.row(delivery_id)
        assert (row["status"], row["error_message"][: len(error)]) == ("retrying", error)


def unknown(host: str) -> Sequence[str]:
    code = socket.EAI_NONAME if host.startswith("no") else socket.EAI_AGAIN
    raise socket.gaierror(code, "not found")


@pytest.mark.parametrize("url", ["http://no.example/", "https://later.example/"])
def test_a_host_without_an_address_is_tried_again(database_url: str, url: str) -> None:
    with posting(database_url, lookup=unknown) as desk:
        delivery_id = desk.add(url)

        desk.attempt(delivery_id)

        row = desk.row(delivery_id)
        assert (row["status"], row["error_message"][:5]) == ("retrying", "dns: ")


def test_a_port_that_refuses_is_tried_again(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with posting(database_url) as desk:
        delivery_id = desk.add(f"http://127.0.0.1:{port}/")

        desk.attempt(delivery_id)

        row = desk.row(delivery_id)
        assert (row["status"], row["error_message"][:9]) == ("retrying", "connect: ")
        assert row["duration_ms"] is not None
