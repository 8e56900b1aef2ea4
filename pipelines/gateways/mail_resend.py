"""Mail through Resend: one request, whose key lets it tell a second copy for a day."""

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pipelines.email.address import Address
from pipelines.email.compose import Letter, clean_body
from pipelines.gateways.http import Client, Request, Response
from pipelines.gateways.http_failures import HttpPermanent, HttpTransient, parse_retry_after
from pipelines.gateways.mail import Parcel, Rate, ResendRoute
from pipelines.gateways.mail_failures import http_failure, resend_failure

DEADLINE_S = 60.0
ANSWER_BYTES_MAX = 100_000
# Resend forgets a key after 24 h; a request must not be on its way just then.
REPLAY_S = 86_400.0 - 600.0
KEY_HASH_CHARS = 12


class ResendTransport:
    """Resend's `POST /emails`. Nothing is signed or folded here: they do that."""

    provider = "resend"
    replay_s = REPLAY_S

    def __init__(self, route: ResendRoute, client: Client) -> None:
        self._route = route
        self._client = client
        # Resend counts by team, and each of its keys belongs to one.
        told = hashlib.sha256(route.api_key.encode()).hexdigest()
        lane = f"mail:resend:{told[:KEY_HASH_CHARS]}"
        self.rate = Rate(lane, route.per_s, burst=max(1, int(route.per_s)))

    def pack(self, letter: Letter) -> bytes:
        return json.dumps(request_of(letter), ensure_ascii=False).encode("utf-8", "replace")

    def send(self, parcel: Parcel, hand_over: Callable[[], None]) -> str | None:
        hand_over()
        request = Request(
            f"{self._route.base_url}/emails",
            method="POST",
            headers={
                "Authorization": f"Bearer {self._route.api_key}",
                "Content-Type": "application/json",
                "Idempotency-Key": parcel.key,
            },
            body=parcel.body,
            deadline_s=DEADLINE_S,
            body_bytes_max=ANSWER_BYTES_MAX,
            body_optional=True,
        )
        try:
            answer = self._client.request(request)
        except (HttpPermanent, HttpTransient) as error:
            raise http_failure(error) from error
        return read_answer(answer, now=datetime.now(UTC))


def request_of(letter: Letter) -> dict[str, Any]:
    """The body that Resend documents."""
    request: dict[str, Any] = {
        "from": shown(letter.sender),
        "to": [shown(letter.recipient)],
        "subject": letter.subject,
        "text": clean_body(letter.text),
        "headers": {"Message-ID": letter.message_id, "Auto-Submitted": "auto-generated"}
        | dict(letter.headers),
    }
    if letter.html:
        request["html"] = clean_body(letter.html)
    if letter.reply_to is not None:
        request["reply_to"] = [shown(letter.reply_to)]
    if letter.attachments:
        request["attachments"] = [
            {
                "filename": each.filename,
                "content": base64.b64encode(each.content).decode(),
                "content_type": each.content_type,
            }
            for each in letter.attachments
        ]
    return request


def shown(address: Address) -> str:
    name = address.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}" <{address.spec}>' if name else address.spec


def read_answer(answer: Response, *, now: datetime) -> str | None:
    """Resend's id of the mail. The status decides: a success without an id is one."""
    told = read_json(answer.body)
    if 200 <= answer.status < 300:
        return told["id"] if isinstance(told.get("id"), str) else None
    raise resend_failure(
        answer.status,
        str(told.get("name") or ""),
        str(told.get("message") or ""),
        retry_after_s=parse_retry_after(answer.headers.get("Retry-After"), now=now),
    )


def read_json(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
