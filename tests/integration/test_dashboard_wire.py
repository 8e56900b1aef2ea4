"""The port itself: what is no HTTP, and who dawdles."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from tests.dashboard_world import open_desk
from workers.dashboard import wire
from workers.dashboard.server import configure
from workers.dashboard.site import SAFE

HEAD = "POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
Address = tuple[str, int]


@pytest.fixture
def port(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    """A dashboard that is served as in its own process, and waits for half a second."""
    monkeypatch.setattr(wire, "ARRIVES_S_MAX", 0.5)
    with open_desk(database_url, redis_url) as desk, socket.create_server(("127.0.0.1", 0)) as it:
        server = uvicorn.Server(configure(desk.application))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [it]})
        thread.start()
        yield it.getsockname()
        server.should_exit = True
        thread.join()


def say(port: Address, text: str) -> str:
    """What comes back until the other side closes."""
    heard = b""
    with socket.create_connection(port, timeout=10) as line:
        line.sendall(text.encode())
        while part := line.recv(65_536):
            heard += part
    return heard.decode()


@pytest.mark.parametrize("text", ["NONSENSE\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_http_is_refused_with_all_headers(port: Address, text: str) -> None:
    head = say(port, text).partition("\r\n\r\n")[0].lower()

    assert head.startswith("http/1.1 400")
    assert [name for name in SAFE if f"{name.lower()}: " not in head] == []


@pytest.mark.parametrize(
    "text",
    ["", "GET / HTTP/1.1\r\nHost", HEAD + "Content-Length: 9\r\n\r\ncsrf=", HEAD + "X: "],
)
def test_who_dawdles_is_let_go(port: Address, text: str) -> None:
    assert say(port, text) == ""


def test_a_kept_connection_dawdles_no_longer_either(port: Address) -> None:
    with socket.create_connection(port, timeout=10) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        while not line.recv(65_536).endswith(b"ok\n"):
            pass
        line.sendall(b"GET /hea")

        assert line.recv(65_536) == b""


def test_who_listens_for_long_is_no_dawdler(port: Address) -> None:
    with socket.create_connection(port, timeout=10) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        while not line.recv(65_536).endswith(b"ok\n"):
            pass
        time.sleep(0.8)
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

        assert line.recv(65_536).startswith(b"HTTP/1.1 200")
