"""A customer whose rows grow old, and a job of any kind as its worker holds it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from db import demo, processes
from db.fence import Fence
from db.pool import Connection, Pool, open_pool


@contextmanager
def held(conn: Connection, url: str, kind: str) -> Iterator[Fence]:
    """A running job of that kind, and its fence."""
    with open_pool(url, size_max=2) as pool:
        yield hold(conn, pool, kind)


def hold(conn: Connection, pool: Pool, kind: str) -> Fence:
    worker_id = uuid4()
    processes.register(conn, id=worker_id, role="worker", host="here", pid=1, queues={})
    row = conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, attempt, max_attempts, worker_id)"
        " VALUES (%s, 'default', 'running', 1, 3, %s) RETURNING id",
        (kind, worker_id),
    ).fetchone()
    assert row is not None
    return Fence(pool, row[0], 1)


def lose(conn: Connection, fence: Fence) -> None:
    """As when another worker takes the job over."""
    conn.execute("UPDATE worker.jobs SET attempt = attempt + 1 WHERE id = %s", (fence.job_id,))


@dataclass(frozen=True)
class Customer:
    """A user with an agent, and ways to give them rows of some age."""

    conn: Connection
    id: UUID
    agent_id: UUID

    def converse(self, hours: float, *messages: float, status: str = "active") -> UUID:
        """A conversation that began so many hours ago; its messages came so many hours ago."""
        found = uuid4()
        self.conn.execute(
            "INSERT INTO conversations (id, agent_id, status, created_at)"
            " VALUES (%s, %s, %s, now() - make_interval(secs => %s))",
            (found, self.agent_id, status, hours * 3600),
        )
        for ago in messages:
            self.write(found, ago)
        return found

    def write(self, conversation_id: UUID, hours: float) -> None:
        self.conn.execute(
            "INSERT INTO messages (conversation_id, role, content, created_at)"
            " VALUES (%s, 'user', 'hello', now() - make_interval(secs => %s))",
            (conversation_id, hours * 3600),
        )

    def capture(self, due_hours: float | None = None, **columns: Any) -> UUID:
        """A lead whose follow-up was due so many hours ago."""
        lead_id = uuid4()
        values = {"id": lead_id, "agent_id": self.agent_id, **columns}
        self.conn.execute(
            f"INSERT INTO leads ({', '.join(values)}, next_follow_up_at)"
            f" VALUES ({', '.join(['%s'] * len(values))},"
            f" now() - make_interval(secs => %s))".encode(),
            (*values.values(), None if due_hours is None else due_hours * 3600),
        )
        return lead_id

    def live_in(self, zone: str) -> None:
        self.conn.execute("UPDATE user_profiles SET time_zone = %s WHERE id = %s", (zone, self.id))


def customer(conn: Connection, email: str = "owner@example.com", name: str = "Ola") -> Customer:
    user_id = demo.ensure_user(conn, email=email, full_name=name)
    agent_id = demo.create_agent(
        conn, user_id=user_id, name="Bot", description="", system_prompt=""
    )
    return Customer(conn, user_id, agent_id)


def column(conn: Connection, query: str, *values: object) -> list[Any]:
    """The first column of all rows."""
    return [row[0] for row in conn.execute(query.encode(), values)]


def clock(conn: Connection) -> datetime:
    """The database's."""
    (now,) = column(conn, "SELECT now()")
    assert isinstance(now, datetime)
    return now


def told(conn: Connection, kind: str) -> list[dict[str, Any]]:
    """The notifications of a type, oldest first."""
    return column(
        conn,
        "SELECT to_jsonb(n) FROM notifications AS n WHERE type = %s ORDER BY created_at, id",
        kind,
    )
