"""The one spelling of an address under which we remember it."""

import hashlib

from pipelines.email.address import parse_address
from pipelines.errors import Permanent


def normalise(address: str) -> str:
    """Lower case, the domain in punycode, without a display name around it.

    Servers may tell upper from lower case before the @, but none that people use does. What is no
    address is only written in lower case.
    """
    try:
        return parse_address(address).spec.lower()
    except Permanent:
        return address.strip().lower()


def hash_address(address: str) -> bytes:
    """SHA-256 of the normal spelling: the same here and in worker.suppressions."""
    return hashlib.sha256(normalise(address).encode("utf-8", "replace")).digest()
