"""What refusals of Notion, Google Drive, the storage and customers' APIs mean: a table each."""

import json
from typing import Any

import httpx
import pytest
from notion_client.errors import RequestTimeoutError, build_request_error

from pipelines.errors import Permanent, Transient
from pipelines.gateways import api, drive_failures, notion, storage
from pipelines.gateways.api import Ask
from pipelines.gateways.drive_failures import ExpiredError, NotFoundError, UnreadableError
from pipelines.gateways.http import Response
from pipelines.gateways.notion import NotSharedError
from pipelines.gateways.patience import BusyError
from pipelines.gateways.storage import StoredObject

ECHO = "what-the-server-repeats"


def answer(status: int, body: Any = None, **headers: str) -> Response:
    text = body if isinstance(body, bytes) else json.dumps(body or {"x": ECHO}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, "https://x.example/", named, text, 1)


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (401, "unauthorized", Permanent),
        (403, "restricted_resource", Permanent),
        (404, "object_not_found", NotSharedError),
        (429, "rate_limited", BusyError),
        (400, "validation_error", Permanent),
        (400, "invalid_json", Permanent),
        (409, "conflict_error", BusyError),
        (500, "internal_server_error", BusyError),
        (503, "service_unavailable", BusyError),
        (504, "gateway_timeout", BusyError),
        (502, None, BusyError),
        (429, None, BusyError),
        (401, None, Permanent),
        (404, None, Permanent),
        (302, None, Permanent),
    ],
)
def test_notions_refusals(status: int, code: str | None, failure: type[Exception]) -> None:
    body = json.dumps({"object": "error", "status": status, "code": code, "message": ECHO})
    text = body if code else f"<html>{ECHO}"
    received = httpx.Response(status, headers={"Retry-After": "7"}, text=text)

    told = notion.translate(build_request_error(received, text))

    assert type(told) is failure
    assert ECHO not in str(told)
    assert getattr(told, "retry_after_s", 7) == 7


def test_a_request_that_notions_client_gave_up_is_no_mystery() -> None:
    assert isinstance(notion.translate(RequestTimeoutError()), Permanent)


def reason(name: str) -> dict[str, Any]:
    return {"error": {"errors": [{"reason": name, "message": ECHO}], "message": ECHO}}


@pytest.mark.parametrize(
    ("status", "name", "failure"),
    [
        (403, "userRateLimitExceeded", BusyError),
        (403, "rateLimitExceeded", BusyError),
        (403, "dailyLimitExceeded", BusyError),
        (429, "rateLimitExceeded", BusyError),
        (500, "backendError", BusyError),
        (403, "exportSizeLimitExceeded", UnreadableError),
        (403, "fileNotDownloadable", UnreadableError),
        (403, "forbidden", UnreadableError),
        (403, "accessNotConfigured", Permanent),
        (403, "insufficientPermissions", Permanent),
        (401, "authError", Permanent),
        (404, "notFound", NotFoundError),
        (410, "pageTokenExpired", ExpiredError),
        (409, "conflict", Permanent),
        (302, "", Permanent),
    ],
)
def test_google_drives_refusals(status: int, name: str, failure: type[Exception]) -> None:
    told = drive_failures.translate(answer(status, reason(name), Retry_After="7"))

    assert type(told) is failure
    assert ECHO not in str(told)
    assert getattr(told, "retry_after_s", 7) == 7


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": []}', b"[" * 100_000])
def test_an_answer_without_googles_words_is_judged_by_its_status(body: bytes) -> None:
    assert isinstance(drive_failures.translate(answer(403, body)), Permanent)
    assert isinstance(drive_failures.translate(answer(503, body)), Transient)


@pytest.mark.parametrize(
    ("status", "body", "failure", "words"),
    [
        (400, {"statusCode": "404", "error": "not_found"}, Permanent, "moved or deleted"),
        (404, None, Permanent, "moved or deleted"),
        (400, {"statusCode": "403"}, Permanent, "SUPABASE_SERVICE_ROLE_KEY"),
        (401, None, Permanent, "SUPABASE_SERVICE_ROLE_KEY"),
        (400, b"<html>", Permanent, "HTTP 400"),
        (400, {"statusCode": "what"}, Permanent, "HTTP 400"),
        (302, None, Permanent, "HTTP 302"),
        (429, None, Transient, "right now"),
        (503, None, Transient, "right now"),
    ],
)
def test_the_storages_refusals(
    status: int, body: Any, failure: type[Exception], words: str
) -> None:
    told = storage.refusal(StoredObject("b", ("f", "a.pdf"), "public"), answer(status, body))

    assert isinstance(told, failure)
    assert words in str(told)
    assert ECHO not in str(told)


@pytest.mark.parametrize(
    ("status", "failure", "words"),
    [
        (301, Permanent, "redirect"),
        (400, Permanent, "check the settings"),
        (401, Permanent, "check the credentials"),
        (403, Permanent, "what the credentials of this source may read"),
        (404, Permanent, "check the address"),
        (418, Permanent, "refused"),
        (429, BusyError, "too many requests"),
        (500, Transient, "internal error"),
        (503, BusyError, "unavailable"),
    ],
)
def test_an_apis_refusals(status: int, failure: type[Exception], words: str) -> None:
    ask = Ask(f"https://x.example/v1?key={ECHO}")

    told = api.refusal(ask, answer(status, Retry_After="7"))

    assert isinstance(told, failure)
    assert words in str(told)
    assert ECHO not in str(told)
    assert getattr(told, "retry_after_s", 7) == 7
