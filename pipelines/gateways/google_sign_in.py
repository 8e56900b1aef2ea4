"""Access tokens of Google from what a customer entered, fetched through the guarded client."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials as UserCredentials
from yarl import URL

from pipelines.credentials import Credentials
from pipelines.errors import Permanent
from pipelines.gateways.adapters import Sender, send
from pipelines.gateways.drive_failures import SIGN_IN, translate

SCOPES = ("https://www.googleapis.com/auth/drive.readonly",)
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address, no secret
NEEDED = (
    "the credentials of this source must hold the JSON key of a service account, or a "
    "refresh_token with client_id and client_secret, or an access_token"
)

# The package has no types of its own.
_read_key: Any = service_account.Credentials.from_service_account_info
_user_credentials: Any = UserCredentials


class SignIn:
    """`token()` fetches one when none is there; `renew()` says that it was refused."""

    def __init__(self, sender: Sender, credentials: Credentials, *, base_url: str | None) -> None:
        self._request = _Request(sender)
        self._account = _service_account(credentials, _token_uri(base_url))
        self._signing = self._account or _user(credentials, _token_uri(base_url))
        self._token: str | None = None
        if self._signing is None:
            self._token = credentials.text("access_token")

    @property
    def is_service_account(self) -> bool:
        """Such an account sees what was shared with it on purpose, and nothing else."""
        return self._account is not None

    def token(self) -> str:
        """Raises Permanent where Google refuses the sign-in, or Transient."""
        if self._token is None:
            self._token = self._fetch()
        return self._token

    def renew(self) -> bool:
        """Forget the token; False where there is no way to another one."""
        if self._signing is None:
            return False
        self._token = None
        return True

    def _fetch(self) -> str:
        assert self._signing is not None
        try:
            self._signing.refresh(self._request)
        except GoogleAuthError as error:
            raise Permanent(SIGN_IN) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Permanent("the server did not answer as Google's sign-in does") from error
        if not isinstance(self._signing.token, str):
            raise Permanent(SIGN_IN)
        return self._signing.token


def _token_uri(base_url: str | None) -> str:
    """A server of one's own signs in by itself."""
    try:
        return TOKEN_URI if base_url is None else str(URL(base_url.strip()).origin() / "token")
    except ValueError as error:
        raise Permanent("settings.base_url is no http or https address") from error


def _service_account(credentials: Credentials, token_uri: str) -> Any:
    """Google's own object; None where the credentials hold no such key."""
    given = credentials.values
    for name in ("service_account", "service_account_json"):
        given = _object(given[name]) if name in given else given
    if "private_key" not in given:
        return None
    told = {"token_uri": token_uri, **given}
    try:
        account = _read_key(told, scopes=SCOPES)
    except (GoogleAuthError, ValueError, TypeError) as error:
        raise Permanent(
            "the service account's key cannot be read: enter the whole JSON file from Google Cloud"
        ) from error
    subject = credentials.values.get("subject")
    return account.with_subject(subject) if isinstance(subject, str) and subject else account


def _object(value: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Permanent(NEEDED)
    return found


def _user(credentials: Credentials, token_uri: str) -> Any:
    if "refresh_token" not in credentials.values:
        if "access_token" not in credentials.values:
            raise Permanent(NEEDED)
        return None
    given = credentials.values.get("token_uri")
    return _user_credentials(
        None,
        refresh_token=credentials.text("refresh_token"),
        token_uri=given if isinstance(given, str) and given else token_uri,
        client_id=credentials.text("client_id"),
        client_secret=credentials.text("client_secret"),
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer as google-auth reads it."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Request:
    """What google-auth sends with; a busy server comes up as Transient, and is not asked twice."""

    sender: Sender

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Answer:
        answer = send(self.sender, url, method=method, headers=headers, body=body)
        if answer.status in (408, 429) or answer.status >= 500:
            raise translate(answer)
        return _Answer(answer.status, answer.headers, answer.body)
