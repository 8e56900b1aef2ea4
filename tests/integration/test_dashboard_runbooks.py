"""Alerts and runbooks on pages."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer

from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from tests.unit.test_findings import TROUBLES, judge
from workers.cli import app
from workers.dashboard.pages.runbooks import FOLDER, SLUGS
from workers.finding import Runbook

COMMAND = re.compile(r"`avivro ([a-z]+)(?: ([a-z]+))?")


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url, alert_email="on-call@example.com") as desk:
        yield desk


def open_alert(conn: Connection, title: str = "email stands still", *, over: bool = False) -> None:
    conn.execute(
        "INSERT INTO worker.alerts (key, level, title, evidence, advice, runbook, began_at,"
        " opened_at, seen_at, recovered_at) VALUES (%s, 'stop', %s, 'evidence <b>bold</b>',"
        " 'start one', 'queue-unserved', now() - interval '10 min', now() - interval '9 min',"
        " now(), CASE WHEN %s THEN now() END)",
        (title, title, over),
    )


def test_each_runbook_is_a_page_for_viewers(desk: Desk) -> None:
    browser = desk.browser("viewer")
    index = browser.get("/runbooks")

    for slug in get_args(Runbook):
        page = browser.get(f"/runbooks/{slug}")
        assert f'href="/runbooks/{slug}"' in index
        assert "What to press</h2>" in page
        assert "What not to do</h2>" in page


def test_what_stands_and_what_is_over_is_listed(conn: Connection, desk: Desk) -> None:
    open_alert(conn)
    open_alert(conn, "knowledge stood still", over=True)

    page = desk.browser("viewer").get("/runbooks")

    assert page.index("email stands still") < page.index("knowledge stood still")
    assert "evidence &lt;b&gt;bold&lt;/b&gt;" in page
    assert "nobody was told" in page
    assert "Nobody has watched yet" in page
    assert "email to on-call@example.com" in page


def test_a_runbook_shows_the_alert_that_led_to_it(conn: Connection, desk: Desk) -> None:
    open_alert(conn)
    browser = desk.browser("viewer")

    assert "email stands still" in browser.get("/runbooks/queue-unserved")
    assert "email stands still" not in browser.get("/runbooks/paused")


def test_a_watchdog_that_does_not_look_is_seen(conn: Connection, desk: Desk) -> None:
    conn.execute("UPDATE worker.watch SET looked_at = now(), looked_by = 'scheduler 1 on a'")
    watched = desk.browser("viewer").get("/runbooks")
    conn.execute("UPDATE worker.watch SET looked_at = now() - interval '5 min'")

    assert "Watched: scheduler 1 on a" in watched
    assert "Nobody watches" in desk.browser("viewer").get("/runbooks")


def test_strangers_see_no_alert_and_nothing_else_is_a_runbook(desk: Desk) -> None:
    assert desk.browser(None).status("/runbooks") == 303
    assert desk.browser("viewer").status("/runbooks/../secret") == 404
    assert desk.browser("viewer").status("/runbooks/nothing") == 404


@pytest.mark.parametrize("slug", SLUGS)
def test_runbooks_are_short_and_name_what_there_is(slug: str) -> None:
    text = (FOLDER / f"{slug}.md").read_text()
    group: Any = typer.main.get_command(app)
    known = {name: set(getattr(each, "commands", ())) for name, each in group.commands.items()}

    assert 20 <= len(text.splitlines()) <= 40
    assert all(f"## {part}" in text for part in ("How to see it", "What to press"))
    for command, verb in COMMAND.findall(text):
        assert command in known
        assert not known[command] or verb in known[command]
    for target in re.findall(r"\]\(/runbooks/([^)]+)\)", text):
        assert target in SLUGS


def test_whatever_a_finding_or_a_runbook_links_leads_to_a_page(desk: Desk) -> None:
    links = {
        link for seen in TROUBLES.values() for finding in judge(seen) for link in finding.links
    }
    paths = {path for _, path in links}
    for slug in SLUGS:
        paths |= set(re.findall(r"\]\((/[^)]*)\)", (FOLDER / f"{slug}.md").read_text()))
    browser = desk.browser("viewer")

    broken = {path: browser.status(path) for path in paths if browser.status(path) != 200}

    assert len(paths) > 15
    assert broken == {}
