"""Accounts for tests of what a web user may do."""

from uuid import UUID, uuid4

from db.pool import Connection


def sign_up(conn: Connection, name: str) -> UUID:
    """A new account; its profile comes by itself."""
    user_id = uuid4()
    conn.execute(
        "INSERT INTO auth.users (id, email) VALUES (%s, %s)", (user_id, f"{name}@example.com")
    )
    return user_id
