"""Sources that sign in elsewhere, by real processes: from the key in the environment to answers."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from db import demo
from db.pool import Connection
from tests.fakes_api import TOKEN as API_TOKEN
from tests.fakes_api import FakeApi, api
from tests.fakes_drive import FakeDrive, drive
from tests.fakes_notion import TOKEN as NOTION_TOKEN
from tests.fakes_notion import FakeNotion, block, notion
from tests.fakes_storage import SERVICE_KEY, FakeStorage, storage
from tests.processes import Avivro, wait_until
from tests.traces import holds

DRIVE_TOKEN = "ya29.given-and-never-to-be-seen"
SECRETS = (API_TOKEN, NOTION_TOKEN, DRIVE_TOKEN, SERVICE_KEY)


@dataclass
class World:
    owner: UUID
    agent: UUID
    api: FakeApi
    notion: FakeNotion
    drive: FakeDrive
    storage: FakeStorage


@pytest.fixture
def world(commands: Avivro, conn: Connection) -> Iterator[World]:
    owner = demo.ensure_user(conn, email="owner@example.com", full_name="Owner")
    agent = demo.create_agent(conn, user_id=owner, name="Bot", description="", system_prompt="")
    with ExitStack() as stack:
        served = [stack.enter_context(fake()) for fake in (api, notion, drive, storage)]
        made = World(owner, agent, *served)  # type: ignore[arg-type]
        commands.env |= {
            "EGRESS_ALLOW": "127.0.0.1",
            "CREDENTIALS_KEY": "ab" * 32,
            "SUPABASE_URL": made.storage.url,
            "SUPABASE_SERVICE_ROLE_KEY": SERVICE_KEY,
        }
        yield made


def insert(conn: Connection, world: World, type: str, **fields: Any) -> UUID:
    columns = {"agent_id": world.agent, "name": type, "type": type, **fields}
    names, places = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
    row = conn.execute(
        f"INSERT INTO public.knowledge_sources ({names}) VALUES ({places}) RETURNING id".encode(),
        columns,
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def set_credentials(conn: Connection, world: World, source_id: UUID, **values: Any) -> None:
    with conn.transaction():
        claims = json.dumps({"sub": str(world.owner)})
        conn.execute("SELECT set_config('request.jwt.claims', %s, true)", [claims])
        conn.execute("SET LOCAL ROLE authenticated")
        conn.execute("SELECT public.set_source_credentials(%s, %s)", [source_id, Jsonb(values)])


def test_each_kind_of_source_signs_in_and_no_secret_is_left_anywhere(
    commands: Avivro, conn: Connection, world: World
) -> None:
    world.api.needs_token = True
    world.api.add(3)
    world.notion.add_page("Home", block("paragraph", "written in Notion"))
    world.drive.tokens.add(DRIVE_TOKEN)
    file_id = world.drive.add("plan.txt", "kept in the drive")
    world.storage.put(f"files/{world.owner}/a.txt", "stored in private")
    commands.start("up")
    articles = insert(
        conn,
        world,
        "api",
        url=f"{world.api.url}/articles",
        settings=Jsonb(
            {"headers": {"Authorization": "Bearer {{token}}"}, "items": "$.data[*]", "id": "$.id"}
        ),
    )
    pages = insert(conn, world, "notion", settings=Jsonb({"base_url": world.notion.url}))
    files = insert(
        conn,
        world,
        "google_drive",
        settings=Jsonb({"base_url": world.drive.url, "file_ids": [file_id]}),
    )
    insert(conn, world, "file", file_url=f"storage://files/{world.owner}/a.txt")

    for source_id, values in (
        (articles, {"token": API_TOKEN}),
        (pages, {"token": NOTION_TOKEN}),
        (files, {"access_token": DRIVE_TOKEN}),
    ):
        set_credentials(conn, world, source_id, **values)

    wait_until(lambda: are_completed(conn), "all sources are read")
    tables = conn.execute(
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_schema IN ('public', 'worker') AND table_type = 'BASE TABLE'"
    ).fetchall()
    places = [t for s, t in tables for secret in SECRETS if holds(conn, s, t, secret)]
    assert places == []
    assert [secret for secret in SECRETS if secret in commands.log("up")] == []
    found = commands.run("search", str(world.agent), "written in Notion", "--json")
    assert "written in Notion" in found.stdout


def are_completed(conn: Connection) -> bool | None:
    rows = conn.execute("SELECT status FROM public.knowledge_sources").fetchall()
    return (len(rows) == 4 and {row[0] for row in rows} == {"completed"}) or None
