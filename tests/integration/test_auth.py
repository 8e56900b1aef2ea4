"""Accounts: the same claims for the embedded database and for Supabase Auth."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import db
from db import auth
from db.auth import AuthSettings
from db.pool import Connection
from tests.fakes_gotrue import gotrue

SECRET = "a-secret-of-at-least-thirty-two-characters"


@dataclass(frozen=True)
class Accounts:
    conn: Connection | None
    settings: AuthSettings

    def sign_up(self, email: str, password: str = "password") -> auth.Signed:
        return auth.sign_up(
            self.conn, email, password, {"full_name": "John Doe"}, settings=self.settings
        )

    def sign_in(self, email: str, password: str) -> auth.Signed:
        return auth.sign_in(self.conn, email, password, settings=self.settings)


@pytest.fixture(params=["embedded", "supabase"])
def accounts(request: pytest.FixtureRequest) -> Iterator[Accounts]:
    if request.param == "embedded":
        conn = request.getfixturevalue("conn")
        yield Accounts(conn, AuthSettings(jwt_secret=SECRET))
        return
    with gotrue() as service:
        yield Accounts(None, AuthSettings(service.url, service.anon_key))


def test_who_signed_up_can_sign_in_and_is_known(accounts: Accounts) -> None:
    created = accounts.sign_up("user@example.com")

    signed = accounts.sign_in("user@example.com", "password")
    assert signed.session is not None
    user = auth.get_user(accounts.conn, signed.session.access_token, settings=accounts.settings)

    assert user.id == created.user.id
    assert (user.email, user.role) == ("user@example.com", "authenticated")
    assert user.user_metadata == {"full_name": "John Doe"}


def test_addresses_are_compared_without_case(accounts: Accounts) -> None:
    accounts.sign_up("User@Example.com")

    signed = accounts.sign_in("uSER@example.com", "password")

    assert signed.user.email == "user@example.com"


def test_an_address_is_taken_once(accounts: Accounts) -> None:
    accounts.sign_up("user@example.com")

    with pytest.raises(auth.EmailTakenError, match="already"):
        accounts.sign_up("USER@example.com", "another password")


def test_a_wrong_password_and_an_unknown_address_have_one_answer(accounts: Accounts) -> None:
    accounts.sign_up("user@example.com")

    with pytest.raises(auth.WrongCredentialsError) as wrong:
        accounts.sign_in("user@example.com", "not it")
    with pytest.raises(auth.WrongCredentialsError) as unknown:
        accounts.sign_in("nobody@example.com", "not it")

    assert str(wrong.value) == str(unknown.value)


def test_a_weak_password_is_refused_with_its_rule(accounts: Accounts) -> None:
    with pytest.raises(auth.WeakPasswordError, match="at least 6 characters"):
        accounts.sign_up("user@example.com", "12345")


def test_what_is_no_address_is_refused(accounts: Accounts) -> None:
    with pytest.raises(auth.BadEmailError):
        accounts.sign_up("not an address")


def test_a_made_up_token_is_refused(accounts: Accounts) -> None:
    with pytest.raises(db.BadTokenError):
        auth.get_user(accounts.conn, "a.b.c", settings=accounts.settings)


def test_no_secret_is_printed(accounts: Accounts) -> None:
    signed = accounts.sign_up("user@example.com")

    assert signed.session is not None
    assert signed.session.access_token not in repr(signed)
    assert "the-anon-key" not in repr(accounts.settings)
    assert SECRET not in repr(accounts.settings)


def test_without_settings_the_message_names_them() -> None:
    with pytest.raises(ValueError, match="SUPABASE_URL with SUPABASE_ANON_KEY"):
        auth.sign_in(None, "user@example.com", "password", settings=AuthSettings())
