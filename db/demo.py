"""Statements of `avivro demo`; see demo.sql."""

from uuid import UUID

from db.pool import Connection
from db.statements import load

SQL = load("demo")


def ensure_user(conn: Connection, *, email: str, full_name: str) -> UUID:
    """The user of this address, signed up if there is none."""
    row = conn.execute(SQL.ensure_user, {"email": email, "full_name": full_name}).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def create_agent(
    conn: Connection, *, user_id: UUID, name: str, description: str, system_prompt: str
) -> UUID:
    """A published agent."""
    row = conn.execute(
        SQL.create_agent,
        {
            "user_id": user_id,
            "name": name,
            "description": description,
            "system_prompt": system_prompt,
        },
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def list_sections(conn: Connection, *, agent_id: UUID, limit: int) -> list[str]:
    """Titles of sections in the agent's knowledge."""
    rows = conn.execute(SQL.list_sections, {"agent_id": agent_id, "limit": limit}).fetchall()
    return [row[0] for row in rows]
