"""Lets other people's client libraries send through the guarded client, and no other way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import httpx

from pipelines.gateways.http import Request, Response
from pipelines.gateways.http_headers import RESERVED_HEADERS

API_BYTES_MAX = 10_000_000
API_DEADLINE_S = 30.0


class Sender(Protocol):
    """The guarded client, or one that is polite around it."""

    def request(self, request: Request) -> Response: ...


@dataclass(frozen=True, slots=True)
class Limits:
    body_bytes_max: int = API_BYTES_MAX
    deadline_s: float = API_DEADLINE_S


class GuardedTransport(httpx.BaseTransport):
    """What httpx sends with. Failures come up as HttpPermanent or HttpTransient."""

    def __init__(self, client: Sender, limits: Limits | None = None) -> None:
        self._client = client
        self._limits = limits or Limits()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        answer = self._client.request(
            _request(
                str(request.url), request.method, dict(request.headers), body or None, self._limits
            )
        )
        return httpx.Response(
            answer.status, headers=_headers(answer), content=answer.body, request=request
        )


def send(
    client: Sender,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | str | None = None,
    limits: Limits | None = None,
) -> Response:
    """A request as libraries give it: headers that only the client may write are dropped."""
    sent = body.encode() if isinstance(body, str) else body
    return client.request(_request(url, method, headers or {}, sent or None, limits or Limits()))


def _request(
    url: str, method: str, headers: Mapping[str, str], body: bytes | None, limits: Limits
) -> Request:
    kept = {name: value for name, value in headers.items() if name.lower() not in RESERVED_HEADERS}
    return Request(
        url,
        method=method,
        headers=kept,
        body=body,
        deadline_s=limits.deadline_s,
        body_bytes_max=limits.body_bytes_max,
    )


def _headers(answer: Response) -> dict[str, str]:
    """The body is whole and decoded by now: what was said of its transfer is not true any more."""
    past = ("content-encoding", "content-length", "transfer-encoding")
    return {name: value for name, value in answer.headers.items() if name.lower() not in past}
