"""Run statements as a web user: under their row-level security, inside one transaction."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import jwt as pyjwt
from psycopg.pq import TransactionStatus

from db.pool import Connection
from db.statements import load

SQL = load("acting")

WEB_ROLES = ("anon", "authenticated", "service_role")
ANON = {"role": "anon"}
SIGNED_IN = "authenticated"
ALGORITHM = "HS256"
# As PostgREST allows: clocks of two machines differ.
LEEWAY_S = 30
SECRET_CHARS_MIN = 32


class BadTokenError(ValueError):
    """A token that proves nothing: expired, of another project, or made up."""


@contextmanager
def acting_as(conn: Connection, user_id: UUID | str) -> Iterator[Connection]:
    """Within the block `conn` is this signed-in user.

    Opens a transaction, or a savepoint within the one that runs. The rights `conn` had come back
    at the end, and after an error, which also undoes what the block wrote.
    """
    with acting(conn, claims_of_user(user_id)):
        yield conn


@contextmanager
def acting_as_anon(conn: Connection) -> Iterator[Connection]:
    """Within the block `conn` is a visitor who never signed in."""
    with acting(conn, ANON):
        yield conn


@contextmanager
def acting_as_claims(conn: Connection, jwt: str, *, secret: str) -> Iterator[Connection]:
    """Within the block `conn` is whom a token names. Raises BadTokenError before anything runs."""
    with acting(conn, verify(jwt, secret=secret)):
        yield conn


@contextmanager
def acting(conn: Connection, claims: Mapping[str, Any]) -> Iterator[Connection]:
    """Within the block `conn` has these claims, which somebody has verified, and their role."""
    # A transaction of the block's own takes the settings with it. Leaving a savepoint does not,
    # unless by an error.
    before = None if is_between_transactions(conn) else read_actor(conn)
    with conn.transaction():
        set_actor(conn, role=str(claims["role"]), claims=json.dumps(claims))
        yield conn
        if before is not None:
            set_actor(conn, role=before[0], claims=before[1])


def is_between_transactions(conn: Connection) -> bool:
    return conn.autocommit and conn.info.transaction_status == TransactionStatus.IDLE


def claims_of_user(user_id: UUID | str) -> dict[str, Any]:
    return {"sub": str(UUID(str(user_id))), "role": SIGNED_IN, "aud": SIGNED_IN}


def verify(jwt: str, *, secret: str) -> dict[str, Any]:
    """The claims of a token that was signed with the project's JWT secret (HS256).

    Raises BadTokenError with the reason.
    """
    try:
        claims: dict[str, Any] = pyjwt.decode(
            jwt,
            checked_secret(secret),
            algorithms=[ALGORITHM],
            leeway=LEEWAY_S,
            options={"require": ["exp"], "verify_aud": False},
        )
    except pyjwt.PyJWTError as error:
        raise BadTokenError(f"the token is not valid: {error}") from error
    if claims.get("role") not in WEB_ROLES:
        raise BadTokenError(f"the token's role is {claims.get('role')!r}, not one of {WEB_ROLES}")
    if claims["role"] == SIGNED_IN and not is_uuid(claims.get("sub")):
        raise BadTokenError("the token names no user")
    return claims


def checked_secret(secret: str) -> str:
    if len(secret) < SECRET_CHARS_MIN:
        raise ValueError(f"JWT_SECRET has {len(secret)} characters, minimum {SECRET_CHARS_MIN}")
    return secret


def is_uuid(value: object) -> bool:
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True


def read_actor(conn: Connection) -> tuple[str, str]:
    """(role, claims) of the running transaction; begins one where none runs."""
    row = conn.execute(SQL.read_actor).fetchone()
    assert row is not None
    return row[0], row[1]


def set_actor(conn: Connection, *, role: str, claims: str) -> None:
    conn.execute(SQL.set_actor, {"role": role, "claims": claims})
