"""Messages of the caller's conversations; see messages.sql. No function commits."""

from collections.abc import Sequence
from typing import Unpack
from uuid import UUID, uuid4

from db import rows
from db.pool import Connection
from db.statements import load
from db.types.database_types import MessagesInsert, MessagesRow

SQL = load("messages")

Message = MessagesRow

LISTED_MAX = 10_000


def create(conn: Connection, **row: Unpack[MessagesInsert]) -> Message:
    """Insert a message of any role into a conversation with one of the caller's agents."""
    cursor = conn.cursor(row_factory=rows.of(Message))
    created = cursor.execute(SQL.create, {"row": rows.checked(SQL.create, row)}).fetchone()
    assert created is not None
    return created


def send(conn: Connection, conversation_id: UUID, content: str) -> UUID:
    """Send a visitor's message to an active conversation; its id.

    For anonymous visitors too, who may not read it back.
    """
    message_id = uuid4()
    conn.execute(
        SQL.send, {"id": message_id, "conversation_id": conversation_id, "content": content}
    )
    return message_id


def list(conn: Connection, conversation_id: UUID, *, limit: int = LISTED_MAX) -> Sequence[Message]:
    """The first messages of a conversation, oldest first."""
    cursor = conn.cursor(row_factory=rows.of(Message))
    span = {"conversation_id": conversation_id, "limit": min(limit, LISTED_MAX)}
    return cursor.execute(SQL.list, span).fetchall()


def rate(conn: Connection, message_id: UUID, rating: int | None) -> Message | None:
    """Store a feedback rating: -1 and 1 for thumbs, or 1 to 5 stars."""
    cursor = conn.cursor(row_factory=rows.of(Message))
    return cursor.execute(SQL.rate, {"message_id": message_id, "rating": rating}).fetchone()
