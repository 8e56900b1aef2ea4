"""Resend's `POST /emails`, as strict as its documentation: keys, rates, fields, idempotency."""

import base64
import binascii
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.fakes_http import Answer, Call, as_json, serve

API_KEY = "re_123_secret"
DOMAIN = "sender.example"
KEY_CHARS_MAX = 256
ATTACHMENTS_BYTES_MAX = 40_000_000
KEY_S = 86_400.0
FIELDS = {
    *("from", "to", "subject", "html", "text", "cc", "bcc", "reply_to", "headers"),
    *("attachments", "tags", "scheduled_at", "template", "topic_id"),
}


class Dropped(Exception):
    """The connection ends without an answer. Python prints it with its trace: no harm."""


def error(status: int, name: str, message: str, **headers: str) -> Answer:
    told = {"statusCode": status, "name": name, "message": message}
    return as_json(told, headers, status=status)


@dataclass
class FakeResend:
    """What it took in, and what it shall say before it looks: an Answer, or "drop".

    "take and drop" stores the mail and then drops the line.
    """

    per_s: int | None = None
    sent: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    plan: list[Answer | str] = field(default_factory=list)
    origin: str = ""
    _known: dict[str, tuple[bytes, str, float]] = field(default_factory=dict)
    _seconds: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"resend://{API_KEY}@{self.origin.removeprefix('http://')}"

    def forget_keys(self) -> None:
        """As a day later."""
        self._known.clear()

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        planned = self.plan.pop(0) if self.plan else None
        if isinstance(planned, Answer):
            return planned
        if planned == "drop":
            raise Dropped
        found = self._refuse(call) or self._take(call)
        if planned == "take and drop":
            raise Dropped
        return found

    def _refuse(self, call: Call) -> Answer | None:
        if (call.method, call.path) != ("POST", "/emails"):
            return error(405, "method_not_allowed", f"no {call.method} {call.path} here")
        if not (sign_in := call.headers.get("authorization")):
            return error(401, "missing_api_key", "Missing API key in the authorization header.")
        if sign_in != f"Bearer {API_KEY}":
            return error(403, "invalid_api_key", "API key is invalid")
        if self._is_too_often():
            # They name whole seconds.
            return error(429, "rate_limit_exceeded", "Too many requests.", **{"retry-after": "1"})
        key = call.headers.get("idempotency-key", "-")
        if not 1 <= len(key) <= KEY_CHARS_MAX:
            return error(400, "invalid_idempotency_key", "The key must be 1-256 chars")
        return self._refuse_fields(call.json)

    def _is_too_often(self) -> bool:
        now = time.monotonic()
        self._seconds = [at for at in self._seconds if now - at < 1.0] + [now]
        return self.per_s is not None and len(self._seconds) > self.per_s

    def _refuse_fields(self, asked: Any) -> Answer | None:
        if not isinstance(asked, dict) or asked.keys() - FIELDS:
            return error(422, "validation_error", f"unknown fields {sorted(asked)}")
        for name in ("from", "to", "subject"):
            if not asked.get(name):
                return error(422, "missing_required_field", f"Missing `{name}` field.")
        if not (asked.get("html") or asked.get("text")):
            return error(422, "missing_required_field", "Missing `html` or `text` field.")
        if "@" not in asked["from"] or "\n" in asked["from"] + asked["subject"]:
            return error(422, "invalid_from_address", "Invalid `from` field.")
        if not asked["from"].rstrip(">").endswith(f"@{DOMAIN}"):
            return error(403, "validation_error", "The domain is not verified.")
        if not all(isinstance(value, str) for value in asked.get("headers", {}).values()):
            return error(422, "validation_error", "Invalid `headers` field.")
        try:
            sizes = [
                len(base64.b64decode(each["content"], validate=True))
                for each in asked.get("attachments", [])
            ]
        except (KeyError, binascii.Error):
            return error(422, "invalid_attachment", "Attachment must have content or path.")
        if sum(sizes) > ATTACHMENTS_BYTES_MAX:
            return error(413, "validation_error", "Attachments are over 40 MB.")
        return None

    def _take(self, call: Call) -> Answer:
        key = call.headers.get("idempotency-key")
        body, mail_id, at = self._known.get(key or "", (b"", "", -KEY_S))
        if key and time.monotonic() - at < KEY_S:
            if body != call.body:
                return error(
                    409, "invalid_idempotent_request", "Same idempotency key, another payload."
                )
            return as_json({"id": mail_id})
        mail_id = str(uuid4())
        self.sent.append(call.json)
        if key:
            self._known[key] = (call.body, mail_id, time.monotonic())
        return as_json({"id": mail_id})


@contextmanager
def fake_resend(per_s: int | None = None) -> Iterator[FakeResend]:
    fake = FakeResend(per_s)
    with serve(fake.answer) as fake.origin:
        yield fake
