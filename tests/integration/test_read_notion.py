"""Sources of type `notion`, through real indexing, against a server that speaks Notion's API."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from notion_client import Client as OfficialClient
from notion_client.errors import APIResponseError, UnknownHTTPResponseError
from psycopg.types.json import Jsonb

from pipelines.gateways import patience
from pipelines.readers import notion as reader
from tests.fakes_notion import TOKEN, FakeNotion, block, id_of, notion, words
from tests.knowledge import Indexing
from tests.resyncing import resync

LATER = "2025-03-01T10:00:00.000Z"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNotion]:
    monkeypatch.setattr(reader, "RATE_PER_S", 1000.0)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    with notion() as served:
        yield served


def insert(knowledge: Indexing, server: FakeNotion, **settings: Any) -> UUID:
    given = Jsonb({"base_url": server.url, **settings})
    source_id = knowledge.insert("notion", settings=given)
    knowledge.set_credentials(source_id, token=TOKEN)
    return source_id


def paragraph(text: str, *inside: Any) -> dict[str, Any]:
    return block("paragraph", text, *inside)


def test_the_server_is_as_strict_as_notion_to_its_own_client(server: FakeNotion) -> None:
    id = server.add_page("Home", *(paragraph(f"line {n}") for n in range(150)))
    client: Any = OfficialClient(auth=TOKEN, base_url=server.url, retry=False)

    first = client.blocks.children.list(id, page_size=100)
    rest = client.blocks.children.list(id, start_cursor=first["next_cursor"])
    refusals = []
    asks: tuple[Callable[[], Any], ...] = (
        lambda: client.blocks.children.list(id, page_size=101),
        lambda: client.blocks.children.list(id, start_cursor="what"),
        lambda: client.pages.retrieve(id_of("unknown")),
        lambda: OfficialClient(auth="x", base_url=server.url).pages.retrieve(id),
        lambda: OfficialClient(
            auth=TOKEN, base_url=server.url, notion_version="2022-06-28"
        ).pages.retrieve(id),
    )
    for ask in asks:
        with pytest.raises((APIResponseError, UnknownHTTPResponseError)) as raised:
            ask()
        refusals.append(raised.value.status)

    assert (len(first["results"]), len(rest["results"]), rest["has_more"]) == (100, 50, False)
    assert refusals == [400, 400, 404, 401, 400]


def add_handbook(server: FakeNotion) -> str:
    """A page with a block of nearly every type."""
    row = {"type": "table_row", "table_row": {"cells": [words("Basic"), words("5 €")]}}
    head = {"type": "table_row", "table_row": {"cells": [words("Plan"), words("Price")]}}
    return server.add_page(
        "Handbook",
        paragraph("Welcome."),
        block("heading_1", "Prices"),
        {"type": "table", "table": {"has_column_header": True}, "inside": [head, row]},
        block("heading_2", "Steps"),
        block("numbered_list_item", "First", block("bulleted_list_item", "inner")),
        block("numbered_list_item", "Second"),
        block("to_do", "Third", checked=True),
        block("toggle", "More", paragraph("hidden in the toggle")),
        block("quote", "Said once."),
        block("callout", "Mind the gap."),
        block("code", "print(1)\nprint(2)", caption=words("a program")),
        block("equation", expression="E = mc^2"),
        block("divider"),
        block("bookmark", url="https://example.com/x", caption=[]),
        block("image", caption=words("A chart")),
        {
            "type": "column_list",
            "column_list": {},
            "inside": [
                block("column", None, paragraph("left")),
                block("column", None, paragraph("right")),
            ],
        },
        block("synced_block", None, paragraph("shared text"), synced_from=None),
        {"type": "unsupported", "unsupported": {}},
    )


def test_a_page_keeps_its_structure(knowledge: Indexing, server: FakeNotion) -> None:
    id = add_handbook(server)
    source_id = insert(knowledge, server, pages=[id])

    knowledge.run()

    text = "\n\n".join(knowledge.contents(source_id))
    for part in (
        "Welcome.",
        "| Plan | Price |\n| --- | --- |\n| Basic | 5 € |",
        "1. First\n  - inner\n2. Second\n- [x] Third",
        "More\n\nhidden in the toggle",
        "Said once.\n\nMind the gap.\n\nprint(1)\nprint(2)\n\na program\n\nE = mc^2",
        "https://example.com/x\n\nA chart\n\nleft\n\nright\n\nshared text",
    ):
        assert part in text
    (chunk,) = knowledge.chunks(source_id)
    assert chunk["metadata"]["document"]["title"] == "Handbook"
    assert chunk["metadata"]["document"]["url"].startswith("https://www.notion.so/Handbook-")


def test_long_pages_are_read_to_their_end(knowledge: Indexing, server: FakeNotion) -> None:
    id = server.add_page("Long", *(paragraph(f"line number {n}") for n in range(250)))
    source_id = insert(knowledge, server, pages=[id])

    knowledge.run()

    text = "\n\n".join(knowledge.contents(source_id))
    assert [f"line number {n}" in text for n in (0, 100, 249)] == [True] * 3
    assert server.asked("/children") == 3


def test_child_pages_and_databases_are_followed(knowledge: Indexing, server: FakeNotion) -> None:
    child = server.add_page("Child", paragraph("in the child"))
    status = {"Status": {"id": "s", "type": "status", "status": {"name": "Done"}}}
    tags = {"Tags": {"type": "multi_select", "multi_select": [{"name": "a"}, {"name": "b"}]}}
    row = server.add_page("Row", paragraph("in the row"), properties={**status, **tags})
    table = server.add_database("Table", [row])
    id = server.add_page(
        "Parent",
        {"type": "child_page", "child_page": {"title": "Child"}, "id": child},
        {"type": "child_database", "child_database": {"title": "Table"}, "id": table},
    )
    source_id = insert(knowledge, server, pages=[server.pages[id]["url"]])

    knowledge.run()

    assert knowledge.contents(source_id) == [
        "Parent",
        "Child\n\nin the child",
        "Row\n\nStatus: Done\nTags: a, b\n\nin the row",
    ]


@pytest.mark.parametrize("name", ["databases", "data_sources"])
def test_a_database_is_named_by_its_id_or_its_data_sources(
    knowledge: Indexing, server: FakeNotion, name: str
) -> None:
    rows = [server.add_page(f"Row {n}", paragraph(f"text {n}")) for n in range(3)]
    table = server.add_database("Table", rows)
    id = table if name == "databases" else id_of("Table source")
    source_id = insert(knowledge, server, **{name: [id]})

    knowledge.run()

    assert len(knowledge.contents(source_id)) == 3


def test_without_names_everything_that_is_shared_is_read(
    knowledge: Indexing, server: FakeNotion
) -> None:
    server.results_max = 2
    rows = [server.add_page(f"Row {n}", paragraph(f"text {n}")) for n in range(3)]
    server.add_database("Table", rows)
    server.add_page("Home", paragraph("at home"))
    source_id = insert(knowledge, server)

    knowledge.run()

    assert len(knowledge.contents(source_id)) == 4


def test_of_many_pages_the_edited_one_alone_is_read_again(
    knowledge: Indexing, server: FakeNotion
) -> None:
    ids = [server.add_page(f"Page {n}", paragraph(f"text {n}")) for n in range(5)]
    source_id = insert(knowledge, server)
    knowledge.run()
    before = {chunk["content"]: chunk["edition"] for chunk in knowledge.chunks(source_id)}
    server.calls.clear()

    server.edit(ids[2], paragraph("new text"), edited=LATER)
    done = resync(knowledge, source_id)

    after = {chunk["content"]: chunk["edition"] for chunk in knowledge.chunks(source_id)}
    assert server.asked("/children") == 1
    assert (done["chunks_added"], done["chunks_removed"]) == (1, 1)
    assert after.keys() - before.keys() == {"Page 2\n\nnew text"}
    assert all(after[key] == before[key] for key in after if key in before)


def test_a_workspace_that_did_not_change_is_not_written(
    knowledge: Indexing, server: FakeNotion
) -> None:
    child = server.add_page("Child", paragraph("in the child"))
    link = {"type": "child_page", "child_page": {"title": "Child"}, "id": child}
    id = server.add_page("Page", paragraph("text"), link)
    source_id = insert(knowledge, server, pages=[id])
    knowledge.run()
    before = knowledge.chunks(source_id)
    server.calls.clear()

    done = resync(knowledge, source_id)

    assert done["unchanged"]
    assert server.asked("/children") == 0
    assert knowledge.chunks(source_id) == before


def test_running_twice_changes_nothing(knowledge: Indexing, server: FakeNotion) -> None:
    server.add_page("Page", paragraph("text"))
    source_id = insert(knowledge, server)
    knowledge.run()
    before = knowledge.chunks(source_id)

    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = 'pending'")
    knowledge.run()

    assert knowledge.chunks(source_id) == before


def test_a_page_edited_within_the_minute_it_was_read_is_read_again(
    knowledge: Indexing, server: FakeNotion
) -> None:
    from datetime import UTC, datetime

    minute = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:00.000Z")
    id = server.add_page("Page", paragraph("first"), edited=minute)
    source_id = insert(knowledge, server)
    knowledge.run()

    server.edit(id, paragraph("second"), edited=minute)
    resync(knowledge, source_id)

    assert knowledge.contents(source_id) == ["Page\n\nsecond"]


def test_a_changed_property_is_noticed_whatever_the_time_says(
    knowledge: Indexing, server: FakeNotion
) -> None:
    formula = {"type": "formula", "formula": {"type": "number", "number": 1}}
    row = server.add_page("Row", properties={"Left": formula})
    server.add_database("Table", [row])
    source_id = insert(knowledge, server)
    knowledge.run()

    server.pages[row]["properties"]["Left"] = {
        **formula,
        "formula": {"type": "number", "number": 2},
    }
    resync(knowledge, source_id)

    assert knowledge.contents(source_id) == ["Row\n\nLeft: 2"]


@pytest.mark.parametrize("way", ["archived", "in_trash", "unshared"])
def test_what_is_gone_from_notion_is_gone_from_the_answers(
    knowledge: Indexing, server: FakeNotion, way: str
) -> None:
    ids = [server.add_page(f"Page {n}", paragraph(f"text {n}")) for n in range(2)]
    source_id = insert(knowledge, server, pages=ids)
    knowledge.run()

    if way == "unshared":
        server.unshared.add(ids[0])
    else:
        server.pages[ids[0]][way] = True
    resync(knowledge, source_id)

    assert knowledge.contents(source_id) == ["Page 1\n\ntext 1"]
