"""Agents of the caller; see agents.sql. Run these under `db.acting_as`. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Unpack
from uuid import UUID

from db import rows
from db.pool import Connection
from db.statements import load
from db.types.database_types import AgentsInsert, AgentsRow, AgentsUpdate

SQL = load("agents")

Agent = AgentsRow


@dataclass(frozen=True, slots=True)
class Analytics:
    """Figures of an agent; averages are None where there is nothing to average.

    `avg_response_time` is in milliseconds, `conversion_rate` is leads per conversation.
    """

    total_conversations: int
    total_messages: int
    total_leads: int
    avg_sentiment: Decimal | None
    positive_count: int
    neutral_count: int
    negative_count: int
    avg_response_time: Decimal | None
    conversion_rate: Decimal


def create(conn: Connection, **row: Unpack[AgentsInsert]) -> Agent:
    """Insert an agent. Raises UnknownColumnError, also for a column that triggers keep."""
    cursor = conn.cursor(row_factory=rows.of(Agent))
    created = cursor.execute(SQL.create, {"row": rows.checked(SQL.create, row)}).fetchone()
    assert created is not None
    return created


def get(conn: Connection, agent_id: UUID) -> Agent | None:
    """The agent; None where the caller sees none of this id."""
    cursor = conn.cursor(row_factory=rows.of(Agent))
    return cursor.execute(SQL.get, {"agent_id": agent_id}).fetchone()


def list(
    conn: Connection, user_id: UUID | None = None, *, limit: int = 50, offset: int = 0
) -> Sequence[Agent]:
    """The caller's agents, newest first; of one user where the caller sees those of many."""
    cursor = conn.cursor(row_factory=rows.of(Agent))
    page = rows.page(limit=limit, offset=offset)
    return cursor.execute(SQL.list, {"user_id": user_id, **page}).fetchall()


def update(conn: Connection, agent_id: UUID, **changes: Unpack[AgentsUpdate]) -> Agent | None:
    """Change the named columns; None where the caller has no such agent."""
    cursor = conn.cursor(row_factory=rows.of(Agent))
    row = rows.checked(SQL.update, changes)
    return cursor.execute(SQL.update, {"agent_id": agent_id, "row": row}).fetchone()


def delete(conn: Connection, agent_id: UUID) -> bool:
    """Delete the agent with all that hangs on it; False where the caller has no such agent."""
    return conn.execute(SQL.delete, {"agent_id": agent_id}).rowcount == 1


def get_analytics(
    conn: Connection,
    agent_id: UUID,
    start_date: date | datetime | str | None = None,
    end_date: date | datetime | str | None = None,
) -> Analytics:
    """Figures from the begin of `start_date` to the end of `end_date`; None is unbounded.

    For an agent that the caller does not own all of them are zero.
    """
    cursor = conn.cursor(row_factory=rows.of(Analytics))
    span = {"agent_id": agent_id, "start_date": start_date, "end_date": end_date}
    found = cursor.execute(SQL.get_analytics, span).fetchone()
    assert found is not None
    return found
