"""Statements about operators and their sessions; see operators.sql. No function commits."""

from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("operators")

# What each role may do, the next one may, too.
ROLES = ("viewer", "operator", "admin")


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


def insert_operator(
    conn: Connection,
    name: str,
    *,
    role: str,
    origin: str = "password",
    password_hash: str | None = None,
    must_change_password: bool = False,
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
        },
    ).fetchone()
    return None if row is None else row[0]


def insert_session(
    conn: Connection, operator_id: UUID, *, token_hash: bytes, lasts_s: float, user_agent: str
) -> None:
    conn.execute(
        SQL.insert_session,
        {
            "operator_id": operator_id,
            "token_hash": token_hash,
            "lasts_s": lasts_s,
            "user_agent": user_agent,
        },
    )


def find_by_session(conn: Connection, *, token_hash: bytes) -> Operator | None:
    """Who is logged in with this token; None when it ended, or they were locked out."""
    cursor = conn.cursor(row_factory=class_row(Operator))
    return cursor.execute(SQL.find_by_session, {"token_hash": token_hash}).fetchone()
