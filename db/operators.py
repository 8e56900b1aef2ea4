"""Statements about operators and their sessions; see operators.sql. No function commits."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("operators")

# What each role may do, the next one may, too.
ROLES = ("viewer", "operator", "admin")
ORIGINS = ("password", "header", "oidc")
# Of a list of operators, and of one operator's sessions.
ROWS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who is logged in. `origin` is password, header or oidc."""

    id: UUID
    name: str
    role: str
    origin: str = "password"
    must_change_password: bool = False

    def may(self, role: str) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Account:
    """An operator as they are kept; the hash is None once a one-time password was used."""

    id: UUID
    name: str
    role: str
    origin: str
    password_hash: str | None = field(repr=False)
    must_change_password: bool
    subject: str | None
    created_at: datetime
    seen_at: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    id: UUID
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    user_agent: str | None
    address: str
    is_this: bool


def lock_operators(conn: Connection) -> None:
    """Nobody else changes who is there until the transaction ends."""
    conn.execute(SQL.lock_operators)


def has_operators(conn: Connection) -> bool:
    row = conn.execute(SQL.has_operators).fetchone()
    assert row is not None
    return bool(row[0])


def insert_operator(
    conn: Connection,
    name: str,
    *,
    role: str,
    origin: str = "password",
    password_hash: str | None = None,
    must_change_password: bool = False,
    subject: str | None = None,
) -> UUID | None:
    """The new operator's id; None where the name is taken."""
    row = conn.execute(
        SQL.insert_operator,
        {
            "name": name,
            "origin": origin,
            "role": role,
            "password_hash": password_hash,
            "must_change_password": must_change_password,
            "subject": subject,
        },
    ).fetchone()
    return None if row is None else row[0]


def find_operator(conn: Connection, name: str) -> Account | None:
    """Whoever has this name, in whatever case."""
    cursor = conn.cursor(row_factory=class_row(Account))
    return cursor.execute(SQL.find_operator, {"name": name}).fetchone()


def find_operator_of_subject(conn: Connection, subject: str) -> Account | None:
    """Whoever the identity provider means by this; their name may have changed there."""
    cursor = conn.cursor(row_factory=class_row(Account))
    return cursor.execute(SQL.find_operator_of_subject, {"subject": subject}).fetchone()


def bind_subject(conn: Connection, operator_id: UUID, *, subject: str) -> bool:
    """Whether they had none before."""
    row = conn.execute(SQL.bind_subject, {"operator_id": operator_id, "subject": subject})
    return row.fetchone() is not None


def list_operators(conn: Connection) -> list[Account]:
    cursor = conn.cursor(row_factory=class_row(Account))
    return cursor.execute(SQL.list_operators, {"rows_max": ROWS_MAX}).fetchall()


def is_last_admin(conn: Connection, operator_id: UUID) -> bool:
    row = conn.execute(SQL.is_last_admin, {"operator_id": operator_id}).fetchone()
    assert row is not None
    return bool(row[0])


def set_role(conn: Connection, operator_id: UUID, *, role: str) -> None:
    conn.execute(SQL.set_role, {"operator_id": operator_id, "role": role})


def set_password(
    conn: Connection, operator_id: UUID, *, password_hash: str, must_change_password: bool
) -> None:
    conn.execute(
        SQL.set_password,
        {
            "operator_id": operator_id,
            "password_hash": password_hash,
            "must_change_password": must_change_password,
        },
    )


def replace_hash(
    conn: Connection, operator_id: UUID, *, judged: str, password_hash: str | None
) -> bool:
    """Whether `judged` was still theirs; None takes a one-time password away."""
    row = conn.execute(
        SQL.replace_hash,
        {"operator_id": operator_id, "judged": judged, "password_hash": password_hash},
    ).fetchone()
    return row is not None


def set_disabled(conn: Connection, operator_id: UUID, *, disabled: bool) -> None:
    conn.execute(SQL.set_disabled, {"operator_id": operator_id, "disabled": disabled})


def insert_session(
    conn: Connection,
    operator_id: UUID,
    *,
    token_hash: bytes,
    lasts_s: float,
    user_agent: str,
    address: str = "",
) -> None:
    conn.execute(
        SQL.insert_session,
        {
            "operator_id": operator_id,
            "token_hash": token_hash,
            "lasts_s": lasts_s,
            "user_agent": user_agent,
            "address": address,
        },
    )


def find_by_session(
    conn: Connection, *, token_hash: bytes, idle_s: float, is_activity: bool
) -> Operator | None:
    """Who is logged in with this token; None when it ended, rested too long, or was locked out."""
    cursor = conn.cursor(row_factory=class_row(Operator))
    return cursor.execute(
        SQL.find_by_session,
        {"token_hash": token_hash, "idle_s": idle_s, "is_activity": is_activity},
    ).fetchone()


def list_sessions(
    conn: Connection, operator_id: UUID, *, token_hash: bytes, idle_s: float
) -> list[Session]:
    """Newest first; `token_hash` is the one that asks."""
    cursor = conn.cursor(row_factory=class_row(Session))
    return cursor.execute(
        SQL.list_sessions,
        {
            "operator_id": operator_id,
            "token_hash": token_hash,
            "idle_s": idle_s,
            "rows_max": ROWS_MAX,
        },
    ).fetchall()


def delete_session(conn: Connection, *, token_hash: bytes) -> bool:
    return conn.execute(SQL.delete_session, {"token_hash": token_hash}).rowcount > 0


def delete_session_of(conn: Connection, operator_id: UUID, *, session_id: UUID) -> bool:
    row = conn.execute(
        SQL.delete_session_of, {"operator_id": operator_id, "session_id": session_id}
    )
    return row.rowcount > 0


def delete_sessions(conn: Connection, operator_id: UUID, *, kept: bytes | None = None) -> int:
    """How many ended; the one with the token hash `kept` goes on."""
    return conn.execute(SQL.delete_sessions, {"operator_id": operator_id, "kept": kept}).rowcount
