"""Worker processes that send mail are killed at each step: no double in the mailbox, no loss."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import redis
from psycopg.types.json import Jsonb

from db import jobs, processes
from db.embedded import Services
from db.pool import Connection, connect
from tests.chaos.fleet import fleet
from tests.chaos.gaps import Gaps
from tests.conftest import fresh_database
from tests.fakes_smtp import FakeSmtp, fake_smtp
from tests.kills import rarely
from tests.processes import wait_until

POSTS = {
    "worker": ("worker", "--queue", "email:2", "--processes", "1"),
    "dispatcher": ("dispatcher",),
}

# In the order of a mail's life: what its row says in the end, and how many lie in the mailbox.
# tests/integration/test_send_email.py has the steps between them.
GAPS = {
    "mail begun": ("sent", 1),
    "mark written": ("sent", 1),
    "dot due": ("uncertain", 0),
    "mail taken": ("uncertain", 1),
    "sent stored": ("sent", 1),
}


@dataclass
class Office:
    """A worker command and a dispatcher that send through a fake server."""

    conn: Connection
    smtp: FakeSmtp
    gaps: Gaps

    def queue(self) -> UUID:
        row = self.conn.execute(
            "INSERT INTO public.email_logs (to_email, email_type, template_data)"
            " VALUES ('jane@example.com', 'welcome', %s) RETURNING id",
            [Jsonb({"full_name": "Jane"})],
        ).fetchone()
        assert row is not None
        return UUID(str(row[0]))

    def wait_for(self, email_id: UUID) -> str:
        """The status of the mail, when its job has ended."""

        def ended() -> str | None:
            row = self.conn.execute(
                "SELECT e.status, j.state FROM public.email_logs AS e JOIN worker.jobs AS j"
                " ON j.args ->> 'email_id' = e.id::text WHERE e.id = %s",
                [email_id],
            ).fetchone()
            assert row is not None
            return str(row[0]) if row[1] in ("completed", "discarded") else None

        return wait_until(ended, "the job of the mail ends")


@pytest.fixture(scope="module")
def office(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    assert services.redis_url is not None
    folder = tmp_path_factory.mktemp("mails")
    gaps = Gaps(folder / "gaps")
    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
    with fresh_database(services, template=template) as url, fake_smtp() as smtp:
        env: dict[str, Any] = {
            "DATABASE_URL": url,
            "REDIS_URL": services.redis_url,
            "AVIVRO_HOME": str(folder / "home"),
            "EMAIL_URL": smtp.url(),
            "EMAIL_FROM": "Shop <shop@sender.example>",
            "CRASH_MAILS": "1",
            **gaps.env,
        }
        with fleet(folder, env, POSTS), connect(url, autocommit=True) as conn:
            yield Office(conn, smtp, gaps)


@pytest.mark.parametrize(
    "gap", ["mail begun", "dot due", "mail taken", *rarely("mark written", "sent stored")]
)
def test_killed_in_the_gap_no_mail_is_doubled_or_lost_unseen(office: Office, gap: str) -> None:
    wait_until(lambda: processes.list_capacity(office.conn), "a worker is there")
    office.gaps.cut(gap, signal.SIGKILL)

    email_id = office.queue()
    wait_until(office.gaps.are_cut, "a process reaches the gap")
    status = office.wait_for(email_id)

    mails = [mail for mail in office.smtp.mailbox if str(email_id) in mail.message["Message-ID"]]
    assert (status, len(mails)) == GAPS[gap]
    assert jobs.list_jobs(office.conn, state="discarded") == []
