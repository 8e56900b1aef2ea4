"""Resend's events in our words, and whose signature makes them Resend's."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks.webhooks import Webhook

from pipelines.email import signature
from pipelines.email.resend_events import read_event
from pipelines.email.signature import BadSignatureError, parse_secrets, verify

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EMAIL = UUID("00000000-0000-4000-8000-0000000000e1")
SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 24).decode()
BODY = b'{"type": "email.sent", "text": "\xc3\xbc"}'


def event(kind: str, **data: Any) -> dict[str, Any]:
    known = {"email_id": "re_1", "to": ["max@example.com"], "created_at": "2026-03-01 11:00:00+00"}
    return {"type": kind, "created_at": "2026-03-01T11:59:00.126Z", "data": known | data}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("email.sent", "sent"),
        ("email.delivered", "delivered"),
        ("email.delivery_delayed", "deferred"),
        ("email.bounced", "bounced"),
        ("email.complained", "complained"),
        ("email.opened", "opened"),
        ("email.clicked", "clicked"),
        ("email.failed", "failed"),
        ("email.suppressed", "rejected"),
    ],
)
def test_each_type_has_its_word(kind: str, expected: str) -> None:
    told = read_event(event(kind), event_id="msg_1", now=NOW)

    assert told is not None
    assert (told.type, told.provider, told.provider_event_id) == (expected, "resend", "msg_1")
    assert (told.provider_message_id, told.at) == ("re_1", datetime(
        2026, 3, 1, 11, 59, 0, 126_000, UTC))  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["email.scheduled", "email.received", "contact.created", "", None, 7, ["email.sent"]]
)
def test_what_is_not_about_our_mails_is_passed_over(kind: Any) -> None:
    assert read_event({"type": kind, "data": {}}, event_id="msg_1", now=NOW) is None


@pytest.mark.parametrize(
    ("bounce", "hard"),
    [
        ({"type": "Permanent", "subType": "General"}, True),
        ({"type": "Permanent", "subType": "Suppressed"}, True),
        ({"type": "Transient", "subType": "MailboxFull"}, False),
        ({"type": "Undetermined", "subType": "Undetermined"}, False),
        ({}, False),
        (None, False),
        ("Permanent", False),
    ],
)
def test_only_a_permanent_bounce_is_hard(bounce: Any, hard: bool) -> None:
    told = read_event(event("email.bounced", bounce=bounce), event_id="msg_1", now=NOW)

    assert told is not None
    assert told.details["hard"] is hard


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        ("email.bounced", {"bounce": {"message": "no such user"}}, "no such user"),
        ("email.failed", {"failed": {"reason": "reached_daily_quota"}}, "reached_daily_quota"),
        ("email.suppressed", {"suppressed": {"message": "on the list"}}, "on the list"),
    ],
)
def test_it_says_why(kind: str, data: dict[str, Any], reason: str) -> None:
    told = read_event(event(kind, **data), event_id="msg_1", now=NOW)

    assert told is not None
    assert told.details["reason"] == reason


@pytest.mark.parametrize(
    "data",
    [
        {"tags": {"email_id": str(EMAIL)}},
        {"tags": [{"name": "email_id", "value": str(EMAIL)}]},
        {"headers": [{"name": "Message-ID", "value": f"<{EMAIL}@example.com>"}]},
        {"headers": {"Message-ID": f"<{EMAIL}.2@example.com>"}},
        {"message_id": f"<{EMAIL}@example.com>"},
    ],
)
def test_our_own_id_is_found_where_it_comes_back(data: dict[str, Any]) -> None:
    told = read_event(event("email.sent", **data), event_id="msg_1", now=NOW)

    assert told is not None
    assert told.email_id == EMAIL


@pytest.mark.parametrize(
    "data",
    [
        {"email_id": str(EMAIL)},
        {"tags": {"message-id": str(EMAIL)}},
        {"headers": [{"name": "X-Id", "value": str(EMAIL)}]},
        {"message_id": f"<x{EMAIL}@example.com>"},
    ],
)
def test_nothing_else_is_taken_for_our_id(data: dict[str, Any]) -> None:
    told = read_event(event("email.sent", **data), event_id="msg_1", now=NOW)

    assert told is not None
    assert told.email_id is None


def test_a_click_of_a_scanner_is_a_machines() -> None:
    click = {"link": "https://a.example/", "userAgent": "Barracuda", "ipAddress": "10.0.0.1"}

    told = read_event(event("email.clicked", click=click), event_id="msg_1", now=NOW)

    assert told is not None
    assert told.by_bot
    assert told.details == {"url": "https://a.example/", "user_agent": "Barracuda"}


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", 7, "2099-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"]
)
def test_a_time_that_cannot_be_is_now(value: Any) -> None:
    told = read_event(event("email.sent") | {"created_at": value}, event_id="msg_1", now=NOW)

    assert told is not None
    assert told.at == NOW


@pytest.mark.parametrize(
    "data",
    [None, [], "x", {"email_id": 7, "tags": 7, "headers": [7, {"name": 1}], "bounce": [1]},
     {"email_id": "a\x00\ud800" + "b" * 5_000, "tags": [{"name": "email_id", "value": "no id"}]}],
)  # fmt: skip
def test_odd_data_makes_no_trouble(data: Any) -> None:
    body = {"type": "email.bounced", "created_at": [], "data": data}

    told = read_event(body, event_id="msg_1", now=NOW)

    assert told is not None
    assert "\x00" not in (told.provider_message_id or "")
    json.dumps(told.details).encode()


def signed(
    secret: str = SECRET, *, at: datetime = NOW, body: bytes = BODY, prefix: str = "svix"
) -> dict[str, str]:
    """As the official signer of Standard Webhooks does it."""
    return {
        f"{prefix}-id": "msg_1",
        f"{prefix}-timestamp": str(int(at.timestamp())),
        f"{prefix}-signature": Webhook(secret).sign("msg_1", at, body.decode()),
    }


def check(headers: dict[str, str], *, secrets: str = SECRET, body: bytes = BODY) -> str:
    return verify(parse_secrets(secrets), headers, body, now_s=NOW.timestamp())


@pytest.mark.parametrize("prefix", ["svix", "webhook"])
def test_the_official_signature_fits(prefix: str) -> None:
    assert check(signed(prefix=prefix)) == "msg_1"


def test_one_of_several_signatures_and_secrets_is_enough() -> None:
    headers = signed()
    stranger = signed(OTHER)["svix-signature"]
    headers["svix-signature"] = f"v2,abc v1a,def {stranger} {headers['svix-signature']}"

    assert check(headers, secrets=f"{OTHER[:-4]}AAAA,{SECRET}") == "msg_1"


@pytest.mark.parametrize("seconds", [-299, 299])
def test_five_minutes_are_tolerated_both_ways(seconds: int) -> None:
    at = datetime.fromtimestamp(NOW.timestamp() + seconds, UTC)

    assert check(signed(at=at)) == "msg_1"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"svix-signature": ""},
        {"svix-signature": "v1,"},
        {"svix-signature": "v1," + "\u00e4" * 44},
        {"svix-signature": "v1,AAAA " * 1_000},
        {"svix-signature": signed(OTHER)["svix-signature"]},
        {"svix-signature": signed()["svix-signature"].replace("v1,", "v2,")},
        {"svix-signature": signed()["svix-signature"].removeprefix("v1,")},
        {"svix-id": "msg_2"},
        {"svix-id": ""},
        {"svix-id": "m" * 1_000},
        {"svix-timestamp": ""},
        {"svix-timestamp": "1e9"},
        {"svix-timestamp": "-5"},
        {"svix-timestamp": "\u0661\u0662"},
        {"svix-timestamp": "9" * 400},
        signed(at=datetime.fromtimestamp(NOW.timestamp() - 301, UTC)),
        signed(at=datetime.fromtimestamp(NOW.timestamp() + 301, UTC)),
    ],
)
def test_everything_else_is_refused(headers: dict[str, str]) -> None:
    given = signed() | headers if headers else {}

    with pytest.raises(BadSignatureError):
        check(given)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(BadSignatureError):
        check(signed(), body=BODY + b" ")


def test_without_secrets_nothing_fits() -> None:
    with pytest.raises(BadSignatureError):
        verify((), signed(), BODY, now_s=NOW.timestamp())


@pytest.mark.parametrize("secret", ["whsec_", "whsec_no base64!", "\u00e4"])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=signature.PREFIX):
        parse_secrets(secret)
