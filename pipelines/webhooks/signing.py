"""Signatures of Standard Webhooks 1.0 (standardwebhooks.com). Pure."""

import base64
import binascii
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
VERSION = "v1"


class UnusableSecret(ValueError):
    """There is nothing in it to sign with."""


def sign(message_id: str, at_s: int, body: bytes, *, secrets: Sequence[str]) -> str:
    """The `webhook-signature` header: one signature per secret, in their order.

    Raises UnusableSecret where a secret is empty.
    """
    signed = f"{message_id}.{at_s}.".encode() + body
    return " ".join(_signature(signed, key_of(secret)) for secret in secrets)


def key_of(secret: str) -> bytes:
    """After `whsec_` a key stands in base64; any other text is its own key, in UTF-8.

    Padding may be missing. A `whsec_` that is no base64 is taken for free text, prefix included.
    """
    key = secret.encode("utf-8", "surrogatepass")
    if secret.startswith(PREFIX):
        key = _decoded(secret.removeprefix(PREFIX), default=key)
    if not key:
        raise UnusableSecret("the secret is empty")
    return key


def _decoded(text: str, *, default: bytes) -> bytes:
    # Postgres breaks long base64 into lines, which every library passes over.
    compact = "".join(text.split())
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError):
        return default


def _signature(signed: bytes, key: bytes) -> str:
    digest = hmac.digest(key, signed, "sha256")
    return f"{VERSION},{base64.b64encode(digest).decode()}"
