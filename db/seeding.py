"""Fill a database for load tests; see seeding.sql. No function commits.

Triggers stay on, at the price of a third of the speed: switching them off needs a superuser, and
counters, notifications, marks and audit trail would be missing. Most of them run once a statement,
and each COPY is one statement of up to BATCH_ROWS rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from db import announcements
from db.pool import Connection
from db.seeding_rows import (
    Plan,
    agent_ids,
    agent_lines,
    conversation_lines,
    lead_lines,
    message_lines,
    owner_ids,
    user_lines,
)
from db.statements import load

SQL = load("seeding")

BATCH_ROWS = 25_000
# One write to the socket; smaller ones cost a call each, larger ones only memory.
WRITE_ROWS = 500
AGENTS_MAX = 100_000
CONVERSATIONS_MAX = 10_000_000
MESSAGES_MAX = 100_000_000

Report = Callable[[str, int], None]


class SeededError(ValueError):
    """The rows of this seed are there already."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """Rows that were written, by table."""

    users: int
    agents: int
    conversations: int
    messages: int
    leads: int


def fill(conn: Connection, plan: Plan, report: Report) -> Seeded:
    """Write the plan's rows; `report` is called with a table's name and the rows so far.

    Raises SeededError, and ValueError for a plan that cannot be.
    """
    check(plan)
    owners = owner_ids(plan)
    if is_seeded(conn, UUID(owners[0])):
        raise SeededError(f"the rows of seed {plan.seed} are in this database already")
    announcements.be_quiet(conn)
    seeded = Seeded(
        users=copy(conn, SQL.copy_users, user_lines(plan), "users", report),
        agents=copy(conn, SQL.copy_agents, agent_lines(plan), "agents", report),
        conversations=copy(
            conn, SQL.copy_conversations, conversation_lines(plan), "conversations", report
        ),
        messages=copy(conn, SQL.copy_messages, message_lines(plan), "messages", report),
        leads=copy(conn, SQL.copy_leads, lead_lines(plan), "leads", report),
    )
    date_notifications(conn, [UUID(agent) for agent in agent_ids(plan)])
    return seeded


def check(plan: Plan) -> None:
    limits = (
        ("agents", plan.agents, 1, AGENTS_MAX),
        ("conversations", plan.conversations, 0, CONVERSATIONS_MAX),
        ("messages", plan.messages, 0, MESSAGES_MAX),
    )
    for name, value, least, most in limits:
        if not least <= value <= most:
            raise ValueError(f"{value} {name}: give {least} to {most}")
    if plan.messages and not plan.conversations:
        raise ValueError("messages need conversations to be in: give at least 1")


def copy(
    conn: Connection, statement: bytes, lines: Iterator[str], table: str, report: Report
) -> int:
    """Send the lines, BATCH_ROWS a statement; how many there were."""
    sent = 0
    while batch := list(islice(lines, BATCH_ROWS)):
        with conn.cursor() as cursor, cursor.copy(statement) as out:
            for start in range(0, len(batch), WRITE_ROWS):
                out.write("".join(batch[start : start + WRITE_ROWS]))
        sent += len(batch)
        report(table, sent)
    # What comes next joins these rows in triggers: planned for an empty table, it takes ten times
    # as long.
    analyze(conn)
    return sent


def read_clock(conn: Connection) -> datetime:
    """The time that a plan's `until` should be."""
    row = conn.execute(SQL.read_clock).fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


def is_seeded(conn: Connection, user_id: UUID) -> bool:
    return conn.execute(SQL.is_seeded, {"user_id": user_id}).fetchone() == (True,)


def date_notifications(conn: Connection, agent_ids: list[UUID]) -> None:
    conn.execute(SQL.date_notifications, {"agent_ids": agent_ids})


def analyze(conn: Connection) -> None:
    conn.execute(SQL.analyze)
