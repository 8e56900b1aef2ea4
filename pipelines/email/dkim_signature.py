"""DKIM (RFC 6376) over what a reader sees, and over both headers of one-click unsubscribing."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipelines.email.compose import Letter
from pipelines.errors import Misconfigured

# RFC 8058 wants both List-Unsubscribe headers in the signature.
SIGNED_HEADERS = (
    *("From", "To", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version"),
    *("Content-Type", "Content-Transfer-Encoding", "List-Unsubscribe", "List-Unsubscribe-Post"),
    "Auto-Submitted",
)


@dataclass(frozen=True, slots=True)
class Signer:
    """`key_path` holds the private key as PEM; without `domain` the sender's own signs."""

    selector: str
    key_path: Path
    domain: str | None = None

    def sign(self, raw: bytes, letter: Letter) -> bytes:
        """The mail with its signature in front. Raises Misconfigured for a key that cannot."""
        dkim_sign = load_dkim()
        present = {name.lower() for name in re.findall(rb"(?m)^([!-9;-~]+):", head_of(raw))}
        names = [n.lower().encode() for n in SIGNED_HEADERS if n.lower().encode() in present]
        domain = self.domain or letter.sender.domain
        try:
            signature = dkim_sign(
                raw,
                self.selector.encode("ascii"),
                domain.encode("ascii"),
                self.key_path.read_bytes(),
                canonicalize=(b"relaxed", b"relaxed"),
                include_headers=names,
            )
        except Exception as error:
            # The library raises many kinds, and all of them are about the key.
            raise Misconfigured(f"mails cannot be signed with the DKIM key: {error}") from error
        return bytes(signature) + raw


def head_of(raw: bytes) -> bytes:
    return raw.partition(b"\r\n\r\n")[0]


def load_dkim() -> Callable[..., Any]:
    try:
        found: Callable[..., Any] = import_module("dkim").sign
    except ImportError as error:
        raise Misconfigured(
            "a DKIM key is set, but dkimpy is not there: pip install 'avivro[dkim]'"
        ) from error
    return found
