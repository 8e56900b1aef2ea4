"""Sealing of small secrets with a key from the environment: AES-256-GCM, keys can be rotated."""

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

KEY_BYTES = 32
KEY_ID_BYTES = 8
NONCE_BYTES = 12
# What is sealed begins with this, then come the key's id, a nonce and the sealed JSON.
FORM = b"\x01"
HEAD_BYTES = len(FORM) + KEY_ID_BYTES + NONCE_BYTES
HOW_TO_MAKE = "make one with: openssl rand -base64 32"


class SealError(Exception):
    """There is no key to seal with."""


class UnknownSealError(SealError):
    """Sealed with a key that is not among ours, for another source, or damaged."""


@dataclass(frozen=True, slots=True)
class Key:
    """`id` tells keys apart without telling anything of `secret`."""

    id: bytes
    secret: bytes = field(repr=False)


def parse_keys(value: str) -> tuple[Key, ...]:
    """Read CREDENTIALS_KEY: keys of 32 bytes in base64 or hex, comma-separated, newest first.

    Raises ValueError that says which entry is none, without repeating it.
    """
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    return tuple(_parse_key(entry, place) for place, entry in enumerate(entries, start=1))


def _parse_key(entry: str, place: int) -> Key:
    secret = _decode(entry)
    if secret is None or len(secret) != KEY_BYTES:
        raise ValueError(f"key {place} is not {KEY_BYTES} bytes in base64; {HOW_TO_MAKE}")
    return Key(hashlib.sha256(b"avivro credentials" + secret).digest()[:KEY_ID_BYTES], secret)


def _decode(entry: str) -> bytes | None:
    try:
        if len(entry) == 2 * KEY_BYTES:
            return bytes.fromhex(entry)
        padded = entry.rstrip("=") + "=" * (-len(entry.rstrip("=")) % 4)
        return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error):
        return None


class Keyring:
    """The first of `keys` seals, all of them open."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self._keys = {key.id: key for key in keys}
        self._newest = keys[0] if keys else None

    def seal(self, source_id: UUID, values: Mapping[str, Any]) -> bytes:
        """Seal for this source alone: a row copied to another one does not open."""
        # Only a reading with credentials pays for loading OpenSSL.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if self._newest is None:
            raise SealError("CREDENTIALS_KEY is not set")
        nonce = secrets.token_bytes(NONCE_BYTES)
        text = json.dumps(values).encode()
        head = FORM + self._newest.id
        return head + nonce + AESGCM(self._newest.secret).encrypt(nonce, text, _bond(source_id))

    def open(self, source_id: UUID, sealed: bytes) -> dict[str, Any]:
        """Raises UnknownSealError."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = self._keys.get(sealed[len(FORM) : len(FORM) + KEY_ID_BYTES])
        if key is None or not sealed.startswith(FORM):
            raise UnknownSealError("sealed with a key that CREDENTIALS_KEY does not hold")
        nonce = sealed[HEAD_BYTES - NONCE_BYTES : HEAD_BYTES]
        try:
            text = AESGCM(key.secret).decrypt(nonce, sealed[HEAD_BYTES:], _bond(source_id))
        except (InvalidTag, ValueError) as error:
            raise UnknownSealError("damaged, or sealed for another source") from error
        opened: dict[str, Any] = json.loads(text)
        return opened

    def is_newest(self, sealed: bytes) -> bool:
        """Whether the newest key sealed it: then rotation has nothing to do."""
        return self._newest is not None and sealed.startswith(FORM + self._newest.id)


def _bond(source_id: UUID) -> bytes:
    return b"source " + source_id.bytes
