"""Statements about scores of messages and conversations; see sentiment.sql. None commits."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.rows import to_json
from db.statements import load

SQL = load("sentiment")

Label = Literal["negative", "neutral", "positive"]


@dataclass(frozen=True, slots=True)
class Agent:
    user_id: UUID
    is_enabled: bool
    time_zone: str


@dataclass(frozen=True, slots=True)
class Mark:
    id: int
    conversation_id: UUID


@dataclass(frozen=True, slots=True)
class Unscored:
    """A visitor's message. `text` is at most twice the asked characters: both ends."""

    id: UUID
    conversation_id: UUID
    content_hash: str
    text: str


@dataclass(frozen=True, slots=True)
class MessageScore:
    """What to store of a message whose content still has that hash."""

    message_id: UUID
    conversation_id: UUID
    content_hash: str
    score: float
    label: Label
    confidence: float
    emotions: Mapping[str, float]
    topics: Sequence[str]
    keywords: Sequence[str]
    judge: str


@dataclass(frozen=True, slots=True)
class ConversationScore:
    conversation_id: UUID
    score: float
    label: Label
    confidence: float
    emotions: Mapping[str, float]
    topics: Sequence[str]
    keywords: Sequence[str]
    judge: str


@dataclass(frozen=True, slots=True)
class Scored:
    """A message's score as it is stored. `label` is None where only the web tier's score is."""

    conversation_id: UUID
    score: float
    label: Label | None
    confidence: float
    emotions: Mapping[str, float]
    topics: Sequence[str]
    keywords: Sequence[str]
    judge: str


@dataclass(frozen=True, slots=True)
class Billed:
    """A provider's answer, by what it costs."""

    model: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class MarkedPage:
    """What one page of a range had; the next page begins behind `last_at` and `last_id`."""

    marked_conversations: int
    unscored_messages: int
    last_at: datetime
    last_id: UUID


@dataclass(frozen=True, slots=True)
class ShownConversation:
    id: UUID
    agent_id: UUID
    score: Decimal | None
    label: Label | None
    confidence: Decimal | None
    emotions: Mapping[str, float] | None
    topics: Sequence[str] | None
    keywords: Sequence[str] | None
    judge: str | None


@dataclass(frozen=True, slots=True)
class ShownMessage:
    id: UUID
    created_at: datetime
    score: Decimal | None
    label: Label | None
    confidence: Decimal | None
    emotions: Mapping[str, float] | None
    topics: Sequence[str] | None
    keywords: Sequence[str] | None
    judge: str | None
    text: str


def plan_by_index(conn: Connection) -> None:
    """Until the end of the transaction."""
    conn.execute(SQL.plan_by_index)


def load_agent(conn: Connection, agent_id: UUID) -> Agent | None:
    cursor = conn.cursor(row_factory=class_row(Agent))
    return cursor.execute(SQL.load_agent, {"agent_id": agent_id}).fetchone()


def list_marks(conn: Connection, agent_id: UUID, *, rows_max: int) -> list[Mark]:
    cursor = conn.cursor(row_factory=class_row(Mark))
    return cursor.execute(SQL.list_marks, {"agent_id": agent_id, "rows_max": rows_max}).fetchall()


def list_unscored(
    conn: Connection,
    agent_id: UUID,
    conversation_ids: Sequence[UUID],
    *,
    chars_max: int,
    rows_max: int,
) -> list[Unscored]:
    """Visitors' messages without a score, the oldest first."""
    cursor = conn.cursor(row_factory=class_row(Unscored))
    return cursor.execute(
        SQL.list_unscored,
        {
            "agent_id": agent_id,
            "conversation_ids": [*conversation_ids],
            "chars_max": chars_max,
            "rows_max": rows_max,
        },
    ).fetchall()


def lock_owner(conn: Connection, agent_id: UUID) -> None:
    """Nobody deletes the agent's owner until the transaction ends."""
    conn.execute(SQL.lock_owner, {"agent_id": agent_id})


def lock_agent(conn: Connection, agent_id: UUID) -> bool:
    """Nobody deletes the agent until the transaction ends; False where it is gone."""
    return conn.execute(SQL.lock_agent, {"agent_id": agent_id}).fetchone() is not None


def lock_conversations(
    conn: Connection, agent_id: UUID, conversation_ids: Sequence[UUID]
) -> set[UUID]:
    """Those that are there, and the agent's."""
    found = conn.execute(
        SQL.lock_conversations,
        {"agent_id": agent_id, "conversation_ids": [*conversation_ids]},
    )
    return {row[0] for row in found}


