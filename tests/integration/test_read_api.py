"""Sources of type `api`, through real indexing, against a server with every way of paging."""

import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from pipelines.errors import Permanent, Transient
from pipelines.gateways import patience
from tests.fakes_api import TOKEN, FakeApi, api
from tests.fakes_http import Answer, as_json
from tests.knowledge import Indexing
from tests.traces import watching

ITEMS: dict[str, Any] = {
    "items": "$.data[*]",
    "id": "$.id",
    "title": "$.title",
    "content": "$.body",
}
SIGNED: dict[str, Any] = {"headers": {"Authorization": "Bearer {{token}}"}}


@pytest.fixture
def server() -> Iterator[FakeApi]:
    with api() as served:
        yield served


def insert(knowledge: Indexing, server: FakeApi, path: str = "/articles", **settings: Any) -> UUID:
    return knowledge.insert("api", url=f"{server.url}{path}", settings=Jsonb({"api": settings}))


def told(number: int) -> str:
    return f"Number {number} tells of the colour c{number}."


def test_each_item_is_a_document_with_its_title_and_address(
    knowledge: Indexing, server: FakeApi
) -> None:
    server.add(2)
    source_id = insert(knowledge, server, **ITEMS, link="$.url")

    knowledge.run()

    chunks = knowledge.chunks(source_id)
    assert [chunk["content"] for chunk in chunks] == [told(1), told(2)]
    assert chunks[1]["metadata"]["document"] == {
        "key": "2",
        "title": "Article 2",
        "url": f"{server.url}/read/2",
    }


def test_a_path_to_the_list_means_what_is_in_it(knowledge: Indexing, server: FakeApi) -> None:
    server.add(2)
    source_id = insert(knowledge, server, **{**ITEMS, "items": "data"})

    knowledge.run()

    assert knowledge.contents(source_id) == [told(1), told(2)]


@pytest.mark.parametrize(
    "paging",
    [
        {"next": "$.next"},
        {"cursor": {"path": "$.cursor", "param": "cursor"}},
        {"cursor": {"path": "$.cursor", "more": "$.has_more"}},
        {"page": {"param": "page", "start": 1}},
        {"page": {"param": "page", "size_param": "per_page", "size": 7}},
        {"offset": {"param": "offset", "size_param": "limit", "size": 10}},
        {"link_header": True},
    ],
)
def test_every_way_of_paging_reads_each_item_once(
    knowledge: Indexing, server: FakeApi, paging: dict[str, Any]
) -> None:
    server.add(35)
    source_id = insert(knowledge, server, **ITEMS, paging=paging)

    knowledge.run()

    assert knowledge.contents(source_id) == [told(number) for number in range(1, 36)]


def test_a_posted_body_carries_the_cursor(knowledge: Indexing, server: FakeApi) -> None:
    server.add(15)
    paging = {"cursor": {"path": "$.cursor"}}
    source_id = insert(knowledge, server, method="POST", body={"limit": 5}, paging=paging, **ITEMS)

    knowledge.run()

    assert len(knowledge.contents(source_id)) == 15
    assert [call.json.get("cursor") for call in server.calls] == [None, 5, 10]


def test_several_contents_and_no_content_path_are_readable(
    knowledge: Indexing, server: FakeApi
) -> None:
    value = {"data": [{"id": 1, "q": "What is it?", "a": ["blue", "green"]}]}
    server.pages["/faq"] = as_json(value)
    joined = insert(knowledge, server, "/faq", items="$.data[*]", content=["$.q", "$.a"])
    knowledge.run()
    whole = insert(knowledge, server, "/faq", items="$.data[*]")
    knowledge.run()

    (first,), (second,) = knowledge.contents(joined), knowledge.contents(whole)

    assert first == 'What is it?\n\n["blue", "green"]'
    assert "What is it?" in second
    assert "green" in second


def test_all_that_a_content_path_finds_is_read(knowledge: Indexing, server: FakeApi) -> None:
    value = {"data": [{"id": 1, "faq": [{"a": "Red."}, {"a": "Green."}]}]}
    server.pages["/faq"] = as_json(value)
    source_id = insert(knowledge, server, "/faq", items="$.data[*]", content="$.faq[*].a")

    knowledge.run()

    assert knowledge.contents(source_id) == ["Red.\n\nGreen."]


def test_a_text_endpoint_is_one_document(knowledge: Indexing, server: FakeApi) -> None:
    page = Answer(200, "Öffnungszeiten: 9 bis 17 Uhr".encode(), {"Content-Type": "text/plain"})
    server.pages["/hours"] = page
    source_id = insert(knowledge, server, "/hours")

    knowledge.run()

    assert knowledge.contents(source_id) == ["Öffnungszeiten: 9 bis 17 Uhr"]


