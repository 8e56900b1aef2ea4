"""The one spelling of an address under which we remember it."""

import hashlib
import re
from email.utils import parseaddr

import idna

ANGLED = re.compile(r"<([^<>]*)>\s*\Z")


def normalise(address: str) -> str:
    """Lower case, the domain in punycode; a display name around it is dropped.

    Servers may tell upper from lower case before the @, but none that people use does.
    """
    angled = ANGLED.search(address)
    bare = angled[1] if angled else parseaddr(address)[1] or address
    local, at, domain = bare.strip().lower().rpartition("@")
    return f"{local}{at}{to_ascii(domain.rstrip('.'))}"


def to_ascii(domain: str) -> str:
    """In punycode; as it stands where it is no domain name."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return domain


def hash_address(address: str) -> bytes:
    """SHA-256 of the normal spelling: the same here and in worker.suppressions."""
    return hashlib.sha256(normalise(address).encode("utf-8", "replace")).digest()