def store_scores(conn: Connection, agent_id: UUID, scores: Sequence[MessageScore]) -> set[UUID]:
    """Messages that took their score: text and place unchanged, unscored, held by nobody else."""
    stored = conn.execute(SQL.store_scores, {"agent_id": agent_id, "scores": as_json(scores)})
    return {row[0] for row in stored}


def find_settled(conn: Connection, conversation_ids: Sequence[UUID]) -> set[UUID]:
    found = conn.execute(SQL.find_settled, {"conversation_ids": [*conversation_ids]})
    return {row[0] for row in found}


def list_scored(
    conn: Connection, conversation_ids: Sequence[UUID], *, messages_max: int
) -> list[Scored]:
    """The latest scored messages of each conversation, oldest first, one after the other."""
    cursor = conn.cursor(row_factory=class_row(Scored))
    return cursor.execute(
        SQL.list_scored,
        {"conversation_ids": [*conversation_ids], "messages_max": messages_max},
    ).fetchall()


def store_conversations(
    conn: Connection, agent_id: UUID, scores: Sequence[ConversationScore]
) -> None:
    conn.execute(SQL.store_conversations, {"agent_id": agent_id, "scores": as_json(scores)})


def clear_conversations(conn: Connection, conversation_ids: Sequence[UUID]) -> None:
    conn.execute(SQL.clear_conversations, {"conversation_ids": [*conversation_ids]})


def log_calls(
    conn: Connection, agent_id: UUID, user_id: UUID, calls: Sequence[Billed], *, job_id: int
) -> None:
    conn.execute(
        SQL.log_calls,
        {"agent_id": agent_id, "user_id": user_id, "calls": as_json(calls), "job_id": job_id},
    )


def hand_on_marks(conn: Connection, mark_ids: Sequence[int]) -> int:
    """How many marks belong to another agent now."""
    return conn.execute(SQL.hand_on_marks, {"mark_ids": [*mark_ids]}).rowcount


def delete_marks(
    conn: Connection, agent_id: UUID, mark_ids: Sequence[int], conversation_ids: Sequence[UUID]
) -> int:
    """Delete those of the marks that are of these conversations, and still the agent's."""
    return conn.execute(
        SQL.delete_marks,
        {
            "agent_id": agent_id,
            "mark_ids": [*mark_ids],
            "conversation_ids": [*conversation_ids],
        },
    ).rowcount


def drop_marks(conn: Connection, agent_id: UUID, *, rows_max: int) -> int:
    """Delete marks of an agent that wants no scores; 0 where it does."""
    return conn.execute(SQL.drop_marks, {"agent_id": agent_id, "rows_max": rows_max}).rowcount


def mark_range(
    conn: Connection,
    agent_id: UUID,
    *,
    start_date: date | None,
    end_date: date | None,
    again: bool,
    after: MarkedPage | None,
    conversations_max: int,
) -> MarkedPage | None:
    """Mark a page of the agent's conversations behind `after`; None where there is none."""
    cursor = conn.cursor(row_factory=class_row(MarkedPage))
    return cursor.execute(
        SQL.mark_range,
        {
            "agent_id": agent_id,
            "start_date": start_date,
            "end_date": end_date,
            "again": again,
            "after_at": None if after is None else after.last_at,
            "after_id": None if after is None else after.last_id,
            "conversations_max": conversations_max,
        },
    ).fetchone()


def load_conversation(conn: Connection, conversation_id: UUID) -> ShownConversation | None:
    cursor = conn.cursor(row_factory=class_row(ShownConversation))
    return cursor.execute(SQL.load_conversation, {"conversation_id": conversation_id}).fetchone()


def list_messages(
    conn: Connection, conversation_id: UUID, *, chars_max: int, rows_max: int
) -> list[ShownMessage]:
    """Visitors' messages with their scores, the oldest first."""
    cursor = conn.cursor(row_factory=class_row(ShownMessage))
    return cursor.execute(
        SQL.list_messages,
        {"conversation_id": conversation_id, "chars_max": chars_max, "rows_max": rows_max},
    ).fetchall()


def as_json(rows: Sequence[MessageScore] | Sequence[ConversationScore] | Sequence[Billed]) -> Jsonb:
    return Jsonb([asdict(row) for row in rows], dumps=to_json)
