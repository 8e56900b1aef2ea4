"""Accounts in the embedded database: bcrypt in auth.users, tokens with Supabase's claims."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import bcrypt
import jwt
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.acting import ALGORITHM, SIGNED_IN, BadTokenError, checked_secret, verify
from db.auth_answers import (
    BadEmailError,
    EmailTakenError,
    Session,
    Signed,
    User,
    WeakPasswordError,
    WrongCredentialsError,
)
from db.pool import Connection
from db.statements import load

SQL = load("auth")

# Supabase Auth's own defaults.
BCRYPT_COST = 10
PASSWORD_CHARS_MIN = 6
PASSWORD_BYTES_MAX = 72
TOKEN_LIFE_S = 3600
EMAIL_CHARS_MAX = 255
# The metadata travels in every token, and so in every request's headers.
METADATA_BYTES_MAX = 8_192
ISSUER = "avivro"
EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)+")
# Of no password. An unknown address is checked against it, so that it takes as long as any.
DECOY_HASH = b"$2b$10$T/rs/gf48CTIqCrIUvwQX.B05jzTNWSsGhGYvSdwjv6Rnswc/cx1a"


def sign_up(
    conn: Connection, email: str, password: str, data: Mapping[str, Any], *, secret: str
) -> Signed:
    """Insert the account; its profile comes by a trigger."""
    checked_secret(secret)
    address = checked_email(email)
    row = {
        "id": uuid4(),
        "email": address,
        "password_hash": hash_of(checked_password(password)),
        "data": Jsonb(checked_metadata(data)),
    }
    cursor = conn.cursor(row_factory=class_row(User))
    user = cursor.execute(SQL.insert_user, row).fetchone()
    if user is None:
        raise EmailTakenError
    return signed_in(user, secret=secret)


def sign_in(conn: Connection, email: str, password: str, *, secret: str) -> Signed:
    checked_secret(secret)
    user_id, password_hash = read_password_hash(conn, email)
    if not matches(password, password_hash) or user_id is None:
        raise WrongCredentialsError
    cursor = conn.cursor(row_factory=class_row(User))
    user = cursor.execute(SQL.touch_sign_in, {"id": user_id}).fetchone()
    if user is None:
        raise WrongCredentialsError
    return signed_in(user, secret=secret)


def get_user(conn: Connection, access_token: str, *, secret: str) -> User:
    """The account of a token; a deleted or banned one has none. Raises BadTokenError."""
    claims = verify(access_token, secret=secret)
    if claims["role"] != SIGNED_IN:
        raise BadTokenError("the token names no user")
    cursor = conn.cursor(row_factory=class_row(User))
    user = cursor.execute(SQL.load_user, {"id": claims["sub"]}).fetchone()
    if user is None:
        raise BadTokenError("the token's user is gone")
    return user


def checked_email(email: str) -> str:
    """The address as it is stored. Raises BadEmailError."""
    address = email.strip().lower()
    if len(address) > EMAIL_CHARS_MAX or not EMAIL.fullmatch(address):
        raise BadEmailError(f"{email[:80]!r} is not an e-mail address")
    return address


def checked_password(password: str) -> bytes:
    """The password's bytes. Raises WeakPasswordError."""
    if len(password) < PASSWORD_CHARS_MIN:
        raise WeakPasswordError(f"a password has at least {PASSWORD_CHARS_MIN} characters")
    if not is_hashable(password):
        raise WeakPasswordError(f"a password has at most {PASSWORD_BYTES_MAX} bytes of plain text")
    return password.encode()


def checked_metadata(data: Mapping[str, Any]) -> dict[str, Any]:
    size = len(json.dumps(data))
    if size > METADATA_BYTES_MAX:
        raise ValueError(f"the metadata is {size} bytes, limit {METADATA_BYTES_MAX}")
    return dict(data)


def is_hashable(password: str) -> bool:
    """Whether bcrypt takes it as it is, nothing cut off and nothing refused."""
    encoded = password.encode(errors="replace")
    return len(encoded) <= PASSWORD_BYTES_MAX and b"\0" not in encoded


def hash_of(password: bytes) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(BCRYPT_COST)).decode()


def read_password_hash(conn: Connection, email: str) -> tuple[UUID | None, bytes]:
    """(id, hash) of an account that may sign in, or (None, a hash that nothing matches)."""
    found = conn.execute(
        SQL.read_password_hash, {"email": email.strip().replace("\0", "")}
    ).fetchone()
    return (None, DECOY_HASH) if found is None else (found[0], found[1].encode())


def matches(password: str, password_hash: bytes) -> bool:
    if not is_hashable(password):
        bcrypt.checkpw(b"", DECOY_HASH)
        return False
    try:
        return bcrypt.checkpw(password.encode(errors="replace"), password_hash)
    except ValueError:  # The stored hash is of another kind: nobody signs in with it.
        return False


def signed_in(user: User, *, secret: str) -> Signed:
    now = datetime.now(UTC).replace(microsecond=0)
    expires_at = now + timedelta(seconds=TOKEN_LIFE_S)
    claims = claims_of(user, now=now, expires_at=expires_at, session_id=uuid4())
    token = jwt.encode(claims, secret, algorithm=ALGORITHM)
    return Signed(user, Session(token, refresh_token=None, expires_at=expires_at))


def claims_of(
    user: User, *, now: datetime, expires_at: datetime, session_id: UUID
) -> dict[str, Any]:
    """The claims of Supabase Auth's own tokens."""
    return {
        "iss": ISSUER,
        "sub": str(user.id),
        "aud": SIGNED_IN,
        "iat": now,
        "exp": expires_at,
        "email": user.email,
        "phone": "",
        "role": SIGNED_IN,
        "app_metadata": user.app_metadata,
        "user_metadata": user.user_metadata,
        "aal": "aal1",
        "amr": [{"method": "password", "timestamp": int(now.timestamp())}],
        "session_id": str(session_id),
        "is_anonymous": False,
    }
