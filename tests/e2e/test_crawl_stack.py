"""A site crawled by real processes: from the command, through kills, to the report."""

import json
import signal
from collections.abc import Iterator
from functools import partial
from uuid import UUID

import pytest

from db import crawls, demo
from db.pool import Connection
from tests.crawling import page
from tests.fakes_site import Site, site
from tests.processes import Avivro, kill_group, wait_until

PAGES = 12


@pytest.fixture
def agent_id(conn: Connection) -> UUID:
    user_id = demo.ensure_user(conn, email="owner@example.com", full_name="Owner")
    return demo.create_agent(conn, user_id=user_id, name="Bot", description="", system_prompt="")


@pytest.fixture
def web(commands: Avivro) -> Iterator[Site]:
    """Pages in a chain, so that none is found before the one in front of it was read."""
    with site() as served:
        commands.env["EGRESS_ALLOW"] = f"127.0.0.1:{served.port}"
        for number in range(PAGES):
            links = [f"/{number + 1}"] if number + 1 < PAGES else []
            served.page(f"/{number}", page(f"Page {number}", *links))
        yield served


def children(conn: Connection) -> list[tuple[str, str]]:
    return conn.execute(
        "SELECT url, status FROM public.knowledge_sources WHERE parent_id IS NOT NULL"
    ).fetchall()


def has_pages(conn: Connection, count: int) -> bool:
    return len(children(conn)) >= count


def test_the_command_crawls_a_site_and_waits_for_its_report(
    commands: Avivro, conn: Connection, agent_id: UUID, web: Site
) -> None:
    crawled = commands.run(
        "ingest", str(agent_id), web.url("/0"), "--crawl", "--pages", "3", "--json"
    )

    (source,) = json.loads(crawled.stdout)
    assert (crawled.returncode, source["status"]) == (0, "completed"), crawled.stderr
    assert source["progress"]["pages_indexed"] == 3
    assert source["progress"]["limits_hit"] == ["pages_max"]
    assert [status for _, status in children(conn)] == ["completed"] * 3


@pytest.mark.parametrize("arguments", [("-", "--crawl"), ("http://a.example/", "--pages", "3")])
def test_a_crawl_of_no_site_is_a_wrong_command(
    commands: Avivro, agent_id: UUID, arguments: tuple[str, ...]
) -> None:
    assert commands.run("ingest", str(agent_id), *arguments).returncode == 2


def test_a_crawl_whose_worker_is_killed_asks_for_no_page_twice(
    commands: Avivro, conn: Connection, agent_id: UUID, web: Site
) -> None:
    commands.start("dispatcher")
    worker = commands.start("worker")
    settings = {"crawl": {"depth_max": 20}}
    source_id = crawls.create_site(
        conn, agent_id=agent_id, name="Site", url=web.url("/0"), settings=settings
    )
    for pages in (3, 7):
        wait_until(partial(has_pages, conn, pages), f"{pages} pages are found")
        kill_group(worker, signal.SIGKILL)
        worker = commands.start("worker")

    def status() -> str:
        row = conn.execute(
            "SELECT status FROM public.knowledge_sources WHERE id = %s", [source_id]
        ).fetchone()
        return row[0] if row else ""

    wait_until(lambda: status() in ("completed", "failed"), "the crawl is over", deadline_s=150)
    counts = [web.count(f"/{number}") for number in range(PAGES)]
    assert status() == "completed"
    assert len(children(conn)) == PAGES
    # With each kill at most one page was under way.
    assert sum(counts) <= PAGES + 2
    assert {state for _, state in children(conn)} == {"completed"}
