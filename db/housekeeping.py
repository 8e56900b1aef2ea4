"""What is done when its time has come; see housekeeping.sql. No function commits."""

from dataclasses import dataclass
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