def test_credentials_are_sent_and_never_shown(knowledge: Indexing, server: FakeApi) -> None:
    server.add(12)
    server.needs_token = True
    source_id = insert(knowledge, server, **ITEMS, **SIGNED, paging={"next": "$.next"})
    knowledge.set_credentials(source_id, token=TOKEN)

    with watching() as traces:
        knowledge.run()

    assert len(knowledge.contents(source_id)) == 12
    assert traces.places(knowledge.conn, TOKEN) == []


def echo(call: Any) -> Answer:
    """What a careless server says: everything that it was sent."""
    shown = f"{call.headers} {call.path} {dict(call.query)} {TOKEN}"
    return as_json({"error": shown, "data": [{"id": TOKEN, "body": shown}]}, status=500)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 422, 429, 500])
def test_a_server_that_repeats_the_secret_gets_it_nowhere(
    knowledge: Indexing, server: FakeApi, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    path = "/articles?key={{token}}"
    source_id = insert(knowledge, server, path, **ITEMS, **SIGNED)
    knowledge.set_credentials(source_id, token=TOKEN)
    for number in range(1, 9):
        server.mishaps[number] = lambda call: Answer(
            status, echo(call).body, {"Content-Type": "application/json", "ETag": f'"{TOKEN}"'}
        )

    with watching() as traces:
        try:
            knowledge.run()
        except (Permanent, Transient):
            logging.getLogger("worker").exception("as a worker would")

    assert TOKEN in str(server.calls[0].query.values())
    assert traces.places(knowledge.conn, TOKEN) == []
    assert traces.places(knowledge.conn, "%2F%2B42") == []


def test_a_refused_token_tells_what_to_check(knowledge: Indexing, server: FakeApi) -> None:
    server.needs_token = True
    source_id = insert(knowledge, server, **ITEMS)

    with pytest.raises(Permanent):
        knowledge.run()

    message = knowledge.source(source_id)["error_message"]
    assert "check the credentials of this source" in message


def test_credentials_that_come_later_run_the_source_again(
    knowledge: Indexing, server: FakeApi
) -> None:
    server.add(1)
    server.needs_token = True
    source_id = insert(knowledge, server, **ITEMS, **SIGNED)
    with pytest.raises(Permanent, match="enter them for this source"):
        knowledge.run()

    knowledge.set_credentials(source_id, token=TOKEN)
    knowledge.run()

    assert knowledge.source(source_id)["status"] == "completed"


def test_secrets_follow_no_redirect_to_another_server(knowledge: Indexing, server: FakeApi) -> None:
    with api() as thief:
        server.pages["/articles"] = Answer(302, b"", {"Location": f"{thief.url}/articles"})
        source_id = insert(knowledge, server, **ITEMS, headers={"X-Key": "{{token}}"})
        knowledge.set_credentials(source_id, token=TOKEN)
        thief.add(1)

        knowledge.run()

    assert thief.calls
    assert TOKEN not in str(thief.calls)


def test_a_redirected_post_is_not_followed(knowledge: Indexing, server: FakeApi) -> None:
    with api() as thief:
        server.pages["/articles"] = Answer(307, b"", {"Location": f"{thief.url}/articles"})
        source_id = insert(knowledge, server, **ITEMS, method="POST", body={"key": "{{token}}"})
        knowledge.set_credentials(source_id, token=TOKEN)

        with pytest.raises(Permanent, match="redirect, which is not followed"):
            knowledge.run()

    assert thief.calls == []


def test_a_next_page_on_another_server_is_refused(knowledge: Indexing, server: FakeApi) -> None:
    with api() as thief:
        body = {"data": [{"id": 1, "body": "x"}], "next": f"{thief.url}/articles"}
        server.pages["/articles"] = as_json(body)
        insert(knowledge, server, **ITEMS, paging={"next": "$.next"})

        with pytest.raises(Permanent, match="next page on another server"):
            knowledge.run()

    assert thief.calls == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"])
def test_an_address_inside_is_not_reached(knowledge: Indexing, server: FakeApi, host: str) -> None:
    from pipelines.gateways.addresses import Egress
    from pipelines.gateways.http import Client

    knowledge.client.close()
    knowledge.client = Client(Egress.parse(""))
    port = server.url.rpartition(":")[2]
    knowledge.insert("api", url=f"http://{host}:{port}/articles", settings=Jsonb({"api": ITEMS}))

    with pytest.raises(Permanent):
        knowledge.run()

    assert server.calls == []
