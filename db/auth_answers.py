"""What signing up and in answers with, wherever the accounts live."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


class AuthError(Exception):
    """The message is fit for the person at the form."""


class EmailTakenError(AuthError):
    def __init__(self) -> None:
        super().__init__("there is an account with this e-mail address already")


class BadEmailError(AuthError):
    """What was given is no e-mail address."""


class WeakPasswordError(AuthError):
    """The password breaks a rule; the message says which."""


class WrongCredentialsError(AuthError):
    """One answer for an unknown address and for a wrong password: it tells neither."""

    def __init__(self) -> None:
        super().__init__("wrong e-mail address or password")


class EmailNotConfirmedError(AuthError):
    def __init__(self) -> None:
        super().__init__("this e-mail address is not confirmed yet; the link is in your inbox")


class TooManyRequestsError(AuthError):
    """The service asks to wait."""


class AuthUnreachableError(AuthError):
    """The service did not answer, or answered nonsense: trying again may help."""


@dataclass(frozen=True, slots=True)
class User:
    """An account."""

    id: UUID
    email: str | None
    role: str
    app_metadata: dict[str, Any]
    user_metadata: dict[str, Any]
    created_at: datetime
    email_confirmed_at: datetime | None
    last_sign_in_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in user's token. The embedded database gives no refresh token."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: datetime
    token_type: str = "bearer"  # noqa: S105 - the name of its kind


@dataclass(frozen=True, slots=True)
class Signed:
    """A user, and their session unless the address must be confirmed first."""

    user: User
    session: Session | None
