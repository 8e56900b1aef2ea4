"""A static web server of this process, so that local documents take the real fetch path."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

Routes = Mapping[str, Path]

IDLE_CONNECTION_S = 10
POLL_S = 0.05
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".pdf": "application/pdf",
    ".txt": "text/plain; charset=utf-8",
}


@contextmanager
def serve_routes(routes: Routes) -> Iterator[str]:
    """Serve these files on a free port of 127.0.0.1 while the context is open."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, routes))
    thread = Thread(target=server.serve_forever, args=(POLL_S,), name="sample-site", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """Answers only for the paths it was given, so no spelling of a path can leave them."""

    protocol_version = "HTTP/1.1"
    server_version = "avivro-sample"
    sys_version = ""
    timeout = IDLE_CONNECTION_S
    # Head and body are two writes: without this, each answer would wait for a delayed ACK.
    disable_nagle_algorithm = True

    def __init__(self, routes: Routes, *args: object) -> None:
        self.routes = routes
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def answer(self) -> None:
        file = self.routes.get(unquote(urlsplit(self.path).path))
        if file is None:
            self.send(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain"}, b"not found\n")
            return

        body = file.read_bytes()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {
            "ETag": etag,
            "Last-Modified": formatdate(file.stat().st_mtime, usegmt=True),
            "Cache-Control": "no-cache",
        }
        if self.is_known(etag, headers["Last-Modified"]):
            self.send(HTTPStatus.NOT_MODIFIED, headers)
            return
        content_type = CONTENT_TYPES.get(file.suffix.lower(), "application/octet-stream")
        self.send(HTTPStatus.OK, {**headers, "Content-Type": content_type}, body)

    def is_known(self, etag: str, modified: str) -> bool:
        """Whether the client holds this version (RFC 9110: the tag decides before the date)."""
        tags = self.headers.get("If-None-Match")
        if tags is None:
            return self.headers.get("If-Modified-Since") == modified
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return not known.isdisjoint({etag, "*"})

    def send(self, status: HTTPStatus, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status is not HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet: the demo's own progress is what belongs on the screen."""
