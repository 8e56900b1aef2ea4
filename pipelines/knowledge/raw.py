"""What a reader is given: bytes, and what others said of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Raw:
    """`charset` is what the server declared; `url` and `name` say where the bytes came from."""

    body: bytes
    charset: str | None = None
    url: str | None = None
    name: str | None = None
