"""Signed links of mails: what the pixel, a followed link and the unsubscribe button stand for.

A token is base64url of an HMAC-SHA256 and of what it signs. Each purpose signs in a domain of its
own, so none can stand in for another; nothing that we did not sign leads anywhere.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import UUID

from pipelines.email.keys import parse_keys as parse_keys
from pipelines.email.mailbox import hash_address

# Half of the hash is past guessing (NIST SP 800-107) and keeps the links short.
MAC_BYTES = 16
ID_BYTES = 16
HASH_BYTES = 32
# Browsers and mail clients follow longer ones, but not all; such a link stays as it was.
TARGET_BYTES_MAX = 2_000
CATEGORY_BYTES_MAX = 64
TOKEN_CHARS_MAX = 2_800
TOKEN = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# What a header or an attribute must never hold, and what browsers read around.
UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\\\"<>\u2028\u2029]")
NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Click:
    """A link that was followed; `among` is how many different ones its mail has, 255 at most."""

    email_id: UUID
    target: str
    among: int


@dataclass(frozen=True, slots=True)
class Unsubscription:
    """Who wants no more mails of a category from a user; the mail that it was asked from."""

    address_hash: bytes
    category: str
    user_id: UUID | None
    email_id: UUID | None


@dataclass(frozen=True, slots=True)
class Links:
    """Makes links under `public_url` and reads their tokens. The first key signs, all verify.

    A token that is not ours, or not for that purpose, reads as None.
    """

    public_url: str
    keys: tuple[bytes, ...] = field(repr=False)

    def pixel(self, email_id: UUID) -> str:
        return self._link("o", email_id.bytes)

    def click(self, email_id: UUID, url: str, *, among: int = 1) -> str:
        """Raises ValueError for a url that `is_target` refuses."""
        if not is_target(url):
            raise ValueError("only a plain http(s) address can be the target of a link")
        return self._link("c", email_id.bytes + bytes([min(among, 255)]) + url.encode())

    def unsubscribe(
        self, address: str, category: str, user_id: UUID | None, *, email_id: UUID | None = None
    ) -> str:
        """Carries a hash of the address, never the address."""
        if len(category.encode()) > CATEGORY_BYTES_MAX:
            raise ValueError(f"category {category!r} is over {CATEGORY_BYTES_MAX} bytes")
        ids = (user_id or NOBODY).bytes + (email_id or NOBODY).bytes
        return self._link("u", hash_address(address) + ids + category.encode())

    def read_pixel(self, token: str) -> UUID | None:
        body = self._read("o", token)
        return UUID(bytes=body) if body is not None and len(body) == ID_BYTES else None

    def read_click(self, token: str) -> Click | None:
        body = self._read("c", token)
        if body is None or len(body) <= ID_BYTES + 1:
            return None
        target = body[ID_BYTES + 1 :].decode("utf-8", "replace")
        if not is_target(target):
            return None
        return Click(UUID(bytes=body[:ID_BYTES]), target, body[ID_BYTES])

    def read_unsubscribe(self, token: str) -> Unsubscription | None:
        body = self._read("u", token)
        if body is None or len(body) <= HASH_BYTES + 2 * ID_BYTES:
            return None
        ids = body[HASH_BYTES : HASH_BYTES + 2 * ID_BYTES]
        return Unsubscription(
            address_hash=body[:HASH_BYTES],
            category=body[HASH_BYTES + 2 * ID_BYTES :].decode("utf-8", "replace"),
            user_id=read_id(ids[:ID_BYTES]),
            email_id=read_id(ids[ID_BYTES:]),
        )

    def _link(self, purpose: str, body: bytes) -> str:
        token = encode(sign(self.keys[0], purpose, body) + body)
        return f"{self.public_url.rstrip('/')}/e/{purpose}/{token}"

    def _read(self, purpose: str, token: str) -> bytes | None:
        raw = decode(token)
        if raw is None or len(raw) <= MAC_BYTES:
            return None
        mac, body = raw[:MAC_BYTES], raw[MAC_BYTES:]
        # All keys are tried, so that the time tells nothing of which one it was.
        fits = [hmac.compare_digest(mac, sign(key, purpose, body)) for key in self.keys]
        return body if any(fits) else None


def open_links(public_url: str | None, signing_key: str | None) -> Links | None:
    """From PUBLIC_URL and LINK_SIGNING_KEY; without either, mails carry no links of ours."""
    if not public_url or not signing_key:
        return None
    return Links(public_url, parse_keys(signing_key))


def sign(key: bytes, purpose: str, body: bytes) -> bytes:
    domain = b"avivro mail link " + purpose.encode() + b"\x00"
    return hmac.digest(key, domain + body, hashlib.sha256)[:MAC_BYTES]


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(token: str) -> bytes | None:
    """Only the one spelling that `encode` gives: base64 has others for the same bytes."""
    if len(token) > TOKEN_CHARS_MAX or len(token) % 4 == 1 or TOKEN.fullmatch(token) is None:
        return None
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return raw if encode(raw) == token else None


def read_id(raw: bytes) -> UUID | None:
    return None if UUID(bytes=raw) == NOBODY else UUID(bytes=raw)


def is_target(url: str) -> bool:
    """Whether a link may lead there: plain http(s), nothing that a header could break on."""
    try:
        size_bytes = len(url.encode())
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if size_bytes > TARGET_BYTES_MAX or UNSAFE.search(url):
        return False
    return parts.scheme in ("http", "https") and bool(host) and parts.netloc.isascii()
