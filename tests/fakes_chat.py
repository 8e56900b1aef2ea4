"""A chat provider on 127.0.0.1, as strict as OpenRouter and those behind it, that judges honestly,
obeys injections, or misbehaves on order."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from tests.fakes_chat_mind import Answer, Item, Obedience, answer, weigh
from tests.fakes_chat_rules import (
    Refused,
    answer_tokens_max,
    check,
    check_key,
    count_tokens,
    cut_tokens,
    parse,
)

KEY = "sk-or-v1-0123456789abcdef"
MODEL = "openai/gpt-4o-mini"

Fault = Literal[
    "hang_up",
    "slow",  # a second late
    "silent",
    "drip",
    "endless",
    "html",
    "envelope",  # the answer's own JSON is cut
    "malformed",
    "fenced",
    "prose",
    "bare_list",
    "one_missing",
    "last_missing",
    "all_missing",
    "one_too_many",
    "doubled",
    "out_of_range",
    "nan",
    "text_score",
    "true_score",
    "wrong_label",
    "missing_emotion",
    "no_lists",
    "refusal",
    "content_filter",
    "null",
    "no_choices",
    "choice_error",
    "no_usage",
]


@dataclass(frozen=True)
class Canned:
    """An answer to send as it stands, or dripping."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    drips: bool = False


@dataclass
class FakeChat:
    """`honest` scores a text. Where one of `injections` is among the texts of a call, `obeys`
    bends the answers. `refuses` are texts with which the model refuses a whole call.
    """

    base_url: str = ""
    api_key: str = KEY
    honest: Callable[[str], float] = weigh
    obeys: Obedience | None = None
    injections: set[str] = field(default_factory=set)
    refuses: set[str] = field(default_factory=set)
    formats: set[str] = field(default_factory=lambda: {"json_schema", "json_object", "text"})
    has_temperature: bool = True
    asked: list[list[Item]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    faults: deque[Fault | Canned] = field(default_factory=deque)
    always: Fault | Canned | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    def inject(self, *faults: Fault | Canned) -> None:
        """The next requests that are valid end like this, one each."""
        self.faults.extend(faults)

    def think(self, items: list[Item]) -> list[Answer]:
        answers = [answer(item.id, self.honest(item.text), item.text) for item in items]
        for item in items:
            if self.obeys is not None and item.text in self.injections:
                answers = self.obeys(items, item, answers)
        return answers


@contextmanager
def fake_chat() -> Iterator[FakeChat]:
    """Serve from threads until the block ends; `base_url` and `api_key` are what a client needs."""
    fake = FakeChat()
    handler = type("Handler", (_Handler,), {"fake": fake})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        fake.base_url = f"http://127.0.0.1:{server.server_port}/api/v1"
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
    fake: FakeChat

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        """What the account's key may do costs nothing to ask."""
        with suppress(OSError):
            try:
                if self.path != "/api/v1/key":
                    raise Refused(404, "Not Found")
                check_key(self.headers.get("Authorization"), self.fake.api_key)
                self._send(200, {"data": {"label": "test", "limit_remaining": None}})
            except Refused as refused:
                self._send(refused.status, refused.body)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with suppress(OSError):
            try:
                self._answer(raw)
            except Refused as refused:
                self._send(refused.status, refused.body, headers=refused.headers)

    def _answer(self, raw: bytes) -> None:
        if self.path != "/api/v1/chat/completions":
            raise Refused(404, "Not Found")
        check_key(self.headers.get("Authorization"), self.fake.api_key)
        body = parse(raw)
        if "temperature" in body and not self.fake.has_temperature:
            raise Refused(400, "Unsupported value: 'temperature' does not support 0.")
        prompt_tokens = check(body, self.fake.formats)
        items = read_items(body)
        with self.fake.lock:
            self.fake.requests.append(body)
            self.fake.asked.append(items)
            fault = self.fake.faults.popleft() if self.fake.faults else self.fake.always
        if isinstance(fault, Canned):
            self._send_canned(fault)
        else:
            self._complete(body, items, prompt_tokens, fault)

    def _complete(
        self, body: dict[str, Any], items: list[Item], prompt_tokens: int, fault: Fault | None
    ) -> None:
        choice = self._choose(items, fault)
        text = choice["message"]["content"] or ""
        if count_tokens(text) > (limit := answer_tokens_max(body)):
            choice["message"]["content"] = cut_tokens(text, limit)
            choice["finish_reason"] = "length"
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": min(count_tokens(text), limit),
        }
        with self.fake.lock:
            self.fake.prompt_tokens += usage["prompt_tokens"]
            self.fake.completion_tokens += usage["completion_tokens"]
        whole: dict[str, Any] = {
            "id": "gen-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [] if fault == "no_choices" else [choice],
            "usage": usage | {"total_tokens": sum(usage.values())},
        }
        if fault == "no_usage":
            del whole["usage"]
        self.fake.stopped.wait(1.0 if fault == "slow" else 0.0)
        self._send(200, whole, fault=fault)

    def _choose(self, items: list[Item], fault: Fault | None) -> dict[str, Any]:
        refuses = fault == "refusal" or any(item.text in self.fake.refuses for item in items)
        content: str | None = write_answer(self.fake.think(items), fault)
        reason = "stop"
        match fault:
            case "content_filter":
                content, reason = "", "content_filter"
            case "null":
                content = None
            case "choice_error":
                content, reason = "", "error"
        message = {"role": "assistant", "content": None if refuses else content}
        if refuses:
            message["refusal"] = "I'm sorry, I can't help with that."
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reason}
        if fault == "choice_error":
            choice["error"] = {"code": 502, "message": "Upstream error"}
        return choice

    def _send_canned(self, canned: Canned) -> None:
        self._send(
            canned.status,
            canned.body,
            headers=canned.headers,
            fault="drip" if canned.drips else None,
        )

    def _send(
        self,
        status: int,
        body: Any,
        *,
        headers: dict[str, str] | None = None,
        fault: Fault | None = None,
    ) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        if fault == "envelope":
            content = content[: len(content) // 2]
        if fault == "html":
            content = b"<html><h1>Bad gateway</h1></html>"
        if fault == "hang_up":
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if fault == "html" else "application/json")
        if fault != "endless":
            self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self._write(content, fault)

    def _write(self, content: bytes, fault: Fault | None) -> None:
        if fault == "endless":
            self.close_connection = True
            while not self.fake.stopped.is_set():
                self.wfile.write(b" " * 65_536)
        elif fault in ("silent", "drip"):
            self.close_connection = True
            for byte in content:
                if self.fake.stopped.wait(0.02):
                    break
                if fault == "drip":
                    self.wfile.write(bytes([byte]))
        else:
            self.wfile.write(content)


