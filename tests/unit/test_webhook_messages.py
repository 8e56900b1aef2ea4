"""What a receiver of a webhook gets: the body's bytes, their signature, the headers."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from pipelines.webhooks.body import BODY_BYTES_MAX, Event, write_body
from pipelines.webhooks.headers import CUSTOM_HEADERS_MAX, UnusableHeader, write_headers
from pipelines.webhooks.signing import UnusableSecret, key_of, sign

APP = "https://app.example/"
DELIVERY_ID = UUID("5f1d3a52-6f0e-4f0d-9f3e-0d6a1f1f9a11")
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AT_S = 1_614_265_330


def event(data: Any, *, type: str = "lead.captured", hour: int = 12) -> Event:
    """An event as the database hands it over: JSON with a space after each colon and comma."""
    ids = {name: json.dumps(data[name]) for name in ("id", "agent_id") if name in (data or {})}
    at = datetime(2025, 2, 5, hour, 0, 0, 123_456, tzinfo=UTC)
    return Event(DELIVERY_ID, type, at, json.dumps(data, ensure_ascii=False), ids)


def test_the_reference_vector_of_standard_webhooks() -> None:
    signature = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", AT_S, b'{"test": 2432232314}', secrets=[KEY])

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(body=st.binary(max_size=200), key=st.binary(min_size=1, max_size=64))
def test_another_implementation_makes_the_same_signature(body: bytes, key: bytes) -> None:
    text = body.decode("utf-8", "replace")
    at = datetime.fromtimestamp(AT_S, tz=UTC)

    ours = sign("msg_1", AT_S, text.encode(), secrets=[f"whsec_{base64.b64encode(key).decode()}"])

    assert ours == Webhook(key).sign("msg_1", at, text)


def test_while_a_secret_changes_both_sign_in_their_order() -> None:
    both = sign("msg_1", AT_S, b"{}", secrets=["new", "old"])

    assert both == " ".join(sign("msg_1", AT_S, b"{}", secrets=[each]) for each in ("new", "old"))


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_c2VjcmV0", b"secret"),
        ("whsec_c2VjcmV0cw==", b"secrets"),
        ("whsec_c2VjcmV0cw", b"secrets"),
        ("whsec_c2Vj\ncmV0\n", b"secret"),
        ("c2VjcmV0", b"c2VjcmV0"),
        ("correct horse", b"correct horse"),
        ("schlüssel", "schlüssel".encode()),
        (" padded ", b" padded "),
        ("whsec_not base64!", b"whsec_not base64!"),
        ("whsec_a", b"whsec_a"),
        ("whsec_ab-_", b"whsec_ab-_"),
        ("whsec_=", b"whsec_="),
        ("WHSEC_c2VjcmV0", b"WHSEC_c2VjcmV0"),
    ],
)
def test_a_secret_is_base64_after_its_prefix_and_else_its_own_text(secret: str, key: bytes) -> None:
    assert key_of(secret) == key


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_\n"])
def test_nothing_is_signed_with_an_empty_secret(secret: str) -> None:
    with pytest.raises(UnusableSecret, match="empty"):
        sign("msg_1", AT_S, b"{}", secrets=["good", secret])


def test_a_body_is_compact_json_with_its_type_and_time() -> None:
    body = write_body(event({"id": "7", "name": 'Zoë, 12: \\ "x": 1'}), app_url=APP)

    assert body.decode() == (
        '{"type":"lead.captured","timestamp":"2025-02-05T12:00:00.123456Z",'
        '"data":{"id":"7","name":"Zoë, 12: \\\\ \\"x\\": 1"}}'
    )


def test_a_time_of_another_zone_is_told_in_utc() -> None:
    at = datetime(2025, 2, 5, 14, 30, tzinfo=timezone(timedelta(hours=2)))

    body = write_body(Event(DELIVERY_ID, "x", at, "null", {}), app_url=APP)

    assert json.loads(body)["timestamp"] == "2025-02-05T12:30:00Z"


def test_numbers_keep_every_digit() -> None:
    data = '{"n": 123456789012345678901234567890.10, "m": 1' + "0" * 5000 + "}"

    body = write_body(Event(DELIVERY_ID, "x", datetime.now(UTC), data, {}), app_url=APP)

    assert data.replace(": ", ":").replace(", ", ",").encode() in body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@given(data=JSON, name=st.text(max_size=20))
def test_what_is_told_is_what_happened(data: Any, name: str) -> None:
    told = json.loads(
        write_body(Event(DELIVERY_ID, name, datetime.now(UTC), json.dumps(data), {}), app_url=APP)
    )

    assert (told["type"], told["data"]) == (name, data)


@pytest.mark.parametrize("missing_bytes", [1, 0, -1])
def test_an_event_of_twenty_thousand_bytes_is_thin(missing_bytes: int) -> None:
    around = len(write_body(event({"id": "7", "agent_id": "9", "t": ""}), app_url=APP))
    text = "x" * (BODY_BYTES_MAX - around - missing_bytes)

    body = write_body(event({"id": "7", "agent_id": "9", "t": text}), app_url=APP)

    told = json.loads(body)["data"]
    if missing_bytes > 0:
        assert (len(body), told["t"]) == (BODY_BYTES_MAX - 1, text)
    else:
        link = f"https://app.example/webhooks/deliveries/{DELIVERY_ID}"
        assert told == {"id": "7", "agent_id": "9", "thin": True, "link": link}


def test_an_event_too_long_to_be_loaded_is_thin_and_leaves_odd_ids_out() -> None:
    huge = Event(DELIVERY_ID, "x", datetime.now(UTC), None, {"id": "12", "agent_id": "9" * 201})

    told = json.loads(write_body(huge, app_url="https://app.example"))["data"]

    assert (told["id"], told["thin"], "agent_id" in told) == (12, True, False)


def headers(custom: dict[str, Any]) -> dict[str, str]:
    return write_headers("msg_1", at_s=AT_S, signature="v1,x", custom=custom)


def test_a_delivery_has_the_headers_of_standard_webhooks() -> None:
    assert headers({}) == {
        "Content-Type": "application/json",
        "User-Agent": "Avivro-Webhooks/1.0",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(AT_S),
        "webhook-signature": "v1,x",
    }


@pytest.mark.parametrize(
    "name",
    """webhook-id WEBHOOK-Timestamp Webhook-Signature webhook-anything content-type Content-Length
    HOST User-Agent Transfer-Encoding Connection accept-encoding Content-Encoding Expect TE
    Proxy-Authorization webhook_id Content_Length""".split(),
)
def test_a_custom_header_cannot_take_the_place_of_ours(name: str) -> None:
    assert headers({name: "evil", f" {name}\n": "evil"}) == headers({})


def test_custom_headers_are_sent_beside_ours() -> None:
    own = {"Authorization": "Bearer 1", "X-Team": "ü", "Accept": "text/plain", "Cookie": "a=b"}

    assert headers(own) == headers({}) | own


@pytest.mark.parametrize(
    ("custom", "words"),
    [
        ({"X Y": "1"}, "'X Y' is not a valid HTTP header"),
        ({"": "1"}, "'' is not a valid HTTP header"),
        ({"X-Ü": "1"}, "is not a valid HTTP header"),
        ({"X": "a\r\nHost: b"}, "'X' .* control characters"),
        ({"X": "a\0"}, "'X' .* control characters"),
        ({"X": "a" * 8001}, "'X' .* 8,001 characters, limit 8,000"),
        ({"X": 1}, "'X' has a value that is no text"),
        ({"X": None}, "'X' has a value that is no text"),
        ({"X": ["a"]}, "'X' has a value that is no text"),
        ({f"X-{n}": "" for n in range(51)}, f"51 custom headers, limit {CUSTOM_HEADERS_MAX}"),
    ],
)
def test_a_custom_header_that_cannot_be_sent_is_named(custom: dict[str, Any], words: str) -> None:
    with pytest.raises(UnusableHeader, match=words):
        headers(custom)
