"""One attempt of `send_email` in the test's own process, on a real database with a real fence."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from db import jobs
from db.fence import Fence, LeaseLost
from db.pool import Connection, open_pool
from pipelines.email.address import Address, parse_address
from pipelines.email.links import Links
from pipelines.errors import JobError, Snooze
from pipelines.gateways.mail import Transport
from pipelines.send_email import Desk, run
from tests.queueing import dispatch, start_worker
from workers.jobs import KINDS
from workers.outcome import decide


@dataclass
class Mailing:
    """Writes rows of email_logs as the web tier does, and runs their jobs by hand."""

    conn: Connection
    url: str
    transport: Transport
    links: Links | None = None
    sender: Address = field(default_factory=lambda: parse_address("Shop <shop@sender.example>"))

    def write(self, to: str = "jane@example.com", **columns: Any) -> UUID:
        values: dict[str, Any] = {
            "to_email": to,
            "email_type": "welcome",
            "template_data": {"full_name": "Jane"},
            **columns,
        }
        values["template_data"] = Jsonb(values["template_data"])
        names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
        statement = f"INSERT INTO public.email_logs ({names}) VALUES ({places}) RETURNING id"
        row = self.conn.execute(statement.encode(), values).fetchone()
        assert row is not None
        return UUID(str(row[0]))

    def attempt(self) -> dict[str, Any] | Exception:
        """The next attempt of the one waiting job: its result, or what it raised.

        Its outcome is stored as the worker would. What no worker could store after a kill,
        a BaseException, is raised and stored nowhere.
        """
        self.conn.execute(
            "UPDATE worker.jobs SET state = 'available', run_at = now()"
            " WHERE state IN ('retryable', 'scheduled')"
        )
        worker_id = start_worker(self.conn, "email")
        with self.conn.transaction():
            (claimed,) = jobs.claim_jobs(
                self.conn, dispatch(self.conn, queue="email", room=1), worker_id=worker_id
            )
        with open_pool(self.url, size_max=2) as pool:
            desk = Desk(
                Fence(pool, claimed.id, claimed.attempt), self.transport, self.sender, self.links
            )
            result: dict[str, Any] | Exception
            try:
                result = run(desk, email_id=UUID(claimed.args["email_id"]))
            except (JobError, Snooze, LeaseLost) as raised:
                result = raised
        error = result if isinstance(result, Exception) else None
        finish = decide(claimed, error, plan=KINDS["send_email"].retry, luck=0)
        jobs.finish_jobs(self.conn, [finish] if finish else [])
        return result

    def rescue(self) -> None:
        """As after the death of the worker: its job may run again."""
        self.conn.execute("UPDATE worker.processes SET expires_at = now() - interval '1 s'")
        with self.conn.transaction():
            jobs.rescue_running(self.conn, rows_max=10)
            jobs.forget_dead_processes(self.conn)

    def row(self, email_id: UUID) -> dict[str, Any]:
        return self.one("SELECT * FROM public.email_logs WHERE id = %s", email_id)

    def sending(self, email_id: UUID) -> dict[str, Any]:
        return self.one("SELECT * FROM worker.email_sendings WHERE email_id = %s", email_id)

    def job(self, email_id: UUID) -> dict[str, Any]:
        """The latest of the mail."""
        return self.one(
            "SELECT * FROM worker.jobs WHERE args ->> 'email_id' = %s ORDER BY id DESC LIMIT 1",
            str(email_id),
        )

    def one(self, query: str, *arguments: object) -> dict[str, Any]:
        cursor = self.conn.cursor(row_factory=dict_row)
        found = cursor.execute(query.encode(), arguments).fetchone()
        assert found is not None
        return found
