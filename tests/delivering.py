"""A dispatcher and a worker that deliver, kept alive, and what came of it in the rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import redis
from psycopg.types.json import Jsonb

from db import demo, processes
from db.embedded import Services
from db.pool import Connection, connect
from tests.chaos.fleet import Fleet, fleet
from tests.conftest import fresh_database
from tests.processes import wait_until
from tests.receiving import Receiver, receiver

POSTS = {"worker": ("worker", "--queue", "webhooks"), "dispatcher": ("dispatcher",)}
ENDED = ("delivered", "failed", "blocked", "cancelled")


@dataclass
class Delivering:
    """Commands on a database of their own, and one receiver."""

    conn: Connection
    fleet: Fleet
    receiver: Receiver

    def add_owner(self) -> UUID:
        name = uuid4().hex
        return demo.ensure_user(self.conn, email=f"{name}@example.com", full_name=name)

    def add_webhook(self, path: str, *, user_id: UUID | None = None, **columns: Any) -> UUID:
        """A webhook of `path` at the receiver, of its own owner unless told."""
        values = {
            "user_id": user_id or self.add_owner(),
            "name": path,
            "url": self.receiver.origin + path,
            "events": ["*"],
            **columns,
        }
        names = ", ".join(values)
        places = ", ".join(f"%({name})s" for name in values)
        statement = f"INSERT INTO public.webhooks ({names}) VALUES ({places}) RETURNING id"
        ((webhook_id,),) = self.conn.execute(statement.encode(), values).fetchall()
        return UUID(str(webhook_id))

    def send(self, webhook_id: UUID, *, count: int = 1, data: object = None) -> list[UUID]:
        """So many deliveries, as the web tier would insert them."""
        rows = self.conn.execute(
            "INSERT INTO public.webhook_deliveries (webhook_id, event_type, event_data)"
            " SELECT %s, 'message.created', %s FROM generate_series(1, %s) RETURNING id",
            (webhook_id, Jsonb(data or {"content": "Hei"}), count),
        ).fetchall()
        return [row[0] for row in rows]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.conn.execute(query.encode(), values).fetchall()

    def statuses(self, webhook_id: UUID) -> dict[str, int]:
        return dict(
            self.rows(
                "SELECT status, count(*) FROM public.webhook_deliveries WHERE webhook_id = %s"
                " GROUP BY status",
                webhook_id,
            )
        )

    def wait_for(self, *webhook_ids: UUID, deadline_s: float = 60) -> None:
        """All deliveries of the webhooks have ended, and their jobs too."""

        def ended() -> bool:
            return not self.rows(
                "SELECT 1 FROM public.webhook_deliveries AS d WHERE webhook_id = ANY(%s)"
                " AND (status <> ALL(%s) OR EXISTS (SELECT FROM worker.jobs"
                " WHERE kind = 'deliver_webhook' AND args->>'delivery_id' = d.id::text"
                " AND state NOT IN ('completed', 'discarded', 'cancelled'))) LIMIT 1",
                list(webhook_ids),
                list(ENDED),
            )

        wait_until(ended, "all deliveries end", deadline_s=deadline_s)

    def counters(self, webhook_id: UUID) -> tuple[int, int, int]:
        """Total, successful and failed deliveries, as the webhook counts them."""
        ((total, successful, failed),) = self.rows(
            "SELECT total_deliveries, successful_deliveries, failed_deliveries"
            " FROM public.webhooks WHERE id = %s",
            webhook_id,
        )
        return total, successful, failed

    def counted(self, webhook_id: UUID) -> tuple[int, int, int]:
        """The same from the rows."""
        found = self.statuses(webhook_id)
        successful = found.get("delivered", 0)
        failed = found.get("failed", 0) + found.get("blocked", 0)
        return successful + failed, successful, failed

    def wait_for_workers(self) -> None:
        wait_until(lambda: processes.list_capacity(self.conn), "a worker is there")

    def show(self) -> str:
        """The rows, for a test that failed."""
        found = self.rows("SELECT to_jsonb(d) FROM public.webhook_deliveries AS d LIMIT 20")
        return json.dumps([row for (row,) in found], indent=1)


@contextmanager
def delivering(
    services: Services,
    template: str,
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    posts: Mapping[str, Sequence[str]] = POSTS,
) -> Iterator[Delivering]:
    assert services.redis_url is not None
    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
    with fresh_database(services, template=template) as url, receiver() as taking:
        own = {
            "DATABASE_URL": url,
            "REDIS_URL": services.redis_url,
            "AVIVRO_HOME": str(folder / "home"),
            "EGRESS_ALLOW": "127.0.0.1",
            **(env or {}),
        }
        with (
            connect(url, autocommit=True) as conn,
            fleet(folder, own, posts) as kept,
        ):
            yield Delivering(conn, kept, taking)
