"""An embeddings server on 127.0.0.1, as strict as OpenAI's, that can also misbehave on order."""

import base64
import json
import math
import re
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tests.fakes_openai_rules import (
    DIMENSIONS,
    Bucket,
    Refused,
    check,
    check_key,
    invalid,
    parse,
    rate_limited,
)

KEY = "sk-test-0123456789abcdef"

Fault = Literal[
    "500",
    "503",
    "429",
    "quota",
    "echo_key",  # 401 that repeats the whole key, as some gateways do
    "refuse",  # hangs up before answering; nothing is billed
    "cut",  # hangs up within the answer; billed
    "slow",  # a second late
    "silent",
    "drip",
    "json",
    "html",
    "short_vectors",
    "uneven_vectors",
    "missing_vector",
    "wrong_index",
    "shuffled",  # allowed by the protocol
    "nan",
    "zeros",
    "text_vector",
    "no_usage",
]

# Billed, and nobody can use the answer.
LOST: frozenset[Fault] = frozenset(
    {
        "cut",
        "silent",
        "drip",
        "json",
        "html",
        "short_vectors",
        "uneven_vectors",
        "missing_vector",
        "wrong_index",
        "nan",
        "zeros",
        "text_vector",
    }
)
SLOW_S = 1.0


@dataclass(frozen=True)
class Admitted:
    at: float
    tokens: int
    is_new: bool


@dataclass
class FakeOpenAI:
    """`billed` holds every text that was paid for, in order; `requests` every body that came.

    `lost` and `tokens_lost` are of what was billed and answered with nothing that can be used.
    `refuses` may give the words with which a text, and with it its whole request, is refused.
    `admitted` are the requests that passed the rate limits, `known` the texts in them.
    """

    base_url: str = ""
    api_key: str = KEY
    requests_bucket: Bucket = field(default_factory=lambda: Bucket(None))
    tokens_bucket: Bucket = field(default_factory=lambda: Bucket(None))
    billed: list[str] = field(default_factory=list)
    tokens_billed: int = 0
    lost: list[str] = field(default_factory=list)
    tokens_lost: int = 0
    admitted: list[Admitted] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    limited: int = 0
    answer_after_s: float = 0.0
    refuses: Callable[[str], str | None] = lambda text: None
    requests: list[dict[str, Any]] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    choose_fault: Callable[[], Fault | None] = lambda: None
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    def inject(self, *faults: Fault) -> None:
        """The next requests that are valid end like this, one each."""
        self.faults.extend(faults)

    def limit(
        self, *, requests: int | None = None, tokens: int | None = None, full: bool = True
    ) -> None:
        """Allow so many a minute; unless `full`, the first request finds nothing left."""
        self.requests_bucket = Bucket(requests, full=full)
        self.tokens_bucket = Bucket(tokens, full=full)

    def admit(self, texts: list[str], tokens: int) -> None:
        is_new = not self.known.issuperset(texts)
        self.known.update(texts)
        self.admitted.append(Admitted(time.monotonic(), tokens, is_new))

    def share_used(self) -> float:
        """Of the tokens that the limit allowed while there was anything new to be sent."""
        per_minute = self.tokens_bucket.per_minute
        assert per_minute is not None
        first, *later = self.admitted
        ended_at = max(each.at for each in later if each.is_new)
        used = sum(each.tokens for each in later if each.at <= ended_at)
        return used / ((ended_at - first.at) * per_minute / 60)


