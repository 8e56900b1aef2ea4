"""What every page of the dashboard has in common."""

from collections.abc import Iterator
from types import ModuleType

import jinja2
import psycopg
import pytest

from db import backlog, history, metrics, overview, usage_days
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def test_shipped_files_need_no_login(desk: Desk) -> None:
    answer = desk.browser(None).client.get("/static/tokens.css")

    assert answer.status_code == 200


def test_the_audit_log_refuses_changes(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO worker.audit_log (operator, role, action, target, why)"
        " VALUES ('ada', 'admin', 'retry_jobs', 'job 1', 'because')"
    )

    for statement in (
        "UPDATE worker.audit_log SET why = 'else'",
        "DELETE FROM worker.audit_log",
        "TRUNCATE worker.audit_log",
    ):
        with pytest.raises(Exception, match="append-only"), conn.transaction():
            conn.execute(statement)


def test_after_a_start_nobody_waits_for_templates_or_for_what_all_share(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = ("/", "/jobs", "/queues", "/tenants", "/usage", "/email")
    desk.site.warm_up()

    # From here on, nothing can be compiled, and no figure that is kept can be read.
    monkeypatch.setattr(jinja2.Environment, "compile", break_off)
    for module, name in KEPT:
        monkeypatch.setattr(module, name, break_off)

    assert {path: desk.browser("viewer").status(path) for path in pages} == dict.fromkeys(
        pages, 200
    )


def test_a_start_without_postgres_goes_on(redis_url: str) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    with open_desk(nowhere, redis_url) as desk:
        desk.site.warm_up()


KEPT: tuple[tuple[ModuleType, str], ...] = (
    (overview, "has_jobs"),
    (metrics, "count_jobs"),
    (history, "read_window"),
    (backlog, "list_started"),
    (backlog, "list_runs"),
    (usage_days, "list_spenders"),
)


def break_off(*args: object, **options: object) -> None:
    raise psycopg.OperationalError("nobody reads this now")
