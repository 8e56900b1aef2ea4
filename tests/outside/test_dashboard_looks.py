"""Every page of the dashboard in Chromium: wide, narrow, light and dark, by eye and by axe."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal
from uuid import uuid4

import pytest
from playwright.sync_api import Page

from db.embedded import Services
from db.pool import Connection, connect
from tests.benchmarks.dashboard_rows import fill
from tests.browsing import WIDTHS_PX, Stack, Window, axe_source, open_stack
from tests.conftest import fresh_database
from tests.processes import avivro
from workers.dashboard.site import PAGES

JOBS = 3_000
# Of a small laptop, a tablet and the smallest telephone.
BETWEEN_PX = (1024, 768, 320)
# What axe looks for. Themes differ in nothing but colours: the second is judged by these alone.
THEMES: dict[Literal["light", "dark"], list[str]] = {
    "light": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    "dark": ["color-contrast", "link-in-text-block"],
}
# Whoever can write a row can try this: no page may run it, nor break on it.
HOSTILE = (
    '<script>window.broken=1</script><img src=x onerror="window.broken=1">"\'`{{7*7}}${7*7}'
    "\u202e javascript:window.broken=1 \x1b[31m</textarea></td></table>" + "long" * 400
)


@pytest.fixture(scope="module")
def stack(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    assert services.redis_url is not None
    folder = tmp_path_factory.mktemp("looks")
    with fresh_database(services, template=template) as url:
        with connect(url, autocommit=True) as conn:
            fill(conn, JOBS)
            spoil(conn)
        with (
            avivro(
                folder / "run",
                DATABASE_URL=url,
                REDIS_URL=services.redis_url,
                AVIVRO_HOME=str(folder / "home"),
            ) as commands,
            open_stack(commands, url) as stack,
        ):
            yield stack


def spoil(conn: Connection) -> None:
    """Hostile text in every place that a page shows: each table's free text of some rows."""
    error = json.dumps([{"attempt": 1, "at": None, "error": HOSTILE, "trace": HOSTILE}])
    args = json.dumps({"source_id": str(uuid4()), HOSTILE: {"deep": [HOSTILE]}})
    conn.execute("SET session_replication_role = replica")
    for state in ("discarded", "retryable", "running", "available"):
        conn.execute(
            "INSERT INTO worker.jobs (kind, queue, state, args, errors, attempt, max_attempts,"
            " progress, started_at, finished_at, tenant) SELECT 'probe', 'default', %(state)s,"
            " %(args)s, %(error)s, 1, 3, %(args)s, now(),"
            " CASE WHEN %(state)s = 'discarded' THEN now() END, min(id::text)::uuid"
            " FROM public.user_profiles",
            {"state": state, "args": args, "error": error},
        )
    conn.execute("UPDATE public.user_profiles SET full_name = %s", (HOSTILE,))
    conn.execute(
        "UPDATE public.knowledge_sources SET name = %s, url = 'javascript:window.broken=1',"
        " error_message = %s WHERE status = 'failed'",
        (HOSTILE[:255], HOSTILE),
    )
    conn.execute("UPDATE public.webhooks SET name = %s", (HOSTILE[:255],))
    conn.execute("UPDATE public.email_logs SET error_message = %s", (HOSTILE,))
    conn.execute(
        "INSERT INTO worker.pauses (scope, name, reason) VALUES ('queue', 'email', %s)", (HOSTILE,)
    )
    conn.execute("SET session_replication_role = origin")


def details(conn: Connection) -> dict[str, str]:
    """The page of one thing of each sort, the most spoilt one."""
    queries = {
        "job": "SELECT '/jobs/' || max(id) FROM worker.jobs WHERE state = 'discarded'",
        "job-waiting": "SELECT '/jobs/' || max(id) FROM worker.jobs WHERE state = 'available'",
        "queue": "SELECT '/queues/email'",
        "tenant": "SELECT '/tenants/' || min(id::text) FROM public.user_profiles",
        "schedule": "SELECT '/schedules/prune'",
        "source": "SELECT '/knowledge/' || min(id::text) FROM public.knowledge_sources"
        " WHERE status = 'failed'",
        "webhook": "SELECT '/webhooks/' || min(id::text) FROM public.webhooks",
        "email": "SELECT '/email/' || min(id::text) FROM public.email_logs",
    }
    return {name: one(conn, query) for name, query in queries.items()}


def one(conn: Connection, query: str) -> str:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


def addresses(stack: Stack) -> dict[str, str]:
    lists = {name.lower(): path for path, name, _ in PAGES}
    more = {"account": "/account", "runbooks": "/runbooks", "refused": "/jobs/0"}
    return {**lists, **details(stack.conn), **more}


def problems_by_axe(page: Page, run_only: Sequence[str]) -> list[str]:
    """What axe calls serious or critical, with the first places."""
    found: dict[str, Any] = page.evaluate(
        "only => axe.run({runOnly: only, resultTypes: ['violations']})", run_only
    )
    return [
        f"{each['id']}: {each['help']}: "
        + "; ".join(node["html"][:200] for node in each["nodes"][:3])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def look(window: Window, name: str) -> list[str]:
    """Takes a picture in each theme; what is wrong with the page that is open, in either."""
    page = window.page
    assert page.viewport_size is not None
    width_px = page.viewport_size["width"]
    wrong = []
    page.evaluate(axe_source())
    for theme, rules in THEMES.items():
        page.emulate_media(color_scheme=theme)
        window.picture(f"{name}-{width_px}-{theme}")
        wrong += [f"{theme}: {problem}" for problem in problems_by_axe(page, rules)]
    for inner_px in (width_px, *(BETWEEN_PX if width_px == WIDTHS_PX[0] else ())):
        page.set_viewport_size({"width": inner_px, "height": 900})
        if (over := page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 0:
            wrong.append(f"{over} px too wide for {inner_px}")
    page.set_viewport_size({"width": width_px, "height": 900})
    if page.evaluate("window.broken"):
        wrong.append("runs what is in a row")
    return wrong


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_pages_fit_and_are_accessible(stack: Stack, width_px: int) -> None:
    with stack.window("admin", width_px=width_px) as window:
        wrong = {}
        for name, path in addresses(stack).items():
            window.open(path)
            if problems := look(window, name):
                wrong[path] = problems
        # A page that refuses says so with its status, which the browser notes.
        window.problems[:] = [each for each in window.problems if "404" not in each]

    assert wrong == {}


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_the_login_page_looks_well(stack: Stack, width_px: int) -> None:
    with stack.window(None, width_px=width_px) as window:
        page = window.open("/jobs?q=state:discarded")

        assert "/login" in page.url
        assert look(window, "login") == []


def test_pages_read_without_javascript(stack: Stack) -> None:
    with stack.window("viewer", java_script_enabled=False) as window:
        for path, name, _ in PAGES:
            page = window.open(path)

            assert name in page.title()
            assert page.locator("main").inner_text().strip()
            assert page.locator(f'.nav a[href="{path}"][aria-current="page"]').count() == 1
