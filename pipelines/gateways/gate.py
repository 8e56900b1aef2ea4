"""What all workers share about one provider's model: its rate, and who embeds which text now."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that is ready to be sent. `ticket` names it while it waits in line."""

    ticket: str
    tenant: UUID
    tokens: int


@dataclass(frozen=True, slots=True)
class Turn:
    """When a request may be sent: now where `wait_s` is 0, else ask again after it.

    `shut` says that the provider itself asked everybody to wait.
    """

    wait_s: float
    shut: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is allowed a minute; None where nobody set it and no provider told it."""

    tokens: int | None = None
    requests: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What an answer tells of the rate: what is allowed a minute, and what was left of it.

    `took_s` is how long the answer took: so old is what it says. `retry_after_s` is None unless
    the provider asked for a wait.
    """

    allowed: Bounds
    left: Bounds
    took_s: float
    refused: bool = False
    retry_after_s: float | None = None


class Gate(Protocol):
    """One for each provider, account and model, over all processes."""

    def admit(self, ask: Ask) -> Turn:
        """Take the request's share, or keep its place in line for STALE_S from now."""
        ...

    def withdraw(self, ticket: str) -> None:
        """Leave the line."""
        ...

    def learn(self, seen: Seen) -> None: ...

    def bounds(self) -> Bounds: ...


class Claims(Protocol):
    """Texts that somebody is about to pay for. A claim ends by itself when its owner dies."""

    def take(self, hashes: Sequence[bytes], *, owner: str) -> set[bytes]:
        """Claim each text that nobody else holds; those that others hold."""
        ...

    def release(self, hashes: Collection[bytes], *, owner: str) -> None: ...


class _OpenGate:
    """Everybody may pass: what nobody limits."""

    def admit(self, ask: Ask) -> Turn:
        return Turn(0.0)

    def withdraw(self, ticket: str) -> None:
        """There is no line."""

    def learn(self, seen: Seen) -> None:
        """Nothing to steer."""

    def bounds(self) -> Bounds:
        return Bounds()


class _NoClaims:
    def take(self, hashes: Sequence[bytes], *, owner: str) -> set[bytes]:
        return set()

    def release(self, hashes: Collection[bytes], *, owner: str) -> None:
        """Nothing was claimed."""


OPEN_GATE: Gate = _OpenGate()
NO_CLAIMS: Claims = _NoClaims()
