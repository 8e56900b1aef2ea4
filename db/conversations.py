"""Conversations of the caller's agents; see conversations.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Unpack
from uuid import UUID, uuid4

from db import messages, rows
from db.messages import Message
from db.pool import Connection
from db.statements import load
from db.types.database_types import (
    ConversationsInsert,
    ConversationsRow,
    ConversationsSentimentLabel,
    ConversationsSource,
    ConversationsStatus,
    ConversationsUpdate,
)

SQL = load("conversations")

Conversation = ConversationsRow


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation in a list; `total_count` is that of all that match, on every page."""

    id: UUID
    agent_id: UUID
    visitor_id: str
    visitor_name: str | None
    visitor_email: str | None
    visitor_phone: str | None
    source: ConversationsSource
    status: ConversationsStatus
    sentiment_score: Decimal | None
    sentiment_label: ConversationsSentimentLabel | None
    is_lead: bool
    lead_captured_at: datetime | None
    message_count: int
    duration_seconds: int
    last_message: str | None
    created_at: datetime
    updated_at: datetime
    total_count: int


@dataclass(frozen=True, slots=True)
class ConversationWithMessages(Conversation):
    """A conversation and its messages, oldest first."""

    messages: Sequence[Message]


def list(
    conn: Connection,
    agent_id: UUID,
    *,
    status: ConversationsStatus | None = None,
    search_term: str | None = None,
    start_date: date | datetime | str | None = None,
    end_date: date | datetime | str | None = None,
    limit: int = 20,
    offset: int = 0,
) -> Sequence[Listed]:
    """Conversations, newest first. `search_term` is plain text, looked for in the visitor and in
    the messages; an `end_date` without a time includes that day.
    """
    filters = {
        "agent_id": agent_id,
        "status": status,
        "search_term": search_term,
        "start_date": start_date,
        "end_date": end_date,
        **rows.page(limit=limit, offset=offset),
    }
    return conn.cursor(row_factory=rows.of(Listed)).execute(SQL.list, filters).fetchall()


def get(conn: Connection, conversation_id: UUID) -> Conversation | None:
    cursor = conn.cursor(row_factory=rows.of(Conversation))
    return cursor.execute(SQL.get, {"conversation_id": conversation_id}).fetchone()


def get_with_messages(conn: Connection, conversation_id: UUID) -> ConversationWithMessages | None:
    """The conversation with up to messages.LISTED_MAX messages; None where the caller sees none."""
    found = get(conn, conversation_id)
    if found is None:
        return None
    columns = {field.name: getattr(found, field.name) for field in fields(found)}
    return ConversationWithMessages(**columns, messages=messages.list(conn, conversation_id))


def open(conn: Connection, **row: Unpack[ConversationsInsert]) -> UUID:
    """Begin a visitor's conversation with a published agent, or one of the caller's; its id.

    For anonymous visitors too, who may not read it: who knows the id may write to it.
    """
    conversation_id = row.setdefault("id", uuid4())
    conn.execute(SQL.open, {"row": rows.checked(SQL.open, row)})
    return conversation_id


def update(
    conn: Connection, conversation_id: UUID, **changes: Unpack[ConversationsUpdate]
) -> Conversation | None:
    """Change the named columns; None where the caller has no such conversation."""
    cursor = conn.cursor(row_factory=rows.of(Conversation))
    row = rows.checked(SQL.update, changes)
    return cursor.execute(SQL.update, {"conversation_id": conversation_id, "row": row}).fetchone()
