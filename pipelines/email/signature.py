"""Signatures of webhooks that we receive: Svix' scheme, which is that of Standard Webhooks."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
TOLERANCE_S = 300
SIGNATURES_MAX = 20
ID_CHARS_MAX = 200
HEADERS = ("svix", "webhook")


class BadSignatureError(Exception):
    """The request is not the sender's, too old, or altered; the message says what is wrong."""


def parse_secrets(value: str) -> tuple[bytes, ...]:
    """Read secrets with commas between, each `whsec_` and base64; any of them verifies.

    Raises ValueError, which does not repeat them.
    """
    return tuple(parse_secret(each.strip()) for each in value.split(",") if each.strip())


def parse_secret(secret: str) -> bytes:
    try:
        bare = secret.removeprefix(PREFIX).rstrip("=")
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not key:
        raise ValueError(f"a signing secret must be {PREFIX} and base64, as the provider shows it")
    return key


def verify(
    secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, *, now_s: float
) -> str:
    """The id of the message, the same each time it is sent. `headers` in lower case.

    Raises BadSignatureError.
    """
    prefix = next((each for each in HEADERS if f"{each}-id" in headers), HEADERS[0])
    message_id, timestamp, given = (
        headers.get(f"{prefix}-{name}", "") for name in ("id", "timestamp", "signature")
    )
    if not (message_id and timestamp and given):
        raise BadSignatureError(f"{prefix}-id, -timestamp and -signature are needed")
    if len(message_id) > ID_CHARS_MAX or not message_id.isprintable():
        raise BadSignatureError(f"{prefix}-id is too long")
    check_time(timestamp, now_s)
    signed = f"{message_id}.{timestamp}.".encode() + body
    if not fits(secrets, signed, given):
        raise BadSignatureError("the signature does not fit")
    return message_id


def check_time(timestamp: str, now_s: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise BadSignatureError("the timestamp is not a number of seconds")
    if abs(int(timestamp) - now_s) > TOLERANCE_S:
        raise BadSignatureError(f"the timestamp is over {TOLERANCE_S} s off")


def fits(secrets: Sequence[bytes], signed: bytes, given: str) -> bool:
    """Whether one of the signatures is by one of our secrets; comparing takes constant time."""
    known = [base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)) for secret in secrets]
    found = False
    for each in given.split(" ")[:SIGNATURES_MAX]:
        version, _, signature = each.partition(",")
        raw = signature.encode("utf-8", "replace")
        for expected in known:
            found |= version == "v1" and hmac.compare_digest(raw, expected)
    return found
