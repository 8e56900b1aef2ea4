"""Accounts: in Supabase Auth where its address is given, else in the embedded database."""

from collections.abc import Mapping
from typing import Any

from db import auth_embedded, auth_supabase
from db.acting import BadTokenError
from db.auth_answers import (
    AuthError,
    AuthUnreachableError,
    BadEmailError,
    EmailNotConfirmedError,
    EmailTakenError,
    Session,
    Signed,
    TooManyRequestsError,
    User,
    WeakPasswordError,
    WrongCredentialsError,
)
from db.auth_settings import AuthSettings
from db.pool import Connection

__all__ = [
    "AuthError",
    "AuthSettings",
    "AuthUnreachableError",
    "BadEmailError",
    "BadTokenError",
    "EmailNotConfirmedError",
    "EmailTakenError",
    "Session",
    "Signed",
    "TooManyRequestsError",
    "User",
    "WeakPasswordError",
    "WrongCredentialsError",
    "get_user",
    "sign_in",
    "sign_up",
]


def sign_up(
    conn: Connection | None,
    email: str,
    password: str,
    data: Mapping[str, Any] | None = None,
    *,
    settings: AuthSettings,
) -> Signed:
    """Create an account; `data` is what the profile is made of, such as `full_name`.

    `conn` may be None with Supabase, which is asked over HTTP: not within a transaction. Raises
    EmailTakenError, BadEmailError, WeakPasswordError or another AuthError.
    """
    if remote := remote_of(settings):
        return auth_supabase.sign_up(remote, email, password, data or {})
    own, secret = embedded_of(conn, settings)
    return auth_embedded.sign_up(own, email, password, data or {}, secret=secret)


def sign_in(
    conn: Connection | None, email: str, password: str, *, settings: AuthSettings
) -> Signed:
    """Begin a session. Raises WrongCredentialsError, or another AuthError."""
    if remote := remote_of(settings):
        return auth_supabase.sign_in(remote, email, password)
    own, secret = embedded_of(conn, settings)
    return auth_embedded.sign_in(own, email, password, secret=secret)


def get_user(conn: Connection | None, access_token: str, *, settings: AuthSettings) -> User:
    """The account of a token, as it is now. Raises BadTokenError."""
    if remote := remote_of(settings):
        return auth_supabase.get_user(remote, access_token)
    own, secret = embedded_of(conn, settings)
    return auth_embedded.get_user(own, access_token, secret=secret)


def remote_of(settings: AuthSettings) -> auth_supabase.Remote | None:
    if settings.supabase_url and settings.supabase_anon_key:
        return auth_supabase.Remote(settings.supabase_url, settings.supabase_anon_key)
    return None


def embedded_of(conn: Connection | None, settings: AuthSettings) -> tuple[Connection, str]:
    if conn is None or settings.jwt_secret is None:
        raise ValueError(
            "accounts need SUPABASE_URL with SUPABASE_ANON_KEY, or a connection with JWT_SECRET"
        )
    return conn, settings.jwt_secret
