"""A page that refreshes itself, and an agent that changes its model, by real processes."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from db import demo
from db.pool import Connection
from tests.fakes import FakeOpenAI, fake_openai
from tests.fakes_site import Site, site
from tests.processes import Avivro, wait_until

ADA = "text-embedding-ada-002"
PAGE = (
    "<html><head><title>Shop</title></head><body><main><h1>Returns</h1>"
    "<p>You may send anything back within {} days of delivery.</p></main></body></html>"
)


@pytest.fixture
def agent_id(conn: Connection) -> UUID:
    user_id = demo.ensure_user(conn, email="owner@example.com", full_name="Owner")
    return demo.create_agent(conn, user_id=user_id, name="Bot", description="", system_prompt="")


@pytest.fixture
def web(commands: Avivro) -> Iterator[Site]:
    with site() as served:
        commands.env["EGRESS_ALLOW"] = f"127.0.0.1:{served.port}"
        yield served


@pytest.fixture
def openai(commands: Avivro) -> Iterator[FakeOpenAI]:
    with fake_openai() as fake:
        commands.env |= {"OPENAI_API_KEY": fake.api_key, "OPENAI_BASE_URL": fake.base_url}
        yield fake


def one(conn: Connection, query: str) -> Any:
    row = conn.execute(query.encode()).fetchone()
    return None if row is None else row[0]


def test_a_due_page_is_refreshed_by_the_scheduler(
    commands: Avivro, conn: Connection, agent_id: UUID, web: Site
) -> None:
    web.page("/", PAGE.format("thirty"), headers={"ETag": '"1"'})
    commands.start("up")
    conn.execute(
        "INSERT INTO public.knowledge_sources (agent_id, name, type, url, auto_sync)"
        " VALUES (%s, 'page', 'url', %s, true)",
        (agent_id, web.url("/")),
    )
    wait_until(
        lambda: one(conn, "SELECT status FROM public.knowledge_sources") == "completed",
        "the page is indexed",
    )
    web.page("/", PAGE.format("ninety"), headers={"ETag": '"2"'})

    conn.execute("UPDATE public.knowledge_sources SET last_synced_at = now() - interval '2 days'")
    commands.run("schedules", "run", "schedule_resyncs")

    wait_until(
        lambda: "ninety" in one(conn, "SELECT content FROM public.knowledge_chunks"),
        "the page is refreshed",
    )
    asked = [hit.headers.get("if-none-match") for hit in web.hits if hit.path == "/"]
    assert asked == [None, '"1"']


def test_an_agent_changes_its_model_through_real_workers(
    commands: Avivro, conn: Connection, agent_id: UUID, openai: FakeOpenAI
) -> None:
    conn.execute("UPDATE public.agents SET embedding_model = 'wordllama-256'")
    commands.start("up")
    for number in range(3):
        conn.execute(
            "INSERT INTO public.knowledge_sources (agent_id, name, type, content)"
            " VALUES (%s, 'text', 'text', %s)",
            (agent_id, f"We deliver order {number} on Tuesdays and Fridays."),
        )
    wait_until(lambda: one(conn, "SELECT count(*) FROM knowledge_chunks") == 3, "all is indexed")

    asked = commands.run("models", "change", str(agent_id), ADA, "--yes")

    wait_until(
        lambda: (
            one(conn, "SELECT array_agg(DISTINCT embedding_model) FROM knowledge_chunks") == [ADA]
        ),
        "only the new chunks are left",
    )
    assert asked.returncode == 0, asked.stderr
    assert one(conn, "SELECT embedding_model FROM public.agents") == ADA
    assert len(openai.billed) == 3
