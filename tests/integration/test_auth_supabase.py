"""What is particular to accounts in Supabase Auth."""

import json
from collections.abc import Iterator

import pytest

import db
from db import auth
from db.auth import AuthSettings
from tests.fakes_gotrue import GoTrue, gotrue


@pytest.fixture
def service() -> Iterator[GoTrue]:
    with gotrue() as running:
        yield running


def test_a_session_can_be_refreshed_by_a_client(service: GoTrue) -> None:
    signed = sign_up(service)

    assert signed.session is not None
    assert signed.session.refresh_token


def test_an_address_to_be_confirmed_gives_no_session(service: GoTrue) -> None:
    service.confirms_addresses = True

    signed = sign_up(service)

    assert (signed.user.email, signed.session) == ("user@example.com", None)


def test_an_unconfirmed_address_is_told_so(service: GoTrue) -> None:
    service.confirms_addresses = True
    sign_up(service)

    with pytest.raises(auth.EmailNotConfirmedError, match="inbox"):
        auth.sign_in(None, "user@example.com", "password", settings=settings_of(service))


def test_a_taken_address_is_found_behind_the_projects_disguise(service: GoTrue) -> None:
    service.confirms_addresses = True
    sign_up(service)

    with pytest.raises(auth.EmailTakenError):
        sign_up(service)


def test_an_expired_session_is_refused(service: GoTrue) -> None:
    signed = sign_up(service)
    service.secret = "another-secret-of-thirty-two-characters"

    assert signed.session is not None
    with pytest.raises(db.BadTokenError, match="invalid JWT"):
        auth.get_user(None, signed.session.access_token, settings=settings_of(service))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (429, {"error_code": "over_request_rate_limit", "msg": "slow"}, auth.TooManyRequestsError),
        (500, {"msg": "unexpected_failure"}, auth.AuthUnreachableError),
        (422, {"error_code": "signup_disabled", "msg": "Signups not allowed"}, auth.AuthError),
        (400, {"error": "invalid_grant", "error_description": "Invalid"},
         auth.WrongCredentialsError),
        (200, {"access_token": "x"}, auth.AuthUnreachableError),
        (200, {"id": "not an id", "created_at": "x"}, auth.AuthUnreachableError),
        (200, [], auth.AuthUnreachableError),
    ],
)  # fmt: skip
def test_each_answer_has_its_error(
    service: GoTrue, status: int, body: object, error: type[auth.AuthError]
) -> None:
    service.raw = (status, json.dumps(body).encode())

    with pytest.raises(auth.AuthError) as raised:
        auth.sign_in(None, "user@example.com", "password", settings=settings_of(service))

    assert type(raised.value) is error


@pytest.mark.parametrize("content", [b"<html>", b"x" * 1_000_001, b"\xff"])
def test_an_answer_that_is_none_is_unreachable(service: GoTrue, content: bytes) -> None:
    service.raw = (200, content)

    with pytest.raises(auth.AuthUnreachableError):
        sign_up(service)


def test_a_redirect_is_not_followed(service: GoTrue) -> None:
    service.raw = (302, b"{}")

    with pytest.raises(auth.AuthError):
        sign_up(service)


def test_a_service_that_is_down_is_unreachable() -> None:
    settings = AuthSettings("http://127.0.0.1:9", "key")

    with pytest.raises(auth.AuthUnreachableError, match="did not answer"):
        auth.sign_in(None, "user@example.com", "password", settings=settings)


def test_a_bad_address_of_the_project_is_named() -> None:
    settings = AuthSettings("file:///etc/passwd", "key")

    with pytest.raises(ValueError, match="SUPABASE_URL"):
        auth.sign_in(None, "user@example.com", "password", settings=settings)


def sign_up(service: GoTrue) -> auth.Signed:
    return auth.sign_up(None, "user@example.com", "password", settings=settings_of(service))


def settings_of(service: GoTrue) -> AuthSettings:
    return AuthSettings(service.url, service.anon_key)
