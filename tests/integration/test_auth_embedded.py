"""What is particular to accounts in the embedded database."""

from typing import Any

import bcrypt
import jwt
import pytest

import db
from db import auth
from db.auth import AuthSettings
from db.pool import Connection, connect

SECRET = "a-secret-of-at-least-thirty-two-characters"
SETTINGS = AuthSettings(jwt_secret=SECRET)


def test_signing_up_makes_the_profile(conn: Connection) -> None:
    signed = sign_up(conn)

    with db.acting_as(conn, signed.user.id):
        profile = conn.execute("SELECT full_name, email FROM public.user_profiles").fetchone()

    assert profile == ("John Doe", "user@example.com")


def test_the_token_acts_as_its_user(conn: Connection) -> None:
    signed = sign_up(conn)

    with db.acting_as_claims(conn, token_of(signed), secret=SECRET):
        agent = db.agents.create(conn, user_id=signed.user.id, name="mine")

    assert agent.user_id == signed.user.id


def test_the_token_carries_supabases_claims(conn: Connection) -> None:
    signed = sign_up(conn)

    claims = claims_of(signed)

    assert set(claims) >= {"iss", "sub", "aud", "exp", "iat", "email", "role", "app_metadata",
                           "user_metadata", "aal", "amr", "session_id", "is_anonymous"}  # fmt: skip
    assert (claims["sub"], claims["role"]) == (str(signed.user.id), "authenticated")
    assert claims["app_metadata"] == {"provider": "email", "providers": ["email"]}
    assert claims["exp"] - claims["iat"] == 3600


def test_each_session_has_its_own_id(conn: Connection) -> None:
    first = sign_up(conn)

    second = auth.sign_in(conn, "user@example.com", "password", settings=SETTINGS)

    assert claims_of(first)["session_id"] != claims_of(second)["session_id"]


def test_a_password_is_kept_as_bcrypt_only(conn: Connection) -> None:
    sign_up(conn)

    row = conn.execute("SELECT encrypted_password, u::text FROM auth.users AS u").fetchone()

    assert row is not None
    assert row[0].startswith("$2b$10$")
    assert "password" not in row[1]


def test_supabases_own_hashes_are_understood(conn: Connection) -> None:
    sign_up(conn)
    theirs = bcrypt.hashpw(b"from supabase", bcrypt.gensalt(4, prefix=b"2a")).decode()
    conn.execute("UPDATE auth.users SET encrypted_password = %s", (theirs,))

    signed = auth.sign_in(conn, "user@example.com", "from supabase", settings=SETTINGS)

    assert signed.user.email == "user@example.com"


@pytest.mark.parametrize(
    "change",
    ["banned_until = now() + interval '1 day'", "deleted_at = now()",
     "encrypted_password = NULL", "encrypted_password = 'unusable'"],
)  # fmt: skip
def test_a_closed_account_looks_like_an_unknown_one(conn: Connection, change: str) -> None:
    sign_up(conn)
    conn.execute(f"UPDATE auth.users SET {change}".encode())

    with pytest.raises(auth.WrongCredentialsError):
        auth.sign_in(conn, "user@example.com", "password", settings=SETTINGS)


def test_a_deleted_users_token_is_worth_nothing(conn: Connection) -> None:
    signed = sign_up(conn)
    conn.execute("DELETE FROM auth.users")

    with pytest.raises(db.BadTokenError, match="gone"):
        auth.get_user(conn, token_of(signed), settings=SETTINGS)


def test_a_taken_address_leaves_the_callers_transaction_usable(database_url: str) -> None:
    with connect(database_url) as running:
        sign_up(running)

        with pytest.raises(auth.EmailTakenError):
            sign_up(running)

        assert running.execute("SELECT count(*) FROM auth.users").fetchone() == (1,)


@pytest.mark.parametrize("password", ["p" * 73, "é" * 37, "zero\0byte"])
def test_a_password_that_bcrypt_would_cut_is_refused(conn: Connection, password: str) -> None:
    with pytest.raises(auth.WeakPasswordError, match="72 bytes"):
        sign_up(conn, password=password)


def test_more_than_the_password_is_not_the_password(conn: Connection) -> None:
    sign_up(conn, password="p" * 72)

    with pytest.raises(auth.WrongCredentialsError):
        auth.sign_in(conn, "user@example.com", "p" * 73, settings=SETTINGS)


@pytest.mark.parametrize(
    "email", ["", "@", "a@b", "a b@example.com", "a@example..com", "a@b.\ncd", "x" * 251 + "@b.cd",
              "a@b@c.de", "a\0b@example.com"]
)  # fmt: skip
def test_odd_addresses_are_refused(conn: Connection, email: str) -> None:
    with pytest.raises(auth.BadEmailError):
        sign_up(conn, email=email)


def test_metadata_that_would_burst_the_token_is_refused(conn: Connection) -> None:
    with pytest.raises(ValueError, match="limit 8192"):
        auth.sign_up(conn, "a@b.cd", "password", {"x": "y" * 9000}, settings=SETTINGS)


def test_an_unknown_address_costs_as_many_hashes_as_a_wrong_password(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_up(conn)
    checked: list[bytes] = []
    real = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        checked.append(hashed[:7])
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)

    for email in ("user@example.com", "nobody@example.com"):
        with pytest.raises(auth.WrongCredentialsError):
            auth.sign_in(conn, email, "not it", settings=SETTINGS)

    assert checked == [b"$2b$10$", b"$2b$10$"]


def sign_up(
    conn: Connection, *, email: str = "user@example.com", password: str = "password"
) -> auth.Signed:
    return auth.sign_up(conn, email, password, {"full_name": "John Doe"}, settings=SETTINGS)


def token_of(signed: auth.Signed) -> str:
    assert signed.session is not None
    return signed.session.access_token


def claims_of(signed: auth.Signed) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        token_of(signed), SECRET, algorithms=["HS256"], audience="authenticated"
    )
    return claims
