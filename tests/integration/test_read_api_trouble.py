"""APIs that changed, misbehave or never end, and what the customer is told."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from db.fence import Cancelled
from pipelines.errors import Permanent, Transient
from pipelines.readers import budget
from tests.fakes_api import FakeApi, api
from tests.fakes_http import Answer, as_json
from tests.knowledge import Indexing
from tests.resyncing import resync

ITEMS: dict[str, Any] = {
    "items": "$.data[*]",
    "id": "$.id",
    "title": "$.title",
    "content": "$.body",
}


@pytest.fixture
def server() -> Iterator[FakeApi]:
    with api() as served:
        yield served


def insert(knowledge: Indexing, server: FakeApi, path: str = "/articles", **settings: Any) -> UUID:
    return knowledge.insert("api", url=f"{server.url}{path}", settings=Jsonb({"api": settings}))


def told(number: int) -> str:
    return f"Number {number} tells of the colour c{number}."


def test_an_unchanged_page_costs_one_conditional_request(
    knowledge: Indexing, server: FakeApi
) -> None:
    server.add(5)
    source_id = insert(knowledge, server, **ITEMS)
    knowledge.run()
    before = knowledge.chunks(source_id)

    done = resync(knowledge, source_id)

    assert done["unchanged"]
    assert [call.headers.get("if-none-match") is None for call in server.calls] == [True, False]
    assert knowledge.chunks(source_id) == before


def test_of_many_items_the_changed_ones_alone_are_embedded(
    knowledge: Indexing, server: FakeApi
) -> None:
    server.add(35)
    source_id = insert(knowledge, server, **ITEMS, paging={"next": "$.next"})
    knowledge.run()
    before = {chunk["content"]: chunk["id"] for chunk in knowledge.chunks(source_id)}

    server.articles[3]["body"] = "<p>Number 4 is another now.</p>"
    del server.articles[10]
    server.add(1, first=99)
    done = resync(knowledge, source_id)

    after = {chunk["content"]: chunk["id"] for chunk in knowledge.chunks(source_id)}
    assert (done["chunks_added"], done["chunks_removed"]) == (2, 2)
    assert after.keys() - before.keys() == {"Number 4 is another now.", told(99)}
    assert all(before[content] == id for content, id in after.items() if content in before)


def test_many_pages_that_did_not_change_write_nothing(knowledge: Indexing, server: FakeApi) -> None:
    server.add(35)
    source_id = insert(knowledge, server, **ITEMS, paging={"next": "$.next"})
    knowledge.run()
    before = knowledge.chunks(source_id)

    done = resync(knowledge, source_id)

    assert done["unchanged"]
    assert knowledge.chunks(source_id) == before


def test_a_volatile_item_is_judged_by_its_time(knowledge: Indexing, server: FakeApi) -> None:
    server.add(3)
    source_id = insert(knowledge, server, **ITEMS, updated="$.updated_at")
    knowledge.run()

    server.articles[0]["views"] = 17
    done = resync(knowledge, source_id)

    assert done["unchanged"]


def test_running_twice_changes_nothing(knowledge: Indexing, server: FakeApi) -> None:
    server.add(5)
    source_id = insert(knowledge, server, **ITEMS)
    knowledge.run()
    before = knowledge.chunks(source_id)

    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = 'pending'")
    knowledge.run()

    assert knowledge.chunks(source_id) == before


def test_a_wait_that_is_asked_for_midway_is_waited(knowledge: Indexing, server: FakeApi) -> None:
    server.add(25)
    server.mishaps[2] = lambda call: as_json({}, {"Retry-After": "1"}, status=429)
    source_id = insert(knowledge, server, **ITEMS, paging={"next": "$.next"})
    started = time.monotonic()

    knowledge.run()

    assert len(knowledge.contents(source_id)) == 25
    assert time.monotonic() - started >= 1


def test_a_long_wait_is_left_to_the_queue(knowledge: Indexing, server: FakeApi) -> None:
    server.mishaps[1] = lambda call: as_json({}, {"Retry-After": "600"}, status=429)
    insert(knowledge, server, **ITEMS)

    with pytest.raises(Transient) as raised:
        knowledge.run()

    assert raised.value.retry_after_s == 600


def test_a_malformed_page_keeps_what_was_there(knowledge: Indexing, server: FakeApi) -> None:
    server.add(25)
    source_id = insert(knowledge, server, **ITEMS, paging={"next": "$.next"})
    knowledge.run()
    before = knowledge.chunks(source_id)
    server.articles[0]["body"] = "changed"
    server.mishaps[len(server.calls) + 2] = lambda call: Answer(200, b'{"data": [')

    with pytest.raises(Permanent, match="page 2 of the API is not valid JSON"):
        resync(knowledge, source_id)

    assert knowledge.chunks(source_id) == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Sign in</html>", "not valid JSON"),
        (b'{"error": "no"}', "finds nothing in the API's answer"),
        (b"[" * 100_000, "nested too deeply|not valid JSON"),
        (b'{"data": ' + b"9" * 10_000 + b"}", "not valid JSON"),
        (b"", "not valid JSON"),
    ],
)
def test_an_answer_of_another_shape_is_told(
    knowledge: Indexing, server: FakeApi, body: bytes, message: str
) -> None:
    server.pages["/articles"] = Answer(200, body, {"Content-Type": "application/json"})
    insert(knowledge, server, **ITEMS)

    with pytest.raises(Permanent, match=message):
        knowledge.run()


def test_an_empty_list_empties_the_source(knowledge: Indexing, server: FakeApi) -> None:
    server.add(3)
    source_id = insert(knowledge, server, **ITEMS)
    knowledge.run()

    server.articles.clear()
    resync(knowledge, source_id)

    assert knowledge.chunks(source_id) == []
    assert knowledge.source(source_id)["status"] == "completed"


def test_an_item_without_content_is_told_and_the_others_serve(
    knowledge: Indexing, server: FakeApi
) -> None:
    server.add(3)
    server.articles[1]["body"] = ""
    source_id = insert(knowledge, server, **ITEMS)

    report = knowledge.run()

    assert knowledge.contents(source_id) == [told(1), told(3)]
    assert list(report.skipped) == ["item 2: the document is empty"]


def test_a_content_path_that_finds_nothing_anywhere_is_told(
    knowledge: Indexing, server: FakeApi
) -> None:
    server.add(3)
    insert(knowledge, server, **{**ITEMS, "content": "$.boddy"})

    with pytest.raises(Permanent, match="none of the 3 items .* check `content`"):
        knowledge.run()


def test_items_that_share_an_id_are_told(knowledge: Indexing, server: FakeApi) -> None:
    server.add(3)
    server.articles[2]["id"] = 1
    source_id = insert(knowledge, server, **ITEMS)

    report = knowledge.run()

    assert knowledge.contents(source_id) == [told(1), told(2)]
    assert list(report.skipped) == ["item 1: another one before it has the same `id`"]


@pytest.mark.parametrize("way", ["page", "offset"])
def test_not_found_behind_a_full_last_page_is_the_end(
    knowledge: Indexing, server: FakeApi, way: str
) -> None:
    server.add(20)
    server.mishaps[3] = lambda call: as_json({"detail": "Invalid page."}, status=404)
    source_id = insert(knowledge, server, **ITEMS, paging={way: {"size": 10}})

    knowledge.run()

    assert len(knowledge.contents(source_id)) == 20


@pytest.mark.parametrize(
    "paging", [{"next": "$.next"}, {"cursor": {"path": "$.cursor", "param": "c"}}]
)
def test_paging_in_a_circle_ends(
    knowledge: Indexing, server: FakeApi, paging: dict[str, Any]
) -> None:
    body = {"data": [{"id": 1, "body": "one"}], "next": "/articles?again=1", "cursor": "same"}
    server.pages["/articles"] = as_json(body)
    source_id = insert(knowledge, server, **ITEMS, paging=paging)

    report = knowledge.run()

    assert knowledge.contents(source_id) == ["one"]
    assert len(server.calls) <= 3
    assert "circle" in report.skipped[0]


def test_endless_paging_ends_at_the_limit(
    knowledge: Indexing, server: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.readers import api_pages

    monkeypatch.setattr(api_pages, "PAGES_MAX", 5)
    server.add(200)
    insert(knowledge, server, **ITEMS, paging={"next": "$.next"})

    with pytest.raises(Permanent, match="more than 5 pages, the limit"):
        knowledge.run()


def test_the_customers_own_limits_end_the_reading_and_say_so(
    knowledge: Indexing, server: FakeApi
) -> None:
    server.add(35)
    source_id = insert(knowledge, server, **ITEMS, paging={"next": "$.next"}, pages_max=2)

    report = knowledge.run()

    assert len(knowledge.contents(source_id)) == 20
    assert list(report.skipped) == ["reading ended after page 2, as pages_max says"]


def test_a_reading_stops_when_its_job_is_cancelled(knowledge: Indexing, server: FakeApi) -> None:
    server.add(100)
    insert(knowledge, server, **ITEMS, paging={"next": "$.next"})

    with pytest.raises(Cancelled), knowledge.attempt() as fence:
        knowledge.work(replace(fence, is_cancelled=lambda: len(server.calls) >= 3))

    assert len(server.calls) == 3


def test_a_run_that_was_killed_midway_is_finished_by_the_next(
    knowledge: Indexing, server: FakeApi
) -> None:
    server.add(25)
    source_id = insert(knowledge, server, **ITEMS, paging={"next": "$.next"})
    server.mishaps[2] = lambda call: Answer(500, b"")
    with pytest.raises(Transient):
        knowledge.run()
    knowledge.conn.execute("UPDATE worker.jobs SET state = 'available', run_at = now()")

    knowledge.run()

    assert knowledge.contents(source_id) == [told(number) for number in range(1, 26)]


def test_text_that_no_database_holds_is_mended(knowledge: Indexing, server: FakeApi) -> None:
    item = '{"id": "a\\u0000\\ud800", "title": "t\\u0000", "body": "one\\u0000 \\udfff two"}'
    server.pages["/articles"] = Answer(200, f'{{"data": [{item}]}}'.encode())
    source_id = insert(knowledge, server, **ITEMS)

    knowledge.run()

    (chunk,) = knowledge.chunks(source_id)
    assert chunk["content"] == "one ? two"
    assert chunk["metadata"]["document"] == {"key": "a?", "title": "t"}


@pytest.mark.parametrize(
    ("limit", "message"),
    [("DOCUMENTS_MAX", "more than 5 documents"), ("CHARS_MAX", "more than 5 characters")],
)
def test_a_source_that_holds_too_much_is_refused_while_it_is_read(
    knowledge: Indexing,
    server: FakeApi,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    message: str,
) -> None:
    monkeypatch.setattr(budget, limit, 5)
    server.add(35)
    insert(knowledge, server, **ITEMS, paging={"next": "$.next"})

    with pytest.raises(Permanent, match=f"{message}, the limit"):
        knowledge.run()

    assert len(server.calls) == 1