@contextmanager
def fake_openai() -> Iterator[FakeOpenAI]:
    """Serve from threads until the block ends; `base_url` and `api_key` are what a client needs."""
    fake = FakeOpenAI()
    handler = type("Handler", (_Handler,), {"fake": fake})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        fake.base_url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            fake.stopped.set()
            server.shutdown()
            thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeOpenAI

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        self._send(404, _no_such_url(self).body)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with suppress(OSError):
            try:
                self._answer(raw)
            except Refused as refused:
                self._send(refused.status, refused.body)

    def _answer(self, raw: bytes) -> None:
        if self.path != "/v1/embeddings":
            raise _no_such_url(self)
        check_key(self.headers.get("Authorization"), self.fake.api_key)
        body = parse(raw)
        texts, counts = check(body)
        with self.fake.lock:
            self.fake.requests.append(body)
            self._check_texts(texts)
            self._take_from_buckets(sum(counts))
            self.fake.admit(texts, sum(counts))
            fault = self.fake.faults.popleft() if self.fake.faults else self.fake.choose_fault()
            self._refuse_by(fault)
            self.fake.billed.extend(texts)
            self.fake.tokens_billed += sum(counts)
            if fault in LOST:
                self.fake.lost.extend(texts)
                self.fake.tokens_lost += sum(counts)
        self.fake.stopped.wait(self.fake.answer_after_s + (SLOW_S if fault == "slow" else 0))
        self._embed(body, texts, tokens=sum(counts), fault=fault)

    def _check_texts(self, texts: list[str]) -> None:
        for text in texts:
            if words := self.fake.refuses(text):
                raise invalid(words)

    def _take_from_buckets(self, tokens: int) -> None:
        early_s = self.fake.requests_bucket.take(1)
        name = "requests" if early_s is not None else "tokens"
        if early_s is None:
            early_s = self.fake.tokens_bucket.take(tokens)
        if early_s is not None:
            self.fake.limited += 1
            raise rate_limited(name, early_s)

    def _refuse_by(self, fault: Fault | None) -> None:
        match fault:
            case "500" | "503":
                message = "The server had an error while processing your request. Sorry about that!"
                raise Refused(int(fault), message, kind="server_error")
            case "429":
                raise rate_limited("requests", 0.05)
            case "quota":
                message = "You exceeded your current quota, please check your plan and billing."
                raise Refused(429, message, kind="insufficient_quota", code="insufficient_quota")
            case "echo_key":
                message = f"Incorrect API key provided: {self.fake.api_key}."
                raise Refused(401, message, kind="invalid_request_error", code="invalid_api_key")
            case "refuse":
                self.close_connection = True
                self.connection.close()
                raise OSError("hung up on order")

    def _embed(
        self, body: dict[str, Any], texts: list[str], *, tokens: int, fault: Fault | None
    ) -> None:
        vectors = _bent(embed_texts(texts, body), fault)
        as_base64 = body.get("encoding_format") == "base64"
        items = [
            {"object": "embedding", "index": index, "embedding": _written(row, as_base64)}
            for index, row in enumerate(vectors)
        ]
        answer: dict[str, Any] = {
            "object": "list",
            "data": _rearranged(items, fault),
            "model": body["model"],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        if fault == "no_usage":
            del answer["usage"]
        self._send(200, answer, fault=fault)

    def _send(self, status: int, body: dict[str, Any], *, fault: Fault | None = None) -> None:
        content = json.dumps(body).encode()
        if fault == "json":
            content = content[: len(content) // 2] + b"}"
        if fault == "html":
            content = b"<html><h1>Bad gateway</h1></html>"
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if fault == "html" else "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in self._rate_headers(status, body).items():
            self.send_header(name, value)
        self.end_headers()
        self._write(content, fault)

    def _write(self, content: bytes, fault: Fault | None) -> None:
        if fault == "cut":
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif fault in ("silent", "drip"):
            self.close_connection = True
            for byte in content:
                if self.fake.stopped.wait(0.02):
                    break
                if fault == "drip":
                    self.wfile.write(bytes([byte]))
        else:
            self.wfile.write(content)

    def _rate_headers(self, status: int, body: dict[str, Any]) -> dict[str, str]:
        headers = {
            **self.fake.requests_bucket.headers("requests"),
            **self.fake.tokens_bucket.headers("tokens"),
        }
        if status == 429 and (match := re.search(r"again in ([0-9.]+)s", json.dumps(body))):
            headers["retry-after"] = str(math.ceil(float(match[1])))
            headers["retry-after-ms"] = str(math.ceil(float(match[1]) * 1000))
        return headers


def embed_texts(texts: list[str], body: dict[str, Any]) -> NDArray[np.float32]:
    """Unit vectors: texts that share words point the same way, always and everywhere."""
    native = DIMENSIONS[body["model"]]
    vectors = np.full((len(texts), native), 1e-4, dtype=np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            number = zlib.crc32(word.encode("utf-8", "surrogatepass"))
            vectors[row, number % native] += 1 if number & 0x8000_0000 else -1
    vectors = vectors[:, : body.get("dimensions") or native]
    shortened: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return shortened


def _bent(vectors: NDArray[np.float32], fault: Fault | None) -> list[NDArray[np.float32]]:
    rows = list(vectors)
    match fault:
        case "short_vectors":
            rows = [row[:-1] for row in rows]
        case "uneven_vectors":
            rows[-1] = rows[-1][:-1]
        case "nan":
            rows[-1] = np.full_like(rows[-1], np.nan)
        case "zeros":
            rows[-1] = np.zeros_like(rows[-1])
    return rows


def _rearranged(items: list[dict[str, Any]], fault: Fault | None) -> list[dict[str, Any]]:
    match fault:
        case "missing_vector":
            return items[:-1]
        case "wrong_index":
            return [{**item, "index": item["index"] + 1} for item in items]
        case "shuffled":
            return items[::-1]
        case "text_vector":
            return [{**item, "embedding": "not base64!"} for item in items]
        case _:
            return items


def _written(row: NDArray[np.float32], as_base64: bool) -> str | list[float]:
    return base64.b64encode(row.astype("<f4").tobytes()).decode() if as_base64 else row.tolist()


def _no_such_url(handler: BaseHTTPRequestHandler) -> Refused:
    message = f"Invalid URL ({handler.command} {handler.path})"
    return Refused(404, message, kind="invalid_request_error")
