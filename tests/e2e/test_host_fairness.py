"""A tenant with a hundred pages of one host does not stand before another tenant's only one."""

from uuid import UUID

from db import demo
from db.pool import Connection
from pipelines.gateways.polite import GAP_S
from tests.crawling import page
from tests.fakes_site import site
from tests.processes import Avivro, wait_until

SOURCES = 100
# What goes by in five seconds.
MEANWHILE_MAX = round(5 / GAP_S)


def agent_of(conn: Connection, name: str) -> UUID:
    user_id = demo.ensure_user(conn, email=f"{name}@example.com", full_name=name)
    return demo.create_agent(conn, user_id=user_id, name=name, description="", system_prompt="")


def insert(conn: Connection, agent_id: UUID, url: str) -> None:
    conn.execute(
        "INSERT INTO public.knowledge_sources (agent_id, name, type, url)"
        " VALUES (%s, 'page', 'url', %s)",
        (agent_id, url),
    )


def count(conn: Connection, agent_id: UUID, status: str) -> int:
    row = conn.execute(
        "SELECT count(*) FROM public.knowledge_sources WHERE agent_id = %s AND status = %s",
        (agent_id, status),
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_the_only_page_of_a_tenant_is_not_behind_a_hundred_of_another_one(
    commands: Avivro, conn: Connection
) -> None:
    many, one = agent_of(conn, "many"), agent_of(conn, "one")
    with site() as web:
        commands.env["EGRESS_ALLOW"] = f"127.0.0.1:{web.port}"
        with conn.transaction():
            for number in range(SOURCES):
                insert(conn, many, web.page(f"/{number}", page(f"Page {number}")))
        commands.start("dispatcher")
        commands.start("worker")
        wait_until(lambda: count(conn, many, "completed") >= 5, "the flood is being worked off")

        before = len(web.hits)
        insert(conn, one, web.page("/one", page("The only one")))
        wait_until(lambda: web.count("/one") == 1, "the other tenant's page is read")
        meanwhile = len(web.hits) - before
        wait_until(lambda: count(conn, one, "completed") == 1, "and indexed")

    assert meanwhile <= MEANWHILE_MAX
    assert count(conn, many, "failed") == 0
