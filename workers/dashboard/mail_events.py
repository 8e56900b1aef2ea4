"""/hooks/email/<provider>: what a provider tells of the mails that it took."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipelines.email import resend_events, signature
from pipelines.email.recording import Note
from workers.dashboard.mail_links import read_body, wait
from workers.dashboard.mail_recorder import Recorder

BODY_BYTES_MAX = 256_000
# Providers wait for an answer about as long, then post again.
STORE_S = 5.0
RETRY_AFTER_S = "30"
PROVIDERS = {resend_events.PROVIDER: resend_events.read_event}


class RefusedError(Exception):
    """What the provider is answered instead of 200; on 5xx it posts the event again."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Hook:
    """Takes events that one of `secrets` signed; without any it is closed."""

    recorder: Recorder
    secrets: Sequence[bytes] = field(repr=False)

    async def take(self, request: Request) -> Response:
        try:
            taken = await self._take(request)
        except RefusedError as refused:
            return answer(refused.status, {"error": str(refused)})
        return answer(200, {"received": True, "ignored": not taken})

    async def _take(self, request: Request) -> bool:
        provider = request.path_params["provider"]
        if provider not in PROVIDERS:
            raise RefusedError(
                404, f"no provider here is called that; known: {', '.join(PROVIDERS)}"
            )
        if not self.secrets:
            raise RefusedError(
                503, "this endpoint is closed: set EMAIL_WEBHOOK_SECRET to the provider's secret"
            )
        body = await read_body(request, bytes_max=BODY_BYTES_MAX)
        if body is None:
            raise RefusedError(413, f"the body is over {BODY_BYTES_MAX:,} bytes, or was cut off")
        event_id = self._verify(request, body)
        told = PROVIDERS[provider](parse(body), event_id=event_id, now=datetime.now(UTC))
        if told is None:
            return False
        if not await wait(self.recorder.submit(Note(told)), STORE_S):
            raise RefusedError(503, "the event cannot be stored now: please post it again")
        return True

    def _verify(self, request: Request, body: bytes) -> str:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            return signature.verify(self.secrets, headers, body, now_s=time.time())
        except signature.BadSignatureError as error:
            raise RefusedError(401, str(error)) from None


def routes(recorder: Recorder, *, secrets: Sequence[bytes]) -> list[Route]:
    hook = Hook(recorder, secrets)
    return [Route("/hooks/email/{provider}", hook.take, methods=["POST"])]


def parse(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RefusedError(400, "the body is not a JSON object")
    return value


def answer(status: int, body: Mapping[str, Any]) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = RETRY_AFTER_S
    return JSONResponse(body, status_code=status, headers=headers)
