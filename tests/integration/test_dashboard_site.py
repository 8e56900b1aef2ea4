"""What every page of the dashboard has in common."""

from collections.abc import Iterator
from types import ModuleType

import jinja2
import psycopg
import pytest

from db import backlog, history, metrics, overview, usage_days
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from tests.integration import schema_world as world


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def test_shipped_files_need_no_login(desk: Desk) -> None:
    answer = desk.browser(None).client.get("/static/tokens.css")

    assert answer.status_code == 200


@pytest.mark.parametrize("session", ["origin", "replica"])
def test_the_audit_log_refuses_changes(conn: Connection, session: str) -> None:
    """By its owner, and where ordinary triggers rest."""
    conn.execute("SELECT set_config('session_replication_role', %s, false)", (session,))
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


def test_a_time_of_infinity_takes_no_page_away(conn: Connection, desk: Desk) -> None:
    world.sign_up(conn, world.OWNER, "owner@example.com")
    conn.execute(ENDLESS)
    operator = desk.browser("operator")

    (delivery,) = conn.execute("SELECT id, webhook_id FROM public.webhook_deliveries").fetchall()
    paths = [f"/webhooks/deliveries/{delivery[0]}", f"/webhooks/{delivery[1]}", *PAGES_OF_ROWS]
    shown = {path: operator.get(path) for path in paths}

    assert {path for path in shown if "infinity" in shown[path]} >= {"/webhooks", "/email"}


PAGES_OF_ROWS = ("/", "/tenants", "/knowledge", "/webhooks", "/email", "/workers", "/queues")
# Only SQL by hand makes these.
ENDLESS = """
WITH agent AS (
    INSERT INTO public.agents (user_id, name) SELECT id, 'a' FROM public.user_profiles
    RETURNING id, user_id
), source AS (
    INSERT INTO public.knowledge_sources
        (agent_id, name, type, status, content, last_synced_at, created_at)
    SELECT id, 's', 'text', 'completed', 'c', 'infinity', '-infinity' FROM agent
), hook AS (
    INSERT INTO public.webhooks (user_id, name, url, events, created_at)
    SELECT user_id, 'w', 'https://w.test', '{message.*}', 'infinity' FROM agent RETURNING id
), breaker AS (
    INSERT INTO worker.endpoints (webhook_id, consecutive_failures, failing_since, open_until)
    SELECT id, 30, '-infinity', 'infinity' FROM hook
), hold AS (
    INSERT INTO worker.lane_holds (lane, cap, until_at)
    SELECT 'deliver_webhook:' || id, 0, 'infinity' FROM hook
), delivery AS (
    INSERT INTO public.webhook_deliveries
        (webhook_id, event_type, event_data, status, delivered_at, created_at)
    SELECT id, 'message.created', '{}', 'delivered', '-infinity', 'infinity' FROM hook
), mail AS (
    INSERT INTO public.email_logs (to_email, email_type, status, sent_at, created_at)
    VALUES ('a@example.com', 'welcome', 'uncertain', 'infinity', '-infinity')
)
INSERT INTO worker.processes (id, role, host, pid, queues, started_at, expires_at)
VALUES (gen_random_uuid(), 'worker', 'a', 1, '{"webhooks": {"threads": 1}}',
        '-infinity', 'infinity')
"""

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
