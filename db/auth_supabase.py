"""Accounts in Supabase Auth, over its REST interface."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

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

TIMEOUT_S = 10.0
BODY_BYTES_MAX = 1_000_000
PREFIX = "/auth/v1"


@dataclass(frozen=True, slots=True)
class Remote:
    """A Supabase project."""

    url: str
    anon_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Mapping[str, Any]


def sign_up(remote: Remote, email: str, password: str, data: Mapping[str, Any]) -> Signed:
    fields = {"email": email, "password": password, "data": dict(data)}
    answer = post(remote, "/signup", fields)
    # A project that confirms addresses hides that this one is known: a user without identities.
    user = answer.body.get("user", answer.body)
    if isinstance(user, dict) and user.get("identities") == []:
        raise EmailTakenError
    return signed_of(answer.body)


def sign_in(remote: Remote, email: str, password: str) -> Signed:
    fields = {"email": email, "password": password}
    return signed_of(post(remote, "/token?grant_type=password", fields).body)


def get_user(remote: Remote, access_token: str) -> User:
    """Raises BadTokenError for a token that the project does not accept (any more)."""
    answer = request(remote, "GET", "/user", token=access_token)
    if answer.status in (401, 403, 404):
        raise BadTokenError(f"the token is not valid: {reason_of(answer.body)}")
    return user_of(accepted(answer).body)


def post(remote: Remote, path: str, fields: Mapping[str, Any]) -> Answer:
    return accepted(request(remote, "POST", path, token=remote.anon_key, fields=fields))


def accepted(answer: Answer) -> Answer:
    """The answer, or the AuthError that it means."""
    if answer.status < 300:
        return answer
    raise error_of(answer)


def error_of(answer: Answer) -> AuthError:
    reason = reason_of(answer.body)
    code = str(answer.body.get("error_code") or answer.body.get("error") or "")
    if answer.status == 429 or code.endswith("rate_limit"):
        return TooManyRequestsError(reason)
    if answer.status >= 500:
        return AuthUnreachableError(f"Supabase Auth failed ({answer.status}): {reason}")
    match code:
        case "user_already_exists" | "email_exists":
            return EmailTakenError()
        case "weak_password":
            return WeakPasswordError(reason)
        case "invalid_credentials" | "invalid_grant" | "user_banned":
            return WrongCredentialsError()
        case "email_not_confirmed":
            return EmailNotConfirmedError()
        case "email_address_invalid":
            return BadEmailError(reason)
        case "validation_failed" if "email" in reason.lower():
            return BadEmailError(reason)
    return AuthError(reason)


def reason_of(body: Mapping[str, Any]) -> str:
    """Its words: newer and older versions name them differently."""
    for name in ("msg", "message", "error_description", "error"):
        if isinstance(body.get(name), str):
            return str(body[name])[:500]
    return "no reason given"


def signed_of(body: Mapping[str, Any]) -> Signed:
    """A session with its user, or a user alone whose address is to be confirmed."""
    try:
        if "access_token" not in body:
            return Signed(user_of(body), None)
        expires_at = datetime.fromtimestamp(
            body.get("expires_at") or time.time() + body["expires_in"], UTC
        )
        session = Session(str(body["access_token"]), body.get("refresh_token"), expires_at)
        return Signed(user_of(body["user"]), session)
    except (KeyError, TypeError, ValueError) as error:
        raise AuthUnreachableError(f"Supabase Auth answered without {error}") from error


def user_of(body: Mapping[str, Any]) -> User:
    try:
        return User(
            id=UUID(body["id"]),
            email=body.get("email") or None,
            role=body.get("role") or "authenticated",
            app_metadata=body.get("app_metadata") or {},
            user_metadata=body.get("user_metadata") or {},
            created_at=datetime.fromisoformat(body["created_at"]),
            email_confirmed_at=moment(body.get("email_confirmed_at")),
            last_sign_in_at=moment(body.get("last_sign_in_at")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AuthUnreachableError(f"Supabase Auth answered no user: {error}") from error


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def request(
    remote: Remote,
    method: str,
    path: str,
    *,
    token: str,
    fields: Mapping[str, Any] | None = None,
) -> Answer:
    """Ask once, following no redirect. Raises AuthUnreachableError."""
    headers = {
        "apikey": remote.anon_key,
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
    base = urlsplit(remote.url)
    connection = connect(base.scheme, base.hostname or "", base.port)
    try:
        content = None if fields is None else json.dumps(fields)
        connection.request(method, base.path.rstrip("/") + PREFIX + path, content, headers)
        response = connection.getresponse()
        return Answer(response.status, parse(read_capped(response)))
    except (OSError, HTTPException, ValueError) as error:
        raise AuthUnreachableError(f"Supabase Auth did not answer: {error}") from error
    finally:
        connection.close()


def connect(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme not in ("http", "https") or not host:
        raise ValueError("SUPABASE_URL must be like https://project.supabase.co")
    kind = HTTPSConnection if scheme == "https" else HTTPConnection
    return kind(host, port, timeout=TIMEOUT_S)


def read_capped(response: HTTPResponse) -> bytes:
    """The body. Raises ValueError beyond BODY_BYTES_MAX or TIMEOUT_S, however it trickles."""
    deadline = time.monotonic() + TIMEOUT_S
    body = b""
    while piece := response.read1(65_536):
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise ValueError(f"the answer is over {BODY_BYTES_MAX} bytes")
        if time.monotonic() > deadline:
            raise ValueError(f"the answer took over {TIMEOUT_S:.0f} s")
    return body


def parse(body: bytes) -> Mapping[str, Any]:
    """The JSON object of an answer; {} for an empty one. Raises ValueError."""
    parsed = json.loads(body or b"{}")
    if not isinstance(parsed, dict):
        raise ValueError("the answer is not a JSON object")
    return parsed
