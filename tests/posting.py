"""Deliveries in this process: rows in, one attempt each on the event loop, rows out."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from db import demo
from db.deliveries import Asked
from db.pool import Connection, connect
from pipelines.deliver_webhook import Desk, open_desk, run
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client
from pipelines.gateways.http_lookup import Lookup, look_up
from pipelines.gateways.http_loop import background_loop
from tests.fakes_site import Hit, Site, Wire

SCHEDULE_S = (0.0, 5.0, 300.0)
TIMEOUT_S = 0.7
PATIENCE_S = 30.0

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HEAD = "HTTP/1.1 {} Said\r\nContent-Length: 2\r\n\r\nok"

# What came of an attempt: the result of its job, or what it raised.
Ended = dict[str, Any] | BaseException


@dataclass
class Posting:
    """One owner's webhooks and deliveries, and a desk that sends them."""

    conn: Connection
    desk: Desk
    user_id: UUID = field(default_factory=uuid4)

    def renew_owner(self) -> None:
        """What comes next is another owner's."""
        name = uuid4().hex
        self.user_id = demo.ensure_user(self.conn, email=f"{name}@example.com", full_name="Ada")

    def add_webhook(self, url: str, **columns: Any) -> UUID:
        values = {"user_id": self.user_id, "name": "Hook", "url": url, "events": ["*"], **columns}
        if "custom_headers" in values:
            values["custom_headers"] = Jsonb(values["custom_headers"])
        names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
        return self.one(
            f"INSERT INTO public.webhooks ({names}) VALUES ({places}) RETURNING id", **values
        )

    def add_delivery(
        self, webhook_id: UUID, *, event_type: str = "lead.captured", data: object = None
    ) -> UUID:
        return self.one(
            "INSERT INTO public.webhook_deliveries (webhook_id, event_type, event_data)"
            " VALUES (%(webhook_id)s, %(event_type)s, %(data)s) RETURNING id",
            webhook_id=webhook_id,
            event_type=event_type,
            data=Jsonb({"id": "7"} if data is None else data),
        )

    def add(self, url: str, **columns: Any) -> UUID:
        """A delivery to a webhook of its own."""
        return self.add_delivery(self.add_webhook(url, **columns))

    def claim(self, delivery_id: UUID) -> Asked:
        """The next attempt of its job, whatever that waits for."""
        row = self.conn.execute(
            "UPDATE worker.jobs SET state = 'running', attempt = attempt + 1"
            " WHERE unique_key = %s AND kind = 'deliver_webhook' RETURNING id, attempt",
            [str(delivery_id)],
        ).fetchone()
        assert row is not None
        return Asked(row[0], row[1], delivery_id)

    def attempt(self, *delivery_ids: UUID) -> list[Ended]:
        """All at once."""
        return self.work([self.claim(each) for each in delivery_ids])

    def fails(self, delivery_id: UUID, *, times: int) -> list[Any]:
        """The attempts of a delivery, each when it is due."""
        ended: list[Any] = []
        for _ in range(times):
            self.make_due(delivery_id)
            ended += self.attempt(delivery_id)
        return ended

    def work(self, asked: Sequence[Asked]) -> list[Ended]:
        async def together() -> list[Ended]:
            return await asyncio.gather(
                *(run(self.desk, each) for each in asked), return_exceptions=True
            )

        running = asyncio.run_coroutine_threadsafe(together(), background_loop())
        return running.result(PATIENCE_S)

    def make_due(self, delivery_id: UUID) -> None:
        self.conn.execute(
            "UPDATE public.webhook_deliveries SET next_retry_at = now() WHERE id = %s",
            [delivery_id],
        )

    def row(self, delivery_id: UUID) -> dict[str, Any]:
        found = self.conn.cursor(row_factory=dict_row).execute(
            "SELECT *, extract(epoch FROM next_retry_at - now())::float AS wait_s"
            " FROM public.webhook_deliveries WHERE id = %s",
            [delivery_id],
        )
        return found.fetchone() or {}

    def counters(self, delivery_id: UUID) -> tuple[int, int, int]:
        """Its webhook's: total, successful, failed."""
        row = self.conn.execute(
            "SELECT w.total_deliveries, w.successful_deliveries, w.failed_deliveries"
            " FROM public.webhooks AS w JOIN public.webhook_deliveries AS d ON d.webhook_id = w.id"
            " WHERE d.id = %s",
            [delivery_id],
        ).fetchone()
        assert row is not None
        return row[0], row[1], row[2]

    def one(self, query: str, **values: Any) -> UUID:
        row = self.conn.execute(query.encode(), values).fetchone()
        assert row is not None
        return UUID(str(row[0]))


@contextmanager
def posting(
    database_url: str,
    *,
    allow: str = "127.0.0.1",
    lookup: Lookup = look_up,
    timeout_s: float = TIMEOUT_S,
) -> Iterator[Posting]:
    open_connection = partial(connect, database_url, autocommit=True)
    client = Client(Egress.parse(allow), lookup=lookup)
    desk = open_desk(open_connection, client, schedule_s=SCHEDULE_S, timeout_s=timeout_s)
    with closing(client), connect(database_url, autocommit=True) as conn:
        opened = Posting(conn, replace(desk, luck=lambda: 0.0))
        opened.renew_owner()
        yield opened
        desk.letters.close(5)
        desk.outcomes.close(5)


def answering(receiver: Site, *statuses: int) -> str:
    """Answers so, one after the other; the last for ever."""
    left = list(statuses)

    def answer(wire: Wire, _: Hit) -> bool:
        status = left.pop(0) if len(left) > 1 else left[0]
        wire.send(HEAD.format(status))
        return True

    return receiver.raw("/in", answer)
