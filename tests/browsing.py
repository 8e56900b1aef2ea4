"""A real stack with its dashboard, and Chromium windows that are logged in to it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from db import operators
from db.pool import Connection, connect
from tests.processes import ROOT, Avivro, wait_until
from workers.cli import preview
from workers.dashboard import sessions
from workers.dashboard.sessions import COOKIE

READY = re.compile(r"dashboard ready: (http://[\w.]+:\d+)")
PICTURES = ROOT / "artefacts" / "dashboard"
# What a page shows comes from processes that share two processors with other tests.
SHOWN_MS_MAX = 30_000
# A desk, and a telephone.
WIDTHS_PX = (1440, 390)


@dataclass
class Window:
    """A page of the browser; what went wrong in it is kept."""

    page: Page
    base: str
    problems: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.base}{path}")
        return self.page

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


@dataclass
class Stack:
    """Processes that run, their database, and the address of their dashboard."""

    commands: Avivro
    conn: Connection
    database_url: str
    base: str
    browser: Browser

    def enqueue(self, kind: str, args: str = "{}", **columns: Any) -> int:
        row = self.conn.execute(
            "SELECT worker.enqueue(%s, %s::jsonb, priority => %s)",
            (kind, args, columns.get("priority", 0)),
        ).fetchone()
        assert row is not None
        return int(row[0])

    def state(self, job_id: int) -> str:
        row = self.conn.execute("SELECT state FROM worker.jobs WHERE id = %s", (job_id,)).fetchone()
        assert row is not None
        return str(row[0])

    def wait_for_state(self, job_id: int, *states: str) -> None:
        wait_until(lambda: self.state(job_id) in states, f"job {job_id} is {' or '.join(states)}")

    @contextmanager
    def window(
        self, role: str | None = "operator", *, width_px: int = 1440, **options: Any
    ) -> Iterator[Window]:
        """A new window, logged in as somebody of that role; fails the test on a page's error."""
        context = self.browser.new_context(
            viewport={"width": width_px, "height": 900}, reduced_motion="reduce", **options
        )
        if role is not None:
            self._log_in(context, role)
        window = Window(context.new_page(), self.base)
        window.page.on("pageerror", lambda error: window.problems.append(str(error)))
        window.page.on(
            "console",
            lambda message: (
                window.problems.append(message.text) if message.type == "error" else None
            ),
        )
        yield window
        context.close()
        assert window.problems == []

    def _log_in(self, context: BrowserContext, role: str) -> None:
        with connect(self.database_url) as conn:
            operator_id = operators.insert_operator(conn, f"{role}-{uuid4().hex[:6]}", role=role)
            assert operator_id is not None
            token = sessions.begin(conn, operator_id, user_agent="tests")
        context.add_cookies([{"name": COOKIE, "value": token, "url": self.base}])


@contextmanager
def open_stack(commands: Avivro, database_url: str, *roles: str) -> Iterator[Stack]:
    """Starts the dashboard and processes of `roles`."""
    commands.env["DASHBOARD_PORT"] = "0"
    expect.set_options(timeout=SHOWN_MS_MAX)
    for role in (*roles, "dashboard"):
        commands.start(role)
    ready = wait_until(lambda: READY.search(commands.log("dashboard")), "the dashboard listens")
    with connect(database_url, autocommit=True) as conn, sync_playwright() as tools:
        if roles:
            wait_until(lambda: is_running(conn, roles), f"{', '.join(roles)} run")
        browser = tools.chromium.launch(
            executable_path=preview.find_browser(), args=["--no-sandbox"]
        )
        yield Stack(commands, conn, database_url, ready[1], browser)
        browser.close()


def is_running(conn: Connection, roles: tuple[str, ...]) -> bool:
    rows = conn.execute("SELECT DISTINCT role FROM worker.processes").fetchall()
    return {row[0] for row in rows} >= set(roles)


def axe_source() -> str:
    folder = Path(__file__).parent / "outside/web_tier/node_modules/axe-core"
    found = folder / "axe.min.js"
    assert found.exists(), f"{found} is missing: run .ci/install-tools"
    return found.read_text()
