"""A small HTTP server for fakes: one function answers every call, as text or as it likes."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Call:
    """A request that arrived; header names in lower case, `path` as it was sent."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass(frozen=True)
class Answer:
    """`drip_s` is how long the body takes after its head."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_s: float = 0.0


def as_json(value: Any, headers: Mapping[str, str] | None = None, *, status: int = 200) -> Answer:
    named = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    return Answer(status, json.dumps(value).encode(), named)


@contextmanager
def serve(answer: Callable[[Call], Answer]) -> Iterator[str]:
    """Answer on 127.0.0.1 from threads until the block ends; the server's origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(answer))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def handler_of(answer: Callable[[Call], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are two writes: the second must not wait 40 ms for the first one's ACK.
        disable_nagle_algorithm = True

        def respond(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            call = Call(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(length),
            )
            with suppress(OSError):
                self.write(answer(call))

        def write(self, found: Answer) -> None:
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            time.sleep(found.drip_s)
            self.wfile.write(found.body)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = respond  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Tests say what happened."""

    return Handler
