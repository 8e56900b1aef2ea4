"""A web site on 127.0.0.1 for tests: good pages, and every bad habit a server can have."""

import gzip
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

HEAD_BYTES_MAX = 65_536


@dataclass(frozen=True)
class Hit:
    """A request that reached the site; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass
class Wire:
    """A connection under an answer's full control."""

    socket: socket.socket
    stopped: threading.Event

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def wait(self, seconds: float) -> bool:
        """Sleep; False once the site is closing."""
        return not self.stopped.wait(seconds)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


# True keeps the connection open for the next request.
Answer = Callable[[Wire, Hit], bool | None]


@dataclass
class Site:
    """Paths and what they answer; unknown ones are 404. `hits` are all requests, in order."""

    host: str
    port: int
    scheme: str = "http"
    hits: list[Hit] = field(default_factory=list)
    connections: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://{self.host}:{self.port}{path}"

    def count(self, path: str) -> int:
        return sum(hit.path == path for hit in self.hits)

    def raw(self, path: str, answer: Answer) -> str:
        """Answer `path` by hand; returns its url, as all of these do."""
        self.answers[path] = answer
        return self.url(path)

    def page(
        self,
        path: str,
        body: bytes | str = b"",
        *,
        status: int = 200,
        content_type: str | None = "text/html; charset=utf-8",
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Serve a body; 304 where ETag or Last-Modified in `headers` match the request's."""
        content = body.encode() if isinstance(body, str) else body
        named = {**({"Content-Type": content_type} if content_type else {}), **(headers or {})}

        def answer(wire: Wire, hit: Hit) -> bool:
            unchanged = _is_unchanged(hit, named)
            sent = b"" if unchanged else content
            head = _head(304 if unchanged else status, {**named, "Content-Length": str(len(sent))})
            wire.send(head + (b"" if hit.method == "HEAD" else sent))
            return True

        return self.raw(path, answer)

    def redirect(self, path: str, to: str, *, status: int = 302) -> str:
        return self.page(path, status=status, content_type=None, headers={"Location": to})

    def drip(self, path: str, *, every_s: float = 0.02, in_head: bool = False) -> str:
        """One byte at a time, for ever."""

        def answer(wire: Wire, _: Hit) -> None:
            head = _head(200, {"Content-Type": "text/html", "Content-Length": "10000"})
            wire.send(head[:-2] + b"X-Drip: " if in_head else head)
            while wire.wait(every_s):
                wire.send(b"x")

        return self.raw(path, answer)

    def endless(self, path: str, *, chunk: bytes = b"x" * 65_536) -> str:
        """A body that never ends, as fast as it is read."""

        def answer(wire: Wire, _: Hit) -> None:
            wire.send(_head(200, {"Content-Type": "text/html"}))
            while not wire.stopped.is_set():
                wire.send(chunk)

        return self.raw(path, answer)

    def bomb(self, path: str, size_bytes: int) -> str:
        """A small gzip body that holds `size_bytes` of zeros."""
        packed = gzip.compress(bytes(size_bytes), compresslevel=9)
        return self.page(path, packed, headers={"Content-Encoding": "gzip"})

    def cut(self, path: str, body: bytes = b"half", *, promised_bytes: int = 1000) -> str:
        """Less than Content-Length promised, then the connection ends."""

        def answer(wire: Wire, _: Hit) -> None:
            wire.send(_head(200, {"Content-Length": str(promised_bytes)}) + body)

        return self.raw(path, answer)

    def silent(self, path: str) -> str:
        """Reads the request and never answers."""
        return self.raw(path, lambda wire, _: _wait_for_ever(wire))

    def reset(self, path: str, *, after: bytes = b"") -> str:
        """Sends `after`, then breaks the connection."""

        def answer(wire: Wire, _: Hit) -> None:
            wire.send(after)
            wire.wait(0.05)
            wire.reset()

        return self.raw(path, answer)


@contextmanager
def site(*, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve a Site from threads until the block ends."""
    listener = socket.create_server((host, 0), backlog=512)
    served = Site(host, listener.getsockname()[1], "https" if tls else "http")
    stopped = threading.Event()
    accepting = threading.Thread(
        target=_accept, args=(listener, served, tls, stopped), name="site", daemon=True
    )
    accepting.start()
    try:
        yield served
    finally:
        stopped.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)


def _accept(
    listener: socket.socket, served: Site, tls: ssl.SSLContext | None, stopped: threading.Event
) -> None:
    open_sockets: list[socket.socket] = []
    while not stopped.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            break
        served.connections += 1
        open_sockets.append(connection)
        threading.Thread(
            target=_serve, args=(connection, served, tls, stopped), name="site-wire", daemon=True
        ).start()
    for connection in open_sockets:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _serve(
    connection: socket.socket, served: Site, tls: ssl.SSLContext | None, stopped: threading.Event
) -> None:
    # A client that hangs up, or is cut off by a bad answer, is the normal end of a connection.
    with suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
        with connection:
            wire = Wire(connection, stopped)
            rest = b""
            while (found := _read_hit(connection, rest)) is not None:
                hit, rest = found
                served.hits.append(hit)
                if not served.answers.get(hit.path, _not_found)(wire, hit):
                    break


def _read_hit(connection: socket.socket, rest: bytes) -> tuple[Hit, bytes] | None:
    while b"\r\n\r\n" not in rest:
        chunk = connection.recv(65_536)
        if not chunk or len(rest) > HEAD_BYTES_MAX:
            return None
        rest += chunk
    head, _, rest = rest.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    while len(rest) < length and (chunk := connection.recv(65_536)):
        rest += chunk
    return Hit(method, path, headers, rest[:length]), rest[length:]


def _not_found(wire: Wire, _: Hit) -> bool:
    wire.send(_head(404, {"Content-Type": "text/html", "Content-Length": "9"}) + b"not found")
    return True


def _wait_for_ever(wire: Wire) -> None:
    while wire.wait(1):
        pass


def _is_unchanged(hit: Hit, named: Mapping[str, str]) -> bool:
    etag, modified = named.get("ETag"), named.get("Last-Modified")
    if (asked := hit.headers.get("if-none-match")) is not None:
        return etag is not None and etag in asked.split(", ")
    return modified is not None and hit.headers.get("if-modified-since") == modified


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    reasons = {known.value: known.phrase for known in HTTPStatus}
    lines = [f"HTTP/1.1 {status} {reasons.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
