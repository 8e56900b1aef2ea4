"""/v1/embeddings and /v1/search, for a web tier in any language; errors in OpenAI's shape."""

import hmac
import json
from collections.abc import Callable
from typing import Any

import psycopg
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipelines.errors import Permanent, Transient
from workers.answering import UnknownAgentError
from workers.dashboard.asking import Refused

# Room for what one request to OpenAI may hold: 300,000 tokens, as JSON.
BODY_BYTES_MAX = 4_000_000
# Nobody on the way may keep an answer from a company's knowledge.
HEADERS = {"Cache-Control": "no-store"}

Handler = Callable[[dict[str, Any]], Response]


def routes(handlers: dict[str, Handler], *, key: str | None) -> list[Route]:
    """One POST route a handler, behind the key; without a key all of them say so."""
    return [
        Route(path, guard(handler, key), methods=["POST"]) for path, handler in handlers.items()
    ]


def guard(handler: Handler, key: str | None) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            check_key(request, key)
            body = await read_body(request)
            # Embedding and searching block, so they get a thread, and the loop stays free.
            return await run_in_threadpool(handler, parse(body))
        except Exception as error:
            refused = translate(error)
            if refused is None:
                raise
            return as_response(refused)

    return endpoint


def check_key(request: Request, key: str | None) -> None:
    if key is None:
        raise Refused(
            503, "this endpoint is closed: set SERVICE_API_KEY to open it", code="not_configured"
        )
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode(), key.encode())
    if scheme.lower() != "bearer" or not same:
        raise Refused(
            401,
            "the header Authorization must be: Bearer, then the value of SERVICE_API_KEY",
            code="invalid_api_key",
        )


async def read_body(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    too_long = declared.isdigit() and int(declared) > BODY_BYTES_MAX
    body = bytearray()
    if not too_long:
        async for piece in request.stream():
            body += piece
            too_long = len(body) > BODY_BYTES_MAX
            if too_long:
                break
    if too_long:
        raise Refused(413, f"the body is over {BODY_BYTES_MAX:,} bytes", code="too_large")
    return bytes(body)


def parse(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON", code="invalid_json") from None
    if not isinstance(value, dict):
        raise Refused(400, "the body must be a JSON object", code="invalid_json")
    return value


def translate(error: Exception) -> Refused | None:
    """What the caller is told of an error; None for a bug of ours."""
    match error:
        case Refused():
            return error
        case UnknownAgentError():
            return Refused(404, str(error), code="agent_not_found", param="agent_id")
        case Transient():
            return Refused(503, str(error), code="provider_busy", retry_after_s=error.retry_after_s)
        case Permanent():
            return Refused(400, str(error), code="embedding_refused")
        case psycopg.DataError():
            return Refused(422, "a value holds what Postgres cannot store", code="invalid_value")
        case psycopg.OperationalError():
            return Refused(503, "the database does not answer", code="database_away")
        case ClientDisconnect():
            return Refused(400, "the body was cut off", code="invalid_json")
    return None


def as_response(refused: Refused) -> Response:
    kind = {401: "authentication_error", 503: "service_unavailable"}
    body = {
        "error": {
            "message": str(refused),
            "type": kind.get(refused.status, "invalid_request_error"),
            "param": refused.param,
            "code": refused.code,
        }
    }
    headers = dict(HEADERS)
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(refused.retry_after_s)))
    return JSONResponse(body, status_code=refused.status, headers=headers)


def answer_json(value: object, **headers: str) -> Response:
    """The value as JSON; ids become text."""
    return Response(
        json.dumps(value, default=str, ensure_ascii=False),
        media_type="application/json",
        headers=HEADERS | headers,
    )
