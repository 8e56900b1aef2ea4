"""What is done when its time has come; see housekeeping.sql. No function commits."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.pool import Connection
from db.statements import load

SQL = load("housekeeping")


@dataclass(frozen=True, slots=True)
class Open:
    """An open conversation. `created_at` is text, for it may lie beyond Python's calendar."""

    created_at: str
    id: UUID
    is_idle: bool


def find_open(conn: Connection, *, since: Open | None, idle_s: float, rows_max: int) -> list[Open]:
    """The next open conversations after `since`, oldest first, and which of them are idle."""
    position = {
        "since_at": None if since is None else since.created_at,
        "since_id": None if since is None else since.id,
    }
    conn.execute(SQL.plan_by_index)
    rows = conn.execute(SQL.find_open, {**position, "idle_s": idle_s, "rows_max": rows_max})
    return [Open(*row) for row in rows]


def close_idle(conn: Connection, conversation_ids: list[UUID], *, idle_s: float) -> int:
    """Close those of them that are still idle and that nobody writes to; how many."""
    locked = conn.execute(SQL.lock_open, {"conversation_ids": conversation_ids}).fetchall()
    own = {"conversation_ids": [row[0] for row in locked], "idle_s": idle_s}
    return conn.execute(SQL.close_idle, own).rowcount


@dataclass(frozen=True, slots=True)
class FollowUps:
    """How many were due, when the last of them was, and of how many somebody is told now."""

    due: int
    last_at: datetime | None
    reminded: int


@dataclass(frozen=True, slots=True)
class Mailed:
    """How many users (or trials) were looked at, how many mails that made, and the last user."""

    seen: int
    mails: int
    last_id: UUID | None = None


def remind_leads(
    conn: Connection, *, since: datetime | None, days_max: int, rows_max: int
) -> FollowUps:
    """Notify of the next follow-ups that are due from `since` on, and of none twice."""
    conn.execute(SQL.plan_by_index)
    own = {"since": since, "days_max": days_max, "rows_max": rows_max}
    row = conn.execute(SQL.remind_leads, own).fetchone()
    assert row is not None
    return FollowUps(*row)


def mail_reminders(conn: Connection, *, people_max: int) -> Mailed:
    """Mail people of the leads that they were notified of and not yet mailed of."""
    conn.execute(SQL.plan_by_index)
    row = conn.execute(SQL.mail_reminders, {"people_max": people_max}).fetchone()
    assert row is not None
    return Mailed(*row)


def remind_trials(conn: Connection, *, rows_max: int) -> Mailed:
    """Tell users whose trial ends soon, three days and one day before."""
    conn.execute(SQL.plan_by_index)
    row = conn.execute(SQL.remind_trials, {"rows_max": rows_max}).fetchone()
    assert row is not None
    return Mailed(*row)


def send_digests(
    conn: Connection,
    *,
    since: UUID | None,
    at: datetime | None,
    topic_rows_max: int,
    rows_max: int,
) -> Mailed:
    """Mail the next users after `since` their week, where it is time; `at` None: now."""
    conn.execute(SQL.plan_by_index)
    own = {"since": since, "at": at, "topic_rows_max": topic_rows_max, "rows_max": rows_max}
    row = conn.execute(SQL.send_digests, own).fetchone()
    assert row is not None
    return Mailed(*row)


def expire_keys(conn: Connection, *, rows_max: int) -> int:
    """Switch off keys whose time is over, and tell their owners; how many."""
    conn.execute(SQL.plan_by_index)
    row = conn.execute(SQL.expire_keys, {"rows_max": rows_max}).fetchone()
    assert row is not None
    return int(row[0])
