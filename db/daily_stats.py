"""Figures of an agent's day; see daily_stats.sql. No function commits.

Days are dates in the time zone of the agent's owner. To recompute some by hand, in one
transaction: `hold_agents`, `lock_agents`, `recompute_days`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from db.pool import Connection
from db.statements import load

SQL = load("daily_stats")


@dataclass(frozen=True, slots=True)
class Mark:
    """Moments of an agent that changed. Without `until_at` it is all from `from_at` on."""

    agent_id: UUID
    from_at: datetime | None
    until_at: datetime | None
    visitor_id: str | None = None
    conversation_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class AgentDay:
    agent_id: UUID
    day: date


def take_marks(conn: Connection, *, agents_max: int, marks_max: int, pairs_max: int) -> list[Mark]:
    """Delete the marks of those agents that wait longest, and return what they mean together.

    At most about `pairs_max` days of agents, but all marks of each; marks of agents that are
    gone are among them. The agents stay held until the transaction ends, and the planner is kept
    to indexes.
    """
    conn.execute(SQL.plan_by_index)
    bounds = {"agents_max": agents_max, "marks_max": marks_max, "pairs_max": pairs_max}
    rows = conn.execute(SQL.take_marks, {"oldest_max": 2 * pairs_max, **bounds}).fetchall()
    return [Mark(*row) for row in rows]


def hold_agents(conn: Connection, agent_ids: Sequence[UUID]) -> list[UUID]:
    """Those of the agents that are there, and that nobody is deleting."""
    rows = conn.execute(SQL.hold_agents, {"agent_ids": list(agent_ids)}).fetchall()
    return [row[0] for row in rows]


def lock_agents(conn: Connection, agent_ids: Sequence[UUID]) -> None:
    """Wait until nobody else computes days of these agents; until the transaction ends."""
    conn.execute(SQL.lock_agents, {"agent_ids": list(agent_ids)})


def expand_marks(conn: Connection, marks: Sequence[Mark]) -> list[AgentDay]:
    """The days that the marks with an `until_at` concern. The agents must be locked."""
    rows = conn.execute(
        SQL.expand_marks,
        {
            "agent_ids": [mark.agent_id for mark in marks],
            "from_ats": [mark.from_at for mark in marks],
            "until_ats": [mark.until_at for mark in marks],
            "visitor_ids": [mark.visitor_id for mark in marks],
        },
    ).fetchall()
    return [AgentDay(*row) for row in rows]


def list_days(
    conn: Connection, *, agent_id: UUID, from_day: date | None, to_day: date | None, days_max: int
) -> list[date]:
    """The agent's first days in that range on which anything is counted or stored."""
    values = {"from_day": from_day, "to_day": to_day, "days_max": days_max}
    rows = conn.execute(SQL.list_days, {"agent_id": agent_id, **values}).fetchall()
    return [row[0] for row in rows]


def list_marked_days(
    conn: Connection, *, agent_id: UUID, from_at: datetime | None, days_max: int
) -> list[date]:
    """The first days of a mark without `until_at`."""
    values = {"agent_id": agent_id, "from_at": from_at, "days_max": days_max}
    return [row[0] for row in conn.execute(SQL.list_marked_days, values).fetchall()]


def mark_rest(conn: Connection, *, agent_id: UUID, from_day: date) -> None:
    """Mark everything of the agent from that day on."""
    conn.execute(SQL.mark_rest, {"agent_id": agent_id, "from_day": from_day})


def mend_messages(conn: Connection, conversation_ids: Sequence[UUID]) -> int:
    """Give messages the agent of their conversation; how many had another and were free."""
    values = {"conversation_ids": list(conversation_ids)}
    return conn.execute(SQL.mend_messages, values).rowcount


def mark_strays(conn: Connection, conversation_ids: Sequence[UUID]) -> int:
    """Mark those of the conversations that still have messages with another agent; how many."""
    return conn.execute(SQL.mark_strays, {"conversation_ids": list(conversation_ids)}).rowcount


def recompute_days(conn: Connection, agent_ids: Sequence[UUID], days: Sequence[date]) -> int:
    """Compute the day of each pair from the raw rows; how many rows changed, came or went.

    Pairs are taken place by place; the agents must be locked. The first call of a connection
    takes some milliseconds longer, for the plan.
    """
    values = {"agent_ids": list(agent_ids), "days": list(days)}
    row = conn.execute(SQL.recompute_days, values).fetchone()
    assert row is not None
    return int(row[0])


def list_stats(
    conn: Connection, *, agent_id: UUID, from_day: date | None, to_day: date | None
) -> list[dict[str, Any]]:
    """The stored rows of an agent in that range, without ids and times, oldest first."""
    with conn.cursor(row_factory=dict_row) as cursor:
        values = {"agent_id": agent_id, "from_day": from_day, "to_day": to_day}
        return cursor.execute(SQL.list_stats, values).fetchall()


def list_agents(conn: Connection, *, after: UUID | None, agents_max: int) -> list[UUID]:
    """The next agents by id."""
    rows = conn.execute(SQL.list_agents, {"after": after, "agents_max": agents_max}).fetchall()
    return [row[0] for row in rows]
