"""A tenant with a hundred slow sources leaves the thread free that another one's page needs."""

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import UUID

import pytest

from db import demo
from db.pool import Connection
from tests.fakes_site import Hit, Site, Wire, site
from tests.processes import Avivro, wait_until

SLOW_S = 4.0
SOURCES = 100
HOSTS = 10
# Of the five of a worker process.
THREADS_FOR_ONE = 4


@pytest.fixture
def slow_sites() -> Iterator[list[Site]]:
    """Each answers every page after SLOW_S, so that politeness to one is not what holds us up."""

    def answer(wire: Wire, hit: Hit) -> bool:
        body = f"<main><h1>{hit.path}</h1><p>Deliveries of {hit.path} leave on Monday.</p></main>"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
        if wire.wait(SLOW_S):
            wire.send(head + body)
        return True

    with ExitStack() as stack:
        sites = [stack.enter_context(site()) for _ in range(HOSTS)]
        for slow in sites:
            for number in range(SOURCES // HOSTS):
                slow.raw(f"/{number}", answer)
        yield sites


def agent_of(conn: Connection, name: str) -> UUID:
    user_id = demo.ensure_user(conn, email=f"{name}@example.com", full_name=name)
    return demo.create_agent(conn, user_id=user_id, name=name, description="", system_prompt="")


def insert(conn: Connection, agent_id: UUID, url: str) -> UUID:
    row = conn.execute(
        "INSERT INTO public.knowledge_sources (agent_id, name, type, url)"
        " VALUES (%s, 'page', 'url', %s) RETURNING id",
        (agent_id, url),
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def count(conn: Connection, agent_id: UUID, status: str) -> int:
    row = conn.execute(
        "SELECT count(*) FROM public.knowledge_sources WHERE agent_id = %s AND status = %s",
        (agent_id, status),
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_hundred_slow_sources_of_one_tenant_let_another_ones_page_pass(
    commands: Avivro, conn: Connection, slow_sites: list[Site]
) -> None:
    commands.env["EGRESS_ALLOW"] = "127.0.0.1"
    many, one = agent_of(conn, "many"), agent_of(conn, "one")
    slow_pages = [slow.url(path) for slow in slow_sites for path in sorted(slow.answers)]
    with conn.transaction():
        for page in slow_pages:
            insert(conn, many, page)
    commands.start("dispatcher")
    commands.start("worker")
    wait_until(lambda: count(conn, many, "completed") >= 1, "the flood is being worked off")

    before = count(conn, many, "completed")
    with site() as quick:
        insert(conn, one, quick.page("/", "<main><p>We deliver on Tuesdays.</p></main>"))
        wait_until(lambda: count(conn, one, "completed") == 1, "the other tenant's page is there")
    meanwhile = count(conn, many, "completed") - before

    # A slow page takes four seconds; behind even one round of them, at least four had ended.
    assert len(slow_pages) == SOURCES
    assert meanwhile <= THREADS_FOR_ONE