def read_items(body: dict[str, Any]) -> list[Item]:
    """What the user's turn asks about; nothing where it is of another kind."""
    try:
        document = json.loads(body["messages"][-1]["content"])
        return [Item(each["id"], each["text"]) for each in document["messages"]]
    except (ValueError, TypeError, KeyError):
        return []


def write_answer(answers: list[Answer], fault: Fault | None) -> str:
    if answers:
        answers = _bent(answers, fault)
    text = json.dumps(answers if fault == "bare_list" else {"judgements": answers})
    match fault:
        case "malformed":
            return text[:-7]
        case "fenced":
            return f"```json\n{text}\n```"
        case "prose":
            return f"Here are the ratings you asked for:\n\n{text}"
        case _:
            return text


def _bent(answers: list[Answer], fault: Fault | None) -> list[Answer]:
    """One in the middle is changed where one is."""
    place = len(answers) // 2
    one = answers[place]
    changes: dict[str, Answer] = {
        "out_of_range": {"score": 1.5},
        "nan": {"score": float("nan")},
        "text_score": {"score": "0.5"},
        "true_score": {"score": True},
        "wrong_label": {"label": "negative", "score": 0.9},
        "missing_emotion": {"emotions": {"joy": 1.0}},
        "no_lists": {"topics": "billing", "keywords": None},
    }
    match fault:
        case "one_missing":
            return [*answers[:place], *answers[place + 1 :]]
        case "last_missing":
            return answers[:-1]
        case "all_missing":
            return []
        case "one_too_many":
            return [*answers, answer("ffffffff", 1.0)]
        case "doubled":
            return [*answers, answer(one["id"], -one["score"])]
        case _ if fault in changes:
            return [*answers[:place], one | changes[fault], *answers[place + 1 :]]
        case _:
            return answers
