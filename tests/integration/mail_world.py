"""Mails that were sent, a server that takes what is told of them, and a Postgres that is away."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
import uvicorn
from psycopg import sql
from starlette.applications import Starlette

from db.embedded import Services
from db.pool import Connection, connect
from tests.conftest import administer
from tests.integration.schema_world import OWNER, insert
from workers import config
from workers.dashboard import server
from workers.dashboard.mail_recorder import Recorder


@contextmanager
def serving(database_url: str, **settings: str) -> Iterator[int]:
    """What the dashboard process serves of mails, with these settings; its port."""
    recorder = Recorder(partial(connect, database_url))
    recorder.start()
    with server.listen("127.0.0.1", 0) as listening:
        values: dict[str, Any] = dict(settings)
        routes = server.open_mail(replace(config.read({}), **values), recorder)
        running = uvicorn.Server(
            uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off")
        )
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        running.should_exit = True
        thread.join(10)
    recorder.close(10)


def send(conn: Connection, *, ago_s: float = 3600, to: str | None = None, **values: Any) -> UUID:
    """A mail that was sent so long ago."""
    email_id = uuid4()
    known = {
        "id": email_id,
        "user_id": OWNER,
        "to_email": to or f"{email_id}@example.com",
        "email_type": "new_lead",
        "status": "sent",
    }
    insert(conn, "email_logs", known | values)
    conn.execute(
        "UPDATE email_logs SET sent_at = now() - make_interval(secs => %s) WHERE id = %s",
        (ago_s, email_id),
    )
    return email_id


@dataclass(frozen=True)
class Row:
    status: str
    delivered: bool
    opened: bool
    clicked: bool


def row(conn: Connection, email_id: UUID) -> Row:
    found = conn.execute(
        "SELECT status, delivered_at IS NOT NULL, opened_at IS NOT NULL, clicked_at IS NOT NULL"
        " FROM email_logs WHERE id = %s",
        (email_id,),
    ).fetchone()
    assert found is not None
    return Row(*found)


def events(conn: Connection, email_id: UUID) -> list[tuple[str, bool]]:
    """What was told of a mail, and whether by a machine."""
    found = conn.execute(
        "SELECT type, by_bot FROM worker.email_events WHERE email_id = %s ORDER BY id", (email_id,)
    )
    return [(kind, by_bot) for kind, by_bot in found]


def eventually(claim: Callable[[], bool], *, within_s: float = 15) -> None:
    until = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.05)


@contextmanager
def away(services: Services, database_url: str) -> Iterator[None]:
    """Nobody can connect to the database, and whoever was connected no longer is."""
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    assert isinstance(name, str)
    with administer(services) as admin:
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        admin.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        yield
        admin.execute(allow.format(sql.Identifier(name), sql.SQL("true")))
