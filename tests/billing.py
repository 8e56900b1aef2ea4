"""Customers with periods that are over, and closings as their worker runs them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from db import demo, processes
from db.fence import Fence
from db.pool import Connection, Pool, open_pool
from pipelines.close_billing_period import run


@contextmanager
def holding(conn: Connection, url: str, *, connections: int = 2) -> Iterator[Fence]:
    """A job of this kind as its worker holds it."""
    with open_pool(url, size_max=connections) as pool:
        yield hold(conn, pool)


def hold(conn: Connection, pool: Pool) -> Fence:
    worker_id = uuid4()
    processes.register(conn, id=worker_id, role="worker", host="here", pid=1, queues={})
    row = conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, attempt, max_attempts, worker_id)"
        " VALUES ('close_billing_period', 'default', 'running', 1, 3, %s) RETURNING id",
        (worker_id,),
    ).fetchone()
    assert row is not None
    return Fence(pool, row[0], 1)


@dataclass(frozen=True)
class Customer:
    """An account of some years, whose running period began on a day of our choice."""

    conn: Connection
    id: UUID

    def put(self, **values: Any) -> None:
        """Write columns of the profile in one statement, as a web tier would."""
        names = ", ".join(f"{name} = %({name})s" for name in values)
        self.conn.execute(
            f"UPDATE user_profiles SET {names} WHERE id = %(id)s".encode(),
            {**values, "id": self.id},
        )

    def change_plan(self, at: datetime, **values: Any) -> None:
        """Change limit or tier as if it were then."""
        self.put(**values)
        self.conn.execute(
            "UPDATE worker.plan_changes SET changed_at = %s WHERE id = (SELECT max(id)"
            " FROM worker.plan_changes WHERE user_id = %s)",
            (at, self.id),
        )

    def log(self, at: datetime, messages: int, *, usage_type: str = "message") -> None:
        self.conn.execute(
            "INSERT INTO usage_logs (user_id, usage_type, created_at)"
            " SELECT %s, %s, %s FROM generate_series(1, %s)",
            (self.id, usage_type, at, messages),
        )

    def closings(self) -> list[dict[str, Any]]:
        """What was frozen, oldest first."""
        rows = self.conn.execute(
            "SELECT closing FROM worker.billing_periods WHERE user_id = %s"
            " AND closed_at IS NOT NULL ORDER BY period_start",
            (self.id,),
        )
        return [row[0] for row in rows]

    def transactions(self) -> list[tuple[Any, ...]]:
        """(id, amount, tax, total, currency, invoice number), oldest first."""
        return self.conn.execute(
            "SELECT id::text, amount, tax_amount, total_amount, currency, invoice_number"
            " FROM billing_transactions WHERE user_id = %s AND type = 'overage'"
            " AND status = 'pending' ORDER BY invoice_number",
            (self.id,),
        ).fetchall()

    def events(self) -> list[dict[str, Any]]:
        rows = self.conn.execute(
            "SELECT d.event_data FROM webhook_deliveries AS d"
            " JOIN webhooks AS w ON w.id = d.webhook_id"
            " WHERE w.user_id = %s AND d.event_type = 'billing.period_closed'"
            " ORDER BY d.event_data ->> 'period_start'",
            (self.id,),
        )
        return [row[0] for row in rows]

    def notifications(self) -> list[str]:
        rows = self.conn.execute(
            "SELECT message FROM notifications WHERE user_id = %s AND type = 'billing_update'"
            " ORDER BY created_at",
            (self.id,),
        )
        return [row[0] for row in rows]


def sign_up(
    conn: Connection, name: str, *, period_start: date, since: str = "2020-01-01", **values: Any
) -> Customer:
    """A customer who listens to every event."""
    user_id = demo.ensure_user(conn, email=f"{name}@example.com", full_name=name)
    customer = Customer(conn, user_id)
    customer.put(created_at=since, usage_period_start=period_start, **values)
    conn.execute(
        "INSERT INTO webhooks (user_id, name, url, events)"
        " VALUES (%s, 'w', 'https://a.example', %s)",
        (user_id, ["*"]),
    )
    return customer


def close(
    conn: Connection, url: str, *, today: date, user_id: UUID | None = None
) -> dict[str, Any]:
    """Run the pipeline once, on that day."""
    with holding(conn, url) as db:
        return run(db, user_id=user_id, today=today)


def forget(conn: Connection) -> None:
    """Leave the database as it was migrated, as far as these tests write."""
    conn.execute("DELETE FROM auth.users")
    conn.execute("DELETE FROM public.billing_transactions")
    conn.execute("DELETE FROM public.usage_logs")
    conn.execute("DELETE FROM worker.billing_periods")
    conn.execute("DELETE FROM worker.overage_prices WHERE valid_from > '1970-01-01 00:00+00'")
    conn.execute("DELETE FROM worker.jobs")
    conn.execute("DELETE FROM worker.processes")
