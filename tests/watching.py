"""Watchdogs over a real database whose time the test tells, and where their messages arrive."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from db.pool import Connection, Pool
from tests.dashboard_world import configured
from tests.fakes_smtp import FakeSmtp, fake_smtp
from tests.receiving import Receiver, receiver
from workers.alert_rules import Rules
from workers.alert_ways import open_ways
from workers.watchdog import Watchdog

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PUBLIC_URL = "https://workers.example.com"


@dataclass
class Post:
    """Two ways to the operators, and all that came by them."""

    mail: FakeSmtp
    hook: Receiver
    hook_path: str = "/ok"

    def subjects(self) -> list[str]:
        return [str(mail.message["Subject"]) for mail in self.mail.mailbox]

    def messages(self) -> list[EmailMessage]:
        return [mail.message for mail in self.mail.mailbox]

    def events(self) -> list[tuple[str, str]]:
        """Key and event of each alert that the webhook took, in order."""
        bodies = [json.loads(post.body)["alert"] for post in self.hook.posts]
        return [(body["key"], body["event"]) for body in bodies]


@contextmanager
def posting() -> Iterator[Post]:
    with fake_smtp() as mail, receiver() as hook:
        yield Post(mail, hook)


@dataclass
class Clockwork:
    """Rounds of one watchdog or more, every 15 seconds of a clock that only the test moves."""

    watchdogs: list[Watchdog]
    at: datetime = START
    every: timedelta = field(default=timedelta(seconds=15))

    def pass_s(self, seconds: float) -> None:
        until = self.at + timedelta(seconds=seconds)
        while self.at < until:
            self.at += self.every
            for watchdog in self.watchdogs:
                watchdog.round(self.at)


def watchdog_of(
    pool: Pool, post: Post, *, rules: Rules | None = None, redis_url: str | None = None, **more: Any
) -> Watchdog:
    config = configured(
        "postgresql://unused/db",
        redis_url or "redis://127.0.0.1:1/0",
        alert_email="on-call@example.com",
        alert_webhook_url=post.hook.origin + post.hook_path,
        email_url=post.mail.url(),
        **more,
    )
    return Watchdog(
        pool.connection,
        open_ways(config),
        role="test",
        redis_url=redis_url,
        public_url=PUBLIC_URL,
        rules=rules,
    )


def file_watchdog(pool: Pool, folder: Path) -> Watchdog:
    """One whose mails are files."""
    config = configured(
        "postgresql://unused/db",
        "redis://127.0.0.1:1/0",
        alert_email="a@example.com",
        email_url=f"file://{folder}",
    )
    return Watchdog(
        pool.connection, open_ways(config), role="test", redis_url=None, public_url=None
    )


def keep_alive(conn: Connection) -> None:
    """A crew that needs no renewal for as long as a test takes."""
    conn.execute(
        "INSERT INTO worker.processes (id, role, host, pid, queues, expires_at)"
        " SELECT gen_random_uuid(), r, 'a', 1, CASE WHEN r = 'worker' THEN"
        ' \'{"default": {"threads": 4}, "email": {"threads": 4}, "knowledge": {"threads": 4},'
        ' "sentiment": {"threads": 4}, "webhooks": {"threads": 4}}\'::jsonb ELSE \'{}\' END,'
        " now() + interval '1 h'"
        " FROM unnest('{worker,dispatcher,scheduler}'::text[]) AS r"
    )


def stop_email(conn: Connection) -> None:
    """Nobody serves the queue any more, and a job waits in it."""
    conn.execute("UPDATE worker.processes SET queues = queues - 'email' WHERE role = 'worker'")
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, max_attempts) SELECT 'send_email', 'email', 5"
        " WHERE NOT EXISTS (SELECT FROM worker.jobs)"
    )


def serve_email(conn: Connection) -> None:
    conn.execute(
        'UPDATE worker.processes SET queues = queues || \'{"email": {"threads": 4}}\''
        " WHERE role = 'worker'"
    )
