"""An account with agents, raw rows at chosen moments, and days as they are stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from db import processes
from db.fence import Fence
from db.pool import Connection, open_pool
from pipelines.aggregate_daily_stats import serve_marks
from tests.integration.people import sign_up
from tests.integration.schema_world import insert
from tests.recount import DAY_COLUMNS, DayKey, Figures, recount_days


def add_owner(conn: Connection, zone: str = "UTC") -> UUID:
    owner = sign_up(conn, uuid4().hex)
    conn.execute("UPDATE user_profiles SET time_zone = %s WHERE id = %s", (zone, owner))
    return owner


def add_agent(conn: Connection, owner: UUID) -> UUID:
    agent = uuid4()
    insert(conn, "agents", {"id": agent, "user_id": owner, "name": "Agent"})
    return agent


def add_conversation(conn: Connection, agent: UUID, at: str | datetime, **values: Any) -> UUID:
    key: UUID = values.pop("id", None) or uuid4()
    insert(conn, "conversations", {"id": key, "agent_id": agent, "created_at": at, **values})
    return key


def add_message(conn: Connection, conversation: UUID, at: str | datetime, **values: Any) -> UUID:
    key: UUID = values.pop("id", None) or uuid4()
    row = {"id": key, "conversation_id": conversation, "role": "user", "content": "x"}
    insert(conn, "messages", {**row, "created_at": at, **values})
    return key


def serve(conn: Connection) -> int:
    """Serve every mark there is; how many rows of daily_stats changed."""
    changed = 0
    while True:
        with conn.transaction():
            served = serve_marks(conn)
        if not served.marks:
            return changed
        changed += served.changed


def stored_days(conn: Connection) -> dict[DayKey, Figures]:
    names = ", ".join(DAY_COLUMNS)
    rows = conn.execute(f"SELECT agent_id, date, {names} FROM daily_stats".encode())
    return {(row[0], row[1]): dict(zip(DAY_COLUMNS, row[2:], strict=True)) for row in rows}


def assert_days_are_right(conn: Connection) -> None:
    assert stored_days(conn) == recount_days(conn)


@contextmanager
def held(conn: Connection, url: str, kind: str) -> Iterator[Fence]:
    """A job of that kind as its worker holds it."""
    worker_id = uuid4()
    processes.register(conn, id=worker_id, role="worker", host="here", pid=1, queues={})
    row = conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, attempt, max_attempts, worker_id)"
        " VALUES (%s, 'default', 'running', 1, 3, %s) RETURNING id",
        (kind, worker_id),
    ).fetchone()
    assert row is not None
    with open_pool(url, size_max=2) as pool:
        yield Fence(pool, row[0], 1)
